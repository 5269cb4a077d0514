package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/storefront"
	"checkout/internal/storefront/child"
)

// shop is an open shop with checkout in it.
type shop struct {
	*demo.Shop
	options options
	page    *page
	folder  string // of files that are removed in the end

	address   string             // checkout's, for customers
	operators string             // checkout's, for operators
	conns     []*grpc.ClientConn // to checkout, for customers and for operators
	checkout  oteldemo.CheckoutServiceClient
	child     *child.Child // its process
	log       *os.File     // its log
	site      *site        // nil when there is none
}

// open starts everything. On an error nothing is left running.
func open(ctx context.Context, o options, environ []string, p *page) (_ *shop, err error) {
	s := &shop{options: o, page: p}
	if s.folder, err = os.MkdirTemp("", "shop-"); err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	if s.Shop, err = demo.Start(ctx, demo.Options{Folder: s.folder}); err == nil {
		err = s.startCheckout(ctx, environ)
	}
	if err == nil && s.options.hasSite() {
		err = s.openSite(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// close ends everything in order: the callers are gone, so the site first, then checkout, then what it calls.
func (s *shop) close() error {
	var failures []error
	if s.site != nil {
		failures = append(failures, s.site.close())
	}
	for _, conn := range s.conns {
		failures = append(failures, conn.Close())
	}
	if s.child != nil {
		failures = append(failures, s.child.Close())
	}
	if s.log != nil {
		failures = append(failures, s.log.Close())
	}
	if s.Shop != nil {
		failures = append(failures, s.Close())
	}
	if s.folder != "" {
		failures = append(failures, os.RemoveAll(s.folder))
	}
	return errors.Join(failures...)
}

// execute does what the options ask for.
func (s *shop) execute(ctx context.Context) error {
	s.introduce()
	var mismatch error // is a reason to look, and to keep serving if that was asked for
	if s.options.orders > 0 {
		err := s.load(ctx)
		if !s.options.keep || err != nil && !errors.Is(err, errMismatch) {
			return err
		}
		mismatch = err
	} else if err := s.show(ctx); err != nil {
		return err
	}
	if s.site == nil {
		s.page.say("\nServing until Ctrl-C.\n")
	} else {
		s.page.say("\nServing until Ctrl-C. Open %s\n", s.site.url)
	}
	select {
	case <-ctx.Done():
		return mismatch
	case <-s.child.Ended():
		return errors.New("checkout has ended") // close tells why
	case err := <-s.siteEnded():
		s.site.ended <- nil // for close
		return fmt.Errorf("the site has ended: %w", err)
	}
}

// introduce prints where everything is.
func (s *shop) introduce() {
	s.page.title("The shop is open")
	var rows [][]string
	if s.site != nil {
		rows = append(rows, []string{"the site", "HTTP", s.site.url, "the shop in your browser"})
	}
	if s.site != nil && s.site.console != "" {
		rows = append(rows, []string{"console", "HTTP", s.site.console, "for operators"})
	}
	rows = append(rows, []string{"checkout", "gRPC", s.address, "places orders"}, []string{"operators", "gRPC", s.operators, "checkout order list --admin-addr " + s.operators})
	for _, n := range storefront.Services(s.Shop) {
		rows = append(rows, []string{n.Name, n.Protocol, n.Address(), n.What})
	}
	rows = append(rows, []string{"", "", s.log.Name(), "checkout's log"}, []string{"", "", s.Flags.Path(), "the flags as a file"})
	s.page.table(rows)
}

// injectFaults injects the faults that the options ask for.
func (s *shop) injectFaults() {
	s.Payment.HonourKeys(s.options.payment == keyed)
	s.Shipping.HonourKeys(s.options.shipping == keyed)
	for _, n := range storefront.Services(s.Shop) {
		if n.Calls == nil {
			continue
		}
		f := demo.Fault{Latency: s.options.latency}
		if chance := s.options.fail[n.Name]; chance > 0 {
			f.Kind, f.Chance = demo.Refuse, chance
			if n.Name == "payment" { // as when the stock shop's flag paymentFailure is on
				f.Code, f.Text = codes.Unknown, "Payment request failed. Invalid token."
			}
		}
		if chance := s.options.lose[n.Name]; chance > 0 {
			f.Kind, f.Chance = demo.LoseAnswer, chance
		}
		n.Calls.Inject(f)
	}
	if chance := s.options.unshippable; chance > 0 {
		s.Shipping.Inject(demo.Fault{
			Latency: s.options.latency, Kind: demo.Refuse, Chance: chance, Status: http.StatusUnprocessableEntity,
		}, storefront.ShipOrder)
	}
	s.eachOffline(func(n storefront.Server) error { n.TakeOffline(); return nil }) //nolint:errcheck // it cannot fail
}

// endFaults ends all faults: what is pending can be delivered now.
func (s *shop) endFaults() error {
	for _, n := range storefront.Services(s.Shop) {
		if n.Calls != nil {
			n.Calls.Inject(demo.Fault{})
		}
	}
	s.Shipping.Inject(demo.Fault{}, storefront.ShipOrder)
	if len(s.options.offline) > 0 {
		s.page.say("\nOnline again: %s.\n", strings.Join(s.options.offline, ", "))
	}
	return s.eachOffline(storefront.Server.BringOnline)
}

func (s *shop) eachOffline(do func(storefront.Server) error) error {
	var failures []error
	for _, n := range storefront.Services(s.Shop) {
		if slices.Contains(s.options.offline, n.Name) {
			failures = append(failures, do(n.Server))
		}
	}
	return errors.Join(failures...)
}
