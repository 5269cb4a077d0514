package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"checkout/internal/order"
)

func decode(t testing.TB, r *reply, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), into); err != nil {
		t.Fatalf("status %d: %v", r.status, err)
	}
}

// contract is openapi.yaml.
type contract struct {
	document map[string]any
	compiler *jsonschema.Compiler
}

func readContract(t *testing.T) *contract {
	t.Helper()
	var document map[string]any
	if err := yaml.Unmarshal(description, &document); err != nil {
		t.Fatal(err)
	}
	c := &contract{document, jsonschema.NewCompiler()}
	c.compiler.DefaultDraft(jsonschema.Draft2020) // what OpenAPI 3.1 is built upon
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource("openapi.yaml", document); err != nil {
		t.Fatal(err)
	}
	return c
}

// schema is that of the answer to an operation, or nil when that status is not foreseen.
func (c *contract) schema(t *testing.T, path, method, status string) *jsonschema.Schema {
	t.Helper()
	pointer := "#/paths/" + jsonPointer(path) + "/" + method + "/responses/" + status
	response := c.document["paths"].(map[string]any)[path].(map[string]any)[method].(map[string]any)["responses"].(map[string]any)[status]
	if response == nil {
		t.Fatalf("%s %s is not to be answered with %s", method, path, status)
	}
	if reference, ok := response.(map[string]any)["$ref"]; ok {
		pointer = reference.(string)
	}
	s, err := c.compiler.Compile("openapi.yaml" + pointer + "/content/application~1json/schema")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// jsonPointer is a path as an element of a JSON pointer (RFC 6901), in a fragment.
func jsonPointer(path string) string {
	escaped := ""
	for _, r := range path {
		switch r {
		case '/':
			escaped += "~1"
		case '{', '}':
			escaped += url.PathEscape(string(r))
		default:
			escaped += string(r)
		}
	}
	return escaped
}

func TestTheJSONIsAsDescribed(t *testing.T) {
	t.Parallel()
	w := open(t, Options{TraceURL: "http://localhost:16686/trace/{trace}"})
	w.put(t, completed())
	w.put(t, doubtful())
	w.put(t, numbered(3, order.Placed))
	w.put(t, asNumber(100, unshipped()))
	w.put(t, asNumber(101, undelivered()))
	for n := range 60 {
		w.put(t, numbered(n+4, order.Declined))
	}
	c := readContract(t)
	check := func(path, method, status, ask string, form url.Values) {
		t.Helper()
		r := w.do(t, map[string]string{"get": http.MethodGet, "post": http.MethodPost}[method], ask, form, "Accept", "application/json")
		if got := strconv.Itoa(r.status); got != status {
			t.Errorf("%s %s: status %s, want %s", method, ask, got, status)
			return
		}
		var answer any
		decode(t, r, &answer)
		if err := c.schema(t, path, method, status).Validate(answer); err != nil {
			t.Errorf("%s %s: %v", method, ask, err)
		}
	}
	check("/", "get", "200", "/", nil)
	w.busy()
	check("/", "get", "200", "/", nil)
	check("/orders", "get", "200", "/orders", nil)
	check("/orders", "get", "200", "/orders?state=placed&from=2025-06-15T00:00:00Z&until=2025-06-16T00:00", nil)
	check("/orders", "get", "400", "/orders?state=lost", nil)
	check("/orders", "get", "400", "/orders?page=torn", nil)
	check("/orders", "get", "404", "/orders?user=ada&key=1", nil)
	check("/orders", "get", "200", "/orders?order=0197&user=nobody&transaction=t&tracking=p", nil)
	check("/orders/export", "post", "200", "/orders/export", url.Values{"format": {"json"}})
	check("/orders/export", "post", "400", "/orders/export", url.Values{"format": {"xml"}})
	check("/audit", "get", "400", "/audit?order=1", nil)
	check("/attention", "get", "200", "/attention", nil)
	check("/orders/{id}", "get", "200", "/orders/"+string(id(1)), nil)
	check("/orders/{id}", "get", "404", "/orders/"+string(id(999)), nil)
	check("/orders/{id}", "get", "400", "/orders/1", nil)
	check("/orders/{id}/retry", "post", "400", "/orders/"+string(id(2))+"/retry", url.Values{})
	check("/orders/{id}/retry", "post", "409", "/orders/"+string(id(1))+"/retry", url.Values{"by": {"grace"}})
	check("/orders/{id}/resolve", "post", "409", "/orders/"+string(id(2))+"/resolve", url.Values{"resolution": {"paid"}, "by": {"grace"}, "why": {"so"}})
	check("/orders/{id}/resolve", "post", "200", "/orders/"+string(id(2))+"/resolve", url.Values{"resolution": {"not_paid"}, "by": {"grace"}, "why": {"not in the books"}})
	check("/audit", "get", "200", "/audit?order="+string(id(2)), nil)
	check("/orders/{id}", "get", "200", "/orders/"+string(id(100)), nil)
	check("/orders/{id}/resolve", "post", "400", "/orders/"+string(id(100))+"/resolve", url.Values{"resolution": {"shipped"}, "by": {"grace"}, "why": {"so"}})
	check("/orders/{id}/resolve", "post", "200", "/orders/"+string(id(100))+"/resolve", url.Values{"resolution": {"shipped"}, "tracking_id": {"p"}, "by": {"grace"}, "why": {"so"}})
	check("/orders/{id}/resolve", "post", "200", "/orders/"+string(id(101))+"/resolve", url.Values{"resolution": {"skip"}, "skip": {"email"}, "by": {"grace"}, "why": {"so"}})
	check("/orders/{id}/retry", "post", "200", "/orders/"+string(id(101))+"/retry", url.Values{"by": {"grace"}})
}

func TestTheDescriptionNamesEveryPath(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, doubtful())
	if r := w.do(t, http.MethodGet, "/openapi.yaml", nil); r.body != string(description) || r.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("the description is not served as it is, or as %q", r.header.Get("Content-Type"))
	}
	for path, item := range readContract(t).document["paths"].(map[string]any) {
		if _, get := item.(map[string]any)["get"]; !get {
			continue
		}
		r := w.do(t, http.MethodGet, strings.Replace(path, "{id}", string(id(2)), 1), nil, "Accept", "application/json")
		if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d, %s; want 200 and JSON", path, r.status, r.header.Get("Content-Type"))
		}
	}
}
