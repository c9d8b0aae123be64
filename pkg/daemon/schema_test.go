package daemon

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

// bodies are what clients send; all else is only answered.
func bodies() []any {
	return []any{api.RunRequest{}, api.Answer{}, api.EraseAnswer{}, api.ErasePlan{}, api.Reprovision{}, api.BootOrder{}, api.PowerOrder{}, api.Replace{}, api.ImageChange{}, api.ImagePull{},
		api.NodeConfig{}, api.ApplyOrder{}, api.OSUpgrade{}}
}

// answers are the roots of what is answered.
func answers() []any {
	return []any{api.RackView{}, api.NodeView{}, api.RunView{}, api.EraseView{}, api.OrderView{}, api.ConfigView{}, api.HostView{}, api.KeyView{}, api.KeyRotation{}, api.ReloadView{}, api.ImageView{}, api.ImageAddLine{}, api.PullView{},
		api.LeaseView{}, api.UpdateView{}, api.AuditView{}, api.Error{}, event.Event{}}
}

// plainSchemas are those that no Go type stands for.
func plainSchemas() []string { return []string{"Flag", "SHA256", "EventID", "MAC", "OnFailure"} }

// structs collects the types of structs below a type, by name.
func structs(t reflect.Type, into map[string]reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		structs(t.Elem(), into)
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() || into[t.Name()] != nil {
			return
		}
		into[t.Name()] = t
		for f := range t.Fields() {
			if f.Tag.Get("json") != "-" {
				structs(f.Type, into)
			}
		}
	}
}

func TestSchemasAreTheTypes(t *testing.T) {
	d := describe(t)
	sent, all := map[string]reflect.Type{}, map[string]reflect.Type{}
	for _, v := range bodies() {
		structs(reflect.TypeOf(v), sent)
		structs(reflect.TypeOf(v), all)
	}
	for _, v := range answers() {
		structs(reflect.TypeOf(v), all)
	}
	var have []string
	for name := range d.Components["schemas"] {
		if !slices.Contains(plainSchemas(), name) {
			have = append(have, name)
		}
	}
	slices.Sort(have)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(all)), have); diff != "" {
		t.Fatalf("(-types +schemas):\n%s", diff)
	}
	for _, name := range exported(t, "operator.go", "order.go", "image.go", "host.go") {
		if all[name] == nil {
			t.Errorf("api.%s is in no answer and no body", name)
		}
	}
	for name, typ := range all {
		s := d.Components["schemas"][name]
		d.compare(t, name, typ, s, sent[name] != nil)
	}
}

// compare holds a schema of an object against a struct.
func (d *described) compare(t *testing.T, name string, typ reflect.Type, s map[string]any, sent bool) {
	t.Helper()
	props, _ := s["properties"].(map[string]any)
	always := []string{}
	var fields []string
	for f := range typ.Fields() {
		tag, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "-" {
			continue
		}
		fields = append(fields, tag)
		if opts == "" {
			always = append(always, tag)
		}
		if p, ok := props[tag].(map[string]any); ok {
			if want, got := wireType(f.Type), d.wireOf(t, p); want != got {
				t.Errorf("%s.%s: type %s, in the description %s", name, tag, want, got)
			}
		}
	}
	slices.Sort(fields)
	if diff := cmp.Diff(fields, slices.Sorted(maps.Keys(props))); diff != "" {
		t.Errorf("%s: (-fields +properties)\n%s", name, diff)
	}
	var required []string
	list, _ := s["required"].([]any)
	for _, r := range list {
		required = append(required, r.(string))
	}
	for _, r := range required {
		if !slices.Contains(fields, r) || !sent && !slices.Contains(always, r) {
			t.Errorf("%s.%s is required, and may be absent", name, r)
		}
	}
	if sent != (s["additionalProperties"] == false) {
		t.Errorf("%s: fields that are not known are refused in bodies, and only there", name)
	}
	if sent {
		return // the daemon takes what is absent for zero
	}
	for _, f := range always {
		if !slices.Contains(required, f) {
			t.Errorf("%s.%s is always there, and not required", name, f)
		}
	}
}

// wireType says how a Go type looks in JSON.
func wireType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wireType(t.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "integer"
	case reflect.Slice:
		return "array of " + wireType(t.Elem())
	case reflect.Map:
		return "map of " + wireType(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return "date-time"
		}
		return t.Name()
	}
	return t.String()
}

// wireOf says the same of a schema.
func (d *described) wireOf(t *testing.T, s map[string]any) string {
	t.Helper()
	if ref, ok := s["$ref"].(string); ok {
		name := ref[strings.LastIndex(ref, "/")+1:]
		if !slices.Contains(plainSchemas(), name) {
			return name
		}
		return d.wireOf(t, d.find(t, s))
	}
	kind := fmt.Sprint(s["type"])
	if list, ok := s["type"].([]any); ok && len(list) == 2 && list[1] == "null" {
		kind = fmt.Sprint(list[0])
	}
	elem := func(key string) string {
		m, _ := s[key].(map[string]any)
		return d.wireOf(t, m)
	}
	switch {
	case s["format"] == "date-time":
		return "date-time"
	case kind == "array":
		return "array of " + elem("items")
	case kind == "object":
		return "map of " + elem("additionalProperties")
	}
	return kind
}

// exported gives the structs that files of package api declare.
func exported(t *testing.T, files ...string) []string {
	t.Helper()
	var out []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "api", name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() {
				if _, ok := spec.Type.(*ast.StructType); ok {
					out = append(out, spec.Name.Name)
				}
			}
			return true
		})
	}
	return out
}
