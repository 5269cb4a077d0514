package console

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxExports is how many exports there are at once, exportPage how many orders each holds at a time, exportTime how long
	// one may take, and exportPatience how long its reader may take for a page.
	maxExports     = 2
	exportPage     = 500
	exportTime     = 30 * time.Minute
	exportPatience = 30 * time.Second
)

// export answers with all orders that match, a page at a time, so that it holds no more than that.
func (c *Console) export(w http.ResponseWriter, r *http.Request) {
	f, bad := formFilter(r)
	format := r.PostForm.Get("format")
	if bad == nil && format != "csv" && format != "json" {
		bad = &failure{Status: http.StatusBadRequest, Reason: "INVALID_REQUEST", Message: "format must be csv or json"}
	}
	if bad != nil {
		c.fail(w, r, bad)
		return
	}
	select {
	case c.exports <- struct{}{}:
		defer func() { <-c.exports }()
	default:
		c.fail(w, r, failureOf(status.Error(codes.ResourceExhausted, "too many exports at once; try again later")))
		return
	}
	req := f.request()
	req.PageSize = exportPage
	resp, err := c.services.list(r.Context(), req)
	if err != nil {
		c.fail(w, r, failureOf(err))
		return
	}
	table := newTable(w, format)
	for end := time.Now().Add(exportTime); ; {
		// A reader that went away ends it: then nothing can be written.
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(exportPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return
		}
		for _, o := range resp.GetOrders() {
			row := exportRow{rowOf(o), o.GetTransactionId(), o.GetTrackingId()}
			if table.row(row) != nil {
				return
			}
		}
		if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
			table.end("")
			return
		}
		if time.Now().After(end) {
			table.end("not complete: it took too long")
			return
		}
		if resp, err = c.services.list(r.Context(), req); err != nil {
			table.end("not complete: " + failureOf(err).Message)
			return
		}
	}
}

// exportRow is an order in an export.
type exportRow struct {
	orderRow

	Transaction string `json:"transaction_id,omitempty"`
	Tracking    string `json:"tracking_id,omitempty"`
}

// table writes an export. An end with a problem says so, or is not one.
type table interface {
	row(r exportRow) error
	end(problem string)
}

func newTable(w http.ResponseWriter, format string) table {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", `attachment; filename="orders.`+format+`"`)
	if format == "json" {
		w.Header().Set("Content-Type", "application/json")
		return &jsonTable{w: w, before: "["}
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	t := csvTable{csv.NewWriter(w)}
	_ = t.Write([]string{"order_id", "state", "created", "changed", "currency", "total", "user_hash", "transaction_id", "tracking_id", "reason"}) // or the first row fails
	return t
}

type csvTable struct{ *csv.Writer }

func (t csvTable) row(r exportRow) error {
	cells := []string{
		r.ID, r.State, r.Created.Format(time.RFC3339), r.Changed.Format(time.RFC3339),
		r.Total.Currency, r.Total.Amount, r.User, r.Transaction, r.Tracking, r.Why(),
	}
	for i := range cells {
		cells[i] = plain(cells[i])
	}
	return t.Write(cells)
}

func (t csvTable) end(problem string) {
	if problem != "" {
		_ = t.Write([]string{problem}) // the reader may have gone
	}
	t.Flush()
}

// plain keeps a spreadsheet from taking text from outside for a formula.
func plain(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// jsonTable writes an array. One that is not complete is not closed.
type jsonTable struct {
	w      io.Writer
	before string
}

func (t *jsonTable) row(r exportRow) error {
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
