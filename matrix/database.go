package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"checkout/internal/test/pgtest"
	"checkout/internal/wait"
)

// cluster is the PostgreSQL of all cells that record orders in one.
type cluster struct {
	*pgtest.Server
	made atomic.Int64 // databases
}

// database makes one and returns the server's address, and the URL by which a front leads to it.
func (c *cluster) database(ctx context.Context) (addr string, through func(front string) string, err error) {
	u, err := url.Parse(c.URL())
	if err != nil {
		return "", nil, err
	}
	db, err := sql.Open("postgres", u.String())
	if err != nil {
		return "", nil, err
	}
	defer db.Close()
	addr, u.Path = u.Host, fmt.Sprint("/cell", c.made.Add(1))
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+u.Path[1:]); err != nil {
		return "", nil, err
	}
	return addr, func(front string) string { u.Host = front; return u.String() }, nil
}

// databaseModes are slow and silent databases.
func databaseModes() []mode {
	var modes []mode
	for name, lag := range map[string]time.Duration{
		"answers take 50 ms": 50 * time.Millisecond, "answers take 1 s": time.Second, "answers take 5 s": 5 * time.Second, "stalls": time.Hour,
	} {
		modes = append(modes, mode{name: name, relayed: true, lag: lag, conn: (*front).pass})
	}
	return modes
}

// fall begins the misbehaviour of a front that was well. Connections break, unless they are passed on.
func (f *front) fall() {
	f.healed.Store(false)
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		if !f.mode.relayed {
			_ = c.Close() // it is to be broken
		}
	}
}

// late passes on what the database answers, as late as the mode says.
func (f *front) late(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if !f.healed.Load() {
			f.hits.Add(1)
		}
		for end := time.Now().Add(f.mode.lag); !f.healed.Load() && time.Now().Before(end) && wait.For(f.life, 10*time.Millisecond); {
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
