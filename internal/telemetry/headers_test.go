package telemetry

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"checkout/internal/test/nettest"
)

// received is what two headers held when they came in, by the last word of the path.
type received struct {
	mu  sync.Mutex
	all map[string][2]string
}

func (r *received) take(where, key, x string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[path.Base(path.Dir(where))+"/"+path.Base(where)] = [2]string{key, x}
}

// A comma at the end, blanks and percent-encoding mean the same for all signals and over both protocols.
func TestEverySignalHasTheHeaders(t *testing.T) {
	for protocol, listen := range map[string]func(*testing.T, *received) string{"grpc": headersOverGRPC, "http/protobuf": headersOverHTTP} {
		for _, list := range []string{"api-key=a%20b,x=1,", " api-key = a%20b , ,x=1", ",x=1,api-key=a%20b\n", "x=1,api-key=a%20b,nonsense"} {
			t.Run(protocol+" "+list, func(t *testing.T) {
				r := &received{all: map[string][2]string{}}
				stdout := new(syncBuffer)
				tel := startWith(t, stdout, "OTEL_EXPORTER_OTLP_ENDPOINT", listen(t, r), "OTEL_EXPORTER_OTLP_PROTOCOL", protocol, "OTEL_EXPORTER_OTLP_HEADERS", list)
				emit(t, tel)
				if err := tel.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				want := [2]string{"a b", "1"}
				if got := slices.Collect(maps.Values(r.all)); !cmp.Equal(got, [][2]string{want, want, want}) {
					t.Errorf("received: %q, want %q by three signals", r.all, want)
				}
				for _, line := range stdout.lines(t) {
					if list[len(list)-1] != 'e' && line["level"] != "INFO" {
						t.Errorf("logged: %v", line)
					}
				}
			})
		}
	}
}

func headersOverHTTP(t *testing.T, r *received) string {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		r.take(req.URL.Path, req.Header.Get("api-key"), req.Header.Get("x"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func headersOverGRPC(t *testing.T, r *received) string {
	return "http://" + nettest.ServeGRPC(t, func(*grpc.Server) {}, grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		in, _ := metadata.FromIncomingContext(stream.Context())
		one := func(name string) (value string) {
			for _, v := range in.Get(name) {
				value += v
			}
			return value
		}
		r.take(method, one("api-key"), one("x"))
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
		return stream.SendMsg(&emptypb.Empty{})
	}))
}
