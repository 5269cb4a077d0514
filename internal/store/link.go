package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// connector opens links to a database of PostgreSQL.
type connector struct {
	config     pq.Config
	encryption *encryption
}

// Driver implements driver.Connector.
func (connector) Driver() driver.Driver { return &pq.Driver{} }

// Connect implements driver.Connector. It takes no longer than ctx or the configuration allow. Of several hosts it tries
// one after the other.
func (c connector) Connect(ctx context.Context) (_ driver.Conn, err error) {
	defer survive(&err)
	hosts := 1 + len(c.config.Multi)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(hosts)*c.config.ConnectTimeout)
	defer cancel()
	w := &wire{encryption: c.encryption, opaque: c.config.SSLMode != pq.SSLModeDisable}
	stop := context.AfterFunc(ctx, w.cut)
	defer stop()
	dialled, err := pq.NewConnectorConfig(c.config)
	if err != nil {
		return nil, err
	}
	dialled.Dialer(w)
	conn, err := dialled.Connect(ctx)
	switch {
	case err == nil:
		return &link{Conn: conn, wire: w, texts: make(map[string]string)}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, err
}

// survive makes a lost connection of a panic of the driver, which trusts what the database sends. It has to be deferred.
func survive(err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("%w: the driver panicked: %v", driver.ErrBadConn, cause)
	}
}

// wire is what a link goes over. To cut it is the only way to end a call at once when the server does not answer: the
// driver itself would ask that very server to end it, and wait.
type wire struct {
	encryption *encryption // nil: the driver's
	opaque     bool        // the driver may encrypt

	mu   sync.Mutex
	conn net.Conn
	gone bool
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = true
	if w.conn != nil {
		_ = w.conn.Close()
	}
}

// DialContext implements pq.DialerContext.
func (w *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if !w.keep(conn) {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	if w.encryption == nil || network == "unix" {
		return w.checked(conn), nil
	}
	secured, err := w.encryption.secure(ctx, conn, address)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w.checked(secured), nil
}

// checked checks the lengths of messages, unless the driver may encrypt them.
func (w *wire) checked(conn net.Conn) net.Conn {
	if w.opaque {
		return conn
	}
	return &messages{Conn: conn}
}

// keep remembers the connection, which is to be closed if the wire has been cut.
func (w *wire) keep(conn net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = conn
	return !w.gone
}

// Dial implements pq.Dialer.
func (w *wire) Dial(network, address string) (net.Conn, error) {
	return w.DialContext(context.Background(), network, address)
}

// DialTimeout implements pq.Dialer.
func (w *wire) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return w.DialContext(ctx, network, address)
}

// link is a connection to PostgreSQL. Its calls end with their contexts. When it fails before it has brought an answer, it
// asks to have the statement repeated over another link, even if that may be for the second time: all statements of this
// package bear it.
type link struct {
	driver.Conn
	wire   *wire
	texts  map[string]string // statements as PostgreSQL reads them
	broken bool
}

// within cuts the wire when ctx ends before done is called.
func (l *link) within(ctx context.Context) (done func()) {
	stop := context.AfterFunc(ctx, l.wire.cut)
	return func() {
		if !stop() {
			l.broken = true
		}
	}
}

// failure is what to make of an error of the driver.
func (l *link) failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	_, network := errors.AsType[net.Error](err)
	lost := network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn)
	// A server that has become a standby may keep its connections, and refuses all writes.
	demoted := pq.As(err, pqerror.ReadOnlySQLTransaction) != nil
	l.broken = l.broken || lost || demoted
	switch {
	case lost && ctx.Err() != nil:
		return ctx.Err()
	case demoted:
		return fmt.Errorf("%w: %w", driver.ErrBadConn, err)
	case lost:
		return driver.ErrBadConn
	}
	return err
}

// IsValid implements driver.Validator.
func (l *link) IsValid() bool {
	conn, ok := l.Conn.(driver.Validator)
	return !l.broken && ok && conn.IsValid()
}

// ResetSession implements driver.SessionResetter. What is sent over a link that the server has ended while it was idle would
// perhaps be recorded; without a link it certainly is not.
func (l *link) ResetSession(context.Context) error {
	if !l.IsValid() || ended(l.wire.conn) {
		return driver.ErrBadConn
	}
	return nil
}

// ExecContext implements driver.ExecerContext. Without arguments, query may consist of several statements, which are
// carried out in one transaction.
func (l *link) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	defer l.within(ctx)()
	defer survive(&err)
	result, err = l.Conn.(driver.ExecerContext).ExecContext(context.Background(), l.text(query), args)
	return result, l.failure(ctx, err)
}

// QueryContext implements driver.QueryerContext.
func (l *link) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (_ driver.Rows, err error) {
	done := l.within(ctx)
	defer survive(&err)
	found, err := l.Conn.(driver.QueryerContext).QueryContext(context.Background(), l.text(query), args)
	if err != nil {
		done()
		return nil, l.failure(ctx, err)
	}
	return rows{found, done}, nil
}

func (l *link) text(query string) string {
	text, ok := l.texts[query]
	if !ok {
		text = postgresText(query)
		l.texts[query] = text
	}
	return text
}

// postgresText is a statement in the words of PostgreSQL. The time is that at which the statement began, which does not
// change while it is carried out, so that an index on due is of use.
func postgresText(query string) string {
	return strings.NewReplacer(
		"@now", "CAST(FLOOR(EXTRACT(EPOCH FROM now()) * 1000) AS BIGINT)",
		"@late", "CAST(CEIL(EXTRACT(EPOCH FROM now()) * 1000) AS BIGINT)",
		"/*", "", "*/", "",
	).Replace(query)
}

// rows are what a query returns, and may be read for as long as its context lasts.
type rows struct {
	driver.Rows
	done func()
}

// Next implements driver.Rows.
func (r rows) Next(row []driver.Value) (err error) {
	defer survive(&err)
	return r.Rows.Next(row)
}

// Close implements driver.Rows.
func (r rows) Close() error {
	defer r.done()
	return r.Rows.Close()
}
