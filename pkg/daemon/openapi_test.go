package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/racker-project/racker/pkg/event"
)

// described is the description as a client sees it.
type described struct {
	OpenAPI    string                          `json:"openapi"`
	Paths      map[string]map[string]any       `json:"paths"`
	Components map[string]map[string]component `json:"components"`

	raw any
}

type component = map[string]any

func describe(t *testing.T) *described {
	t.Helper()
	b, err := descriptionJSON()
	if err != nil {
		t.Fatal(err)
	}
	d := &described{}
	if err := json.Unmarshal(b, d); err != nil {
		t.Fatal(err)
	}
	if d.raw, err = jsonschema.UnmarshalJSON(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return d
}

// schema compiles what is at a place of the description.
func (d *described) schema(t *testing.T, place string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020) // OpenAPI 3.1: the schema object is one of JSON Schema 2020-12
	c.AssertFormat()
	if err := c.AddResource("racker:openapi.json", d.raw); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("racker:openapi.json#" + place)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pointer joins keys to a JSON pointer (RFC 6901).
func pointer(keys ...string) string {
	var out strings.Builder
	for _, k := range keys {
		out.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(k))
	}
	return out.String()
}

// operation is one method of one path.
type operation struct {
	path, method string
	at           string // JSON pointer
	spec         map[string]any
	shared       []any // parameters of the path
}

func (d *described) operations() []operation {
	var out []operation
	for path, item := range d.Paths {
		shared, _ := item["parameters"].([]any)
		for method, spec := range item {
			if m, ok := spec.(map[string]any); ok {
				out = append(out, operation{path: path, method: strings.ToUpper(method), at: pointer("paths", path, method), spec: m, shared: shared})
			}
		}
	}
	return out
}

// find follows a $ref, which is inside the description always.
func (d *described) find(t *testing.T, v map[string]any) map[string]any {
	t.Helper()
	ref, ok := v["$ref"].(string)
	if !ok {
		return v
	}
	at := d.raw
	for _, k := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[k]
	}
	m, ok := at.(map[string]any)
	if !ok {
		t.Fatalf("%s leads nowhere", ref)
	}
	return m
}

func TestDescriptionHasEveryRoute(t *testing.T) {
	a := newAPI("", nil)
	var routes, paths []string
	for _, rt := range a.routes(newMeter(a)) {
		routes = append(routes, rt.method+" "+rt.path)
	}
	d := describe(t)
	if d.OpenAPI != "3.1.0" {
		t.Errorf("openapi: %s", d.OpenAPI)
	}
	for _, op := range d.operations() {
		paths = append(paths, op.method+" "+op.path)
	}
	slices.Sort(routes)
	slices.Sort(paths)
	if diff := cmp.Diff(routes, paths); diff != "" {
		t.Errorf("(-routes +description):\n%s", diff)
	}
}

func TestEveryOperationIsWhole(t *testing.T) {
	d := describe(t)
	ids := map[string]bool{}
	for _, op := range d.operations() {
		name := op.method + " " + op.path
		id, _ := op.spec["operationId"].(string)
		if id == "" || ids[id] {
			t.Errorf("%s: operationId %q", name, id)
		}
		ids[id] = true
		if s, _ := op.spec["summary"].(string); s == "" {
			t.Errorf("%s has no summary", name)
		}
		answers, _ := op.spec["responses"].(map[string]any)
		if answers["200"] == nil || answers["default"] == nil {
			t.Errorf("%s: answers %v, want 200 and default", name, slices.Collect(maps.Keys(answers)))
		}
		var wild, params []string
		for _, part := range strings.Split(op.path, "/") {
			if strings.HasPrefix(part, "{") {
				wild = append(wild, strings.Trim(part, "{}"))
			}
		}
		own, _ := op.spec["parameters"].([]any)
		for _, p := range append(slices.Clone(op.shared), own...) {
			p := d.find(t, p.(map[string]any))
			if p["description"] == nil || p["example"] == nil || p["schema"] == nil {
				t.Errorf("%s: parameter %v lacks its description, example or schema", name, p["name"])
			}
			if p["in"] == "path" {
				params = append(params, p["name"].(string))
			}
		}
		if diff := cmp.Diff(wild, params); diff != "" {
			t.Errorf("%s: (-path +parameters)\n%s", name, diff)
		}
	}
}

