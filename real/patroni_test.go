//go:build real

package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"checkout/internal/test/nettest"
	"checkout/internal/test/pgtest"
	"checkout/internal/test/process"
)

// patroni is a cluster of PostgreSQL in Patroni's care: a primary, and a synchronous standby. etcd holds who is which.
type patroni struct {
	folder   string
	programs string
	system   *syscall.SysProcAttr
	members  []*member
}

// member is one of them: Patroni with its PostgreSQL, in one process after another.
type member struct {
	name, address, api, folder string
	process                    *process.Process
}

const patroniPassword = "secret"

// startPatroni starts etcd and the members, and waits until one of them is a synchronous standby.
func startPatroni(t testing.TB) *patroni {
	t.Helper()
	programs, err := pgtest.Programs()
	if err != nil {
		skip(t, "patroni", err.Error())
	}
	for _, program := range []string{"patroni", "etcd"} {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, "patroni", program+" is not installed")
		}
	}
	account, err := pgtest.Account() // neither Patroni nor PostgreSQL runs as root
	if err != nil {
		t.Fatal(err)
	}
	p := &patroni{folder: folderOf(t, account), programs: programs, system: &syscall.SysProcAttr{
		Credential: account,
		Pdeathsig:  syscall.SIGTERM, // then Patroni stops its PostgreSQL, too
	}}
	store := p.startEtcd(t)
	for _, name := range []string{"one", "two"} {
		m := &member{name: name, address: nettest.Reserve(t), api: nettest.Reserve(t), folder: filepath.Join(p.folder, name)}
		p.members = append(p.members, m)
		p.write(t, m.folder+".yml", p.config(m, store))
		t.Cleanup(func() { p.remove(t, m) })
		p.start(t, m)
	}
	for _, role := range []string{"primary", "synchronous"} {
		p.await(t, role)
	}
	return p
}

// folderOf is a temporary folder that an account owns and can reach; nil: our own.
func folderOf(t testing.TB, account *syscall.Credential) string {
	t.Helper()
	folder := t.TempDir()
	if account == nil {
		return folder
	}
	if err := errors.Join(os.Chmod(filepath.Dir(folder), 0o711), os.Chown(folder, int(account.Uid), int(account.Gid))); err != nil {
		t.Fatal(err)
	}
	return folder
}

