package archtest

import (
	"go/parser"
	"go/token"
	"testing"
)

// The rules themselves find what they are for.
func TestRefuse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, imp string
		test, may bool
	}{
		{"dhcpd", module + "/pkg/rack", false, true},
		{"dhcpd", module + "/pkg/dhcpd", false, true},
		{"dhcpd", "github.com/insomniacslk/dhcp/dhcpv4", false, true},
		{"dhcpd", module + "/pkg/tftpd", false, false},
		{"dhcpd", module + "/pkg/provision", false, false},
		{"dhcpd", module + "/pkg/provision", true, false},
		{"dhcpd", module + "/pkg/nowhere", false, false},
		{"dhcpd", module + "/cmd/racker", false, false},
		{"dhcpd", module + "/pkg/internal/nettest", false, false},
		{"dhcpd", module + "/pkg/internal/nettest", true, true},
		{"cli", module + "/pkg/cli/serve", false, true},
		{"cli", module + "/pkg/tui", false, true},
		{"tui", module + "/pkg/cli", false, false},
		{"config", module + "/pkg/rack", false, true},
		{"rack", module + "/pkg/config", false, false},
		{"provision", module + "/pkg/daemon", false, false},
		{"provision", module + "/pkg/daemon", true, true},
		{"provision", module + "/pkg/store/storetest", false, false},
		{"provision", module + "/pkg/store/storetest", true, true},
		{"cli", module + "/bootstrap", false, true},
	}
	for _, tt := range tests {
		if why := refuse(tt.from, tt.imp, tt.test); (why == "") != tt.may {
			t.Errorf("%s imports %s (tests: %v): refused with %q, want allowed: %v", tt.from, tt.imp, tt.test, why, tt.may)
		}
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	const src = `package p
import (
	system "os"
	"os/exec"
	"fmt"
)
func init() { system.Exit(1); fmt.Println(); _ = exec.ErrDot }
`
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		s    symbol
		want int
	}{
		"renamed import": {symbol{pkg: "os", names: []string{"Exit"}}, 1},
		"other name":     {symbol{pkg: "os", names: []string{"Getenv"}}, 0},
		"import itself":  {symbol{pkg: "os/exec"}, 1},
		"not imported":   {symbol{pkg: "log"}, 0},
		"several names":  {symbol{pkg: "fmt", names: []string{"Print", "Println"}}, 1},
	}
	for name, tt := range tests {
		if got := len(uses(f, tt.s)); got != tt.want {
			t.Errorf("%s: found %d uses, want %d", name, got, tt.want)
		}
	}
	if initAt(f) == token.NoPos {
		t.Error("init was not found")
	}
}
