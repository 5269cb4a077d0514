package console

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/sheet"
)

const (
	// maxExports is how many exports there are at once, exportPage how many orders each holds at a time, exportTime how long
	// one may take, and exportPatience how long its reader may take for a page.
	maxExports     = 2
	exportPage     = 500
	exportTime     = 30 * time.Minute
	exportPatience = 30 * time.Second
)

// exportOrders answers with all orders that match.
func (c *Console) exportOrders(w http.ResponseWriter, r *http.Request) {
	f, bad := formFilter(r)
	if bad != nil {
		c.fail(w, r, bad)
		return
	}
	req := f.request()
	req.PageSize = exportPage
	c.export(w, r, "orders", orderCells(), func(ctx context.Context, page string) (rows []row, next string, err error) {
		if page != "" {
			req.PageToken = page
		}
		resp, err := c.services.list(ctx, req)
		for _, o := range resp.GetOrders() {
			rows = append(rows, exportRow{rowOf(o), o.GetTransactionId(), o.GetTrackingId()})
		}
		return rows, resp.GetNextPageToken(), err
	})
}

// exportAudit answers with the audit log, or that of one order.
func (c *Console) exportAudit(w http.ResponseWriter, r *http.Request) {
	c.export(w, r, "audit", auditCells(), func(ctx context.Context, page string) (rows []row, next string, err error) {
		req := &checkoutv1.ListAuditRequest{OrderId: strings.TrimSpace(r.PostFormValue("order")), PageSize: exportPage, PageToken: page}
		resp, err := c.services.audit(ctx, req)
		for _, e := range resp.GetEntries() {
			rows = append(rows, auditEntryOf(e))
		}
		return rows, resp.GetNextPageToken(), err
	})
}

// export answers with all rows of a list, a page at a time, so that it holds no more than that.
func (c *Console) export(w http.ResponseWriter, r *http.Request, name string, columns []string, list func(ctx context.Context, page string) ([]row, string, error)) {
	format := r.PostFormValue("format")
	if format != "csv" && format != "json" {
		c.fail(w, r, &failure{Status: http.StatusBadRequest, Reason: "INVALID_REQUEST", Message: "format must be csv or json"})
		return
	}
	select {
	case c.exports <- struct{}{}:
		defer func() { <-c.exports }()
	default:
		c.fail(w, r, failureOf(status.Error(codes.ResourceExhausted, "too many exports at once; try again later")))
		return
	}
	rows, next, err := list(r.Context(), "")
	if err != nil {
		c.fail(w, r, failureOf(err))
		return
	}
	table := newTable(w, name, format, columns)
	for end := time.Now().Add(exportTime); ; {
		// A reader that went away ends it: then nothing can be written.
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(exportPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return
		}
		for _, row := range rows {
			if table.row(row) != nil {
				return
			}
		}
		if next == "" {
			table.end("")
			return
		}
		if time.Now().After(end) {
			table.end("not complete: it took too long")
			return
		}
		if rows, next, err = list(r.Context(), next); err != nil {
			table.end("not complete: " + failureOf(err).Message)
			return
		}
	}
}

// row is one in an export: as JSON, or as cells.
type row interface{ cells() []string }

// exportRow is an order in an export.
type exportRow struct {
	orderRow

	Transaction string `json:"transaction_id,omitempty"`
	Tracking    string `json:"tracking_id,omitempty"`
}

func orderCells() []string {
	return []string{"order_id", "state", "created", "changed", "currency", "total", "user_hash", "transaction_id", "tracking_id", "reason"}
}

func (r exportRow) cells() []string {
	return []string{
		r.ID, r.State, r.Created.Format(time.RFC3339), r.Changed.Format(time.RFC3339),
		r.Total.Currency, r.Total.Amount, r.User, r.Transaction, r.Tracking, r.Why(),
	}
}

func auditCells() []string {
	return []string{"id", "at", "order_id", "action", "outcome", "by", "identity", "why", "state_before", "state_after", "detail"}
}

func (e auditEntry) cells() []string {
	var before, after string
	if e.Before != nil {
		before = e.Before.State
	}
	if e.After != nil {
		after = e.After.State
	}
	return []string{e.ID, e.At.Format(time.RFC3339), e.Order, e.Action, e.Outcome, e.By, e.Identity, e.Why, before, after, e.Detail}
}

// table writes an export. An end with a problem says so, or is not one.
type table interface {
	row(r row) error
	end(problem string)
}

func newTable(w http.ResponseWriter, name, format string, columns []string) table {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+"."+format+`"`)
	if format == "json" {
		w.Header().Set("Content-Type", "application/json")
		return &jsonTable{w: w, before: "["}
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	t := csvTable{csv.NewWriter(w)}
	_ = t.Write(columns) // or the first row fails
	return t
}

type csvTable struct{ *csv.Writer }

func (t csvTable) row(r row) error {
	cells := r.cells()
	for i := range cells {
		cells[i] = sheet.Text(cells[i])
	}
	return t.Write(cells)
}

func (t csvTable) end(problem string) {
	if problem != "" {
		_ = t.Write([]string{problem}) // the reader may have gone
	}
	t.Flush()
}

// jsonTable writes an array. One that is not complete is not closed.
type jsonTable struct {
	w      io.Writer
	before string
}

func (t *jsonTable) row(r row) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = io.WriteString(t.w, t.before+"\n"+string(text))
	t.before = ","
	return err
}

func (t *jsonTable) end(problem string) {
	if problem != "" {
		return
	}
	if t.before == "[" {
		_, _ = io.WriteString(t.w, "[") // the reader may have gone
	}
	_, _ = io.WriteString(t.w, "\n]\n") // the reader may have gone
}