// startEtcd starts etcd, and returns its address.
func (p *patroni) startEtcd(t testing.TB) string {
	t.Helper()
	client, peer := nettest.Reserve(t), "http://"+nettest.Reserve(t)
	etcd := p.run(t, "etcd", "--name=etcd", "--data-dir="+filepath.Join(p.folder, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://"+client, "--advertise-client-urls=http://"+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=etcd="+peer)
	t.Cleanup(etcd.Kill)
	return client
}

// config is the configuration of a member. The times are Patroni's defaults, but that it looks every two seconds.
func (p *patroni) config(m *member, store string) string {
	return fmt.Sprintf(`
scope: orders
name: %[1]s
restapi: {listen: "%[2]s", connect_address: "%[2]s"}
etcd3: {host: "%[3]s"}
bootstrap:
  dcs:
    ttl: 30
    loop_wait: 2
    retry_timeout: 10
    synchronous_mode: true
    postgresql: {use_pg_rewind: true, parameters: {max_connections: 100, shared_buffers: 32MB}}
  initdb: [{encoding: UTF8}, {locale: C}]
postgresql:
  listen: "%[4]s"
  connect_address: "%[4]s"
  data_dir: %[5]s
  bin_dir: %[6]s
  pgpass: %[5]s.pgpass
  parameters: {unix_socket_directories: ""}
  pg_hba: ["host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256"]
  authentication:
    superuser: {username: postgres, password: %[7]s}
    replication: {username: replication, password: %[7]s}
    rewind: {username: rewind, password: %[7]s}
`, m.name, m.api, store, m.address, m.folder, p.programs, patroniPassword)
}

func (p *patroni) write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { // for the account
		t.Fatal(err)
	}
}

// run starts a program of the cluster.
func (p *patroni) run(t testing.TB, program string, args ...string) *process.Process {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(p.folder, program+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	started, err := process.Start(process.Spec{
		Path: path, Args: args, Output: log, System: p.system,
		Environ: map[string]string{"PATH": os.Getenv("PATH"), "HOME": p.folder, "LC_ALL": "C"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return started
}

func (p *patroni) start(t testing.TB, m *member) {
	t.Helper()
	m.process = p.run(t, "patroni", m.folder+".yml")
}

// crash ends a member's Patroni and PostgreSQL as if their machine had failed.
func (p *patroni) crash(t testing.TB, m *member) {
	t.Helper()
	m.process.Kill()
	pid := m.postmaster()
	if pid == 0 {
		return
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil { // PostgreSQL's immediate shutdown
		t.Error(err)
	}
	for range time.Tick(10 * time.Millisecond) {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
	}
}

// postmaster is the id of the process that is a member's PostgreSQL; 0: none.
func (m *member) postmaster() (pid int) {
	text, err := os.ReadFile(filepath.Join(m.folder, "postmaster.pid"))
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscan(string(text), &pid); err != nil || syscall.Kill(pid, 0) != nil {
		return 0
	}
	return pid
}

// remove ends a member for good.
func (p *patroni) remove(t testing.TB, m *member) {
	t.Helper()
	p.crash(t, m)
	if log, _ := os.ReadFile(filepath.Join(p.folder, "patroni.log")); t.Failed() && m == p.members[0] {
		t.Logf("%s", tail(log))
	}
}

// url is that of the database, wherever its primary is.
func (p *patroni) url() string {
	var hosts []string
	for _, m := range p.members {
		hosts = append(hosts, m.address)
	}
	return "postgres://postgres:" + patroniPassword + "@" + strings.Join(hosts, ",") + "/postgres?sslmode=disable"
}

// await waits until Patroni reports that a member has the role, "primary" or "synchronous", and returns it.
func (p *patroni) await(t testing.TB, role string) (found *member) {
	t.Helper()
	eventually(t, "a member is "+role, func(ctx context.Context) error {
		var failures []error
		for _, m := range p.members {
			err := request(ctx, http.MethodGet, m.api, role, nil)
			if err == nil {
				found = m
				return nil
			}
			failures = append(failures, err)
		}
		return errors.Join(failures...)
	})
	return found
}

// switchOver has the primary and the standby change places, as before maintenance.
func (p *patroni) switchOver(t testing.TB, from *member) {
	t.Helper()
	eventually(t, "Patroni switches over", func(ctx context.Context) error {
		if request(ctx, http.MethodGet, from.api, "primary", nil) == nil { // or it was done, though the answer came late
			return request(ctx, http.MethodPost, from.api, "switchover", []byte(`{"leader": "`+from.name+`"}`))
		}
		return nil
	})
}

// request sends a request to Patroni's API.
func request(ctx context.Context, method, address, path string, body []byte) error {
	u := url.URL{Scheme: "http", Host: address, Path: path}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, u.String(), resp.Status)
	}
	return nil
}

func TestPatroniPromotesTheStandbyAndTheOldPrimaryReturns(t *testing.T) {
	k := startKafka(t, 1)
	k.createTopic(t)
	p := startPatroni(t)
	s := openShop(t, k, p.url(), 2)
	stop := s.customers(t)
	s.more(t, 3*rate)
	first, second := p.await(t, "primary"), p.await(t, "synchronous")
	p.crash(t, first)
	s.more(t, 3*rate) // on the other one, which is alone
	if now := p.await(t, "primary"); now != second {
		t.Fatalf("%s is the primary", now.name)
	}
	p.start(t, first)
	p.await(t, "synchronous") // one is the primary, and the other one its standby
	s.more(t, rate)
	now := p.await(t, "primary")
	p.switchOver(t, now)
	s.more(t, 3*rate)
	if next := p.await(t, "primary"); next == now {
		t.Fatalf("%s is still the primary after the switch-over", now.name)
	}
	stop()
	s.audit(t, k.events)
}