// Every example fits its schema, wherever it is.
func TestExamplesFit(t *testing.T) {
	d := describe(t)
	seen := 0
	var walk func(at string, v any)
	check := func(at, what string, example any) {
		seen++
		if err := d.schema(t, at+"/schema").Validate(example); err != nil {
			t.Errorf("%s %s: %v", at, what, err)
		}
	}
	walk = func(at string, v any) {
		switch v := v.(type) {
		case []any:
			for i, e := range v {
				walk(fmt.Sprintf("%s/%d", at, i), e)
			}
		case map[string]any:
			if _, ok := v["schema"]; ok {
				if e, ok := v["example"]; ok && v["in"] == nil { // those of parameters are text on the wire
					check(at, "example", e)
				}
				many, _ := v["examples"].(map[string]any)
				for name, e := range many {
					check(at, name, d.find(t, e.(map[string]any))["value"])
				}
			}
			for k, e := range v {
				walk(at+pointer(k), e)
			}
		}
	}
	walk("", d.raw)
	if seen < 20 {
		t.Errorf("only %d examples", seen)
	}
}

// Real answers of a running API fit the description: each operation is asked with its own examples.
func TestAnswersFit(t *testing.T) {
	bus, _ := published(event.Event{Kind: event.Transition, Message: "one", Node: mac1, Fields: map[string]string{"state": "ready"}})
	a, c := serving(t, bus)
	d := describe(t)
	for _, op := range d.operations() {
		path := strings.NewReplacer("{", "", "}", "").Replace(op.path)
		body := ""
		if b, ok := op.spec["requestBody"].(map[string]any); ok {
			content := b["content"].(map[string]any)
			if m, ok := content["application/json"].(map[string]any); ok {
				raw, err := json.Marshal(m["example"])
				if err != nil {
					t.Fatal(err)
				}
				body = string(raw)
			} else {
				body = "an image"
			}
		}
		status, answer := ask(t, c, op.method, path, body)
		if status != http.StatusOK {
			t.Errorf("%s %s: %d %s", op.method, path, status, answer)
			continue
		}
		d.fits(t, op, answer)
		if status, answer := ask(t, dialling(t, a.Path), op.method, path+"/x/x", ""); status != http.StatusNotFound {
			t.Errorf("%s %s: %d", op.method, path+"/x/x", status)
		} else if err := d.validate(t, "/components/schemas/Error", answer); err != nil {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// fits holds an answer, or each line of it, against what the description promises.
func (d *described) fits(t *testing.T, op operation, answer string) {
	t.Helper()
	at := op.at + pointer("responses", "200")
	r := op.spec["responses"].(map[string]any)["200"].(map[string]any)
	if ref, ok := r["$ref"].(string); ok {
		at, r = strings.TrimPrefix(ref, "#"), d.find(t, r)
	}
	for kind := range r["content"].(map[string]any) {
		place := at + pointer("content", kind, "schema")
		switch kind {
		case "application/json":
			if err := d.validate(t, place, answer); err != nil {
				t.Errorf("%s %s: %v in %s", op.method, op.path, err, answer)
			}
		case jsonLines:
			for l := range strings.Lines(answer) {
				if err := d.validate(t, place, l); err != nil {
					t.Errorf("%s %s: %v in %s", op.method, op.path, err, l)
				}
			}
		case "text/plain":
		default:
			t.Errorf("%s %s answers %s", op.method, op.path, kind)
		}
	}
}

func (d *described) validate(t *testing.T, place, text string) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return d.schema(t, place).Validate(v)
}
