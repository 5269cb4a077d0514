package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// maxConns bounds the connections to a site; a browser makes at most six.
	maxConns = 128
	// shutdownTime is how long requests may go on when the server ends.
	shutdownTime = 5 * time.Second
)

// shutdownKey is that of the context which ends when the server of a request begins to shut down.
type shutdownKey struct{}

// Serve serves h on l until ctx ends; then it ends the streams and lets the other requests finish, for 5 seconds at most.
// It bounds the time, the size and the number of what clients can hold open. With secure the connections are TLS, by that.
// log gets errors of connections.
func Serve(ctx context.Context, l net.Listener, secure *tls.Config, h http.Handler, log *slog.Logger) error {
	l = netutil.LimitListener(l, maxConns)
	if secure != nil {
		l = tls.NewListener(l, secure) // the outermost, or net/http does not see it
	}
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), shutdownKey{}, ctx)
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := server.Shutdown(last)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if broken := <-ended; !errors.Is(broken, http.ErrServerClosed) {
		err = errors.Join(err, broken)
	}
	return err
}

// untilShutdown is the context of a request that would go on for ever: it also ends when the server begins to shut down.
func untilShutdown(ctx context.Context) (context.Context, context.CancelFunc) {
	shutdown, ok := ctx.Value(shutdownKey{}).(context.Context)
	ctx, cancel := context.WithCancel(ctx)
	if !ok {
		return ctx, cancel
	}
	stop := context.AfterFunc(shutdown, cancel)
	return ctx, func() { stop(); cancel() }
}
