package fleet

import (
	"errors"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/bootd"
	"github.com/racker-project/racker/pkg/ignite"
)

// What racker renders is understood.
func TestParseConfig(t *testing.T) {
	t.Parallel()
	ca, err := bootd.NewAuthority(time.Now())
	check(t, err)
	raw, err := ignite.Render(t.Context(), ignite.Spec{Node: ignite.Node{
		HostName: "node-7", InternalMAC: macB.String(), CallbackURL: "https://172.24.213.1:8443/callback/v1/node-7/",
		CallbackToken: "secret-token", CAPEM: ca.PEM(),
	}})
	check(t, err)
	c, err := parseConfig(raw)
	check(t, err)
	if c.host != "node-7" || c.token != "secret-token" || c.callback.String() != "https://172.24.213.1:8443/callback/v1/node-7/" || c.ca == nil {
		t.Errorf("%+v", c)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"no JSON":         "#cloud-config",
		"another version": `{"ignition":{"version":"2.2.0"}}`,
		"no data URL":     `{"ignition":{"version":"3.3.0"},"storage":{"files":[{"path":"/etc/hostname","contents":{"source":"http://x/"}}]}}`,
		"compression":     `{"ignition":{"version":"3.3.0"},"storage":{"files":[{"path":"/etc/hostname","contents":{"source":"data:,x","compression":"xz"}}]}}`,
		"no CA":           `{"ignition":{"version":"3.3.0"},"storage":{"files":[{"path":"/etc/racker/callback-url","contents":{"source":"data:,https%3A%2F%2Fx%2F"}}]}}`,
	} {
		if _, err := parseConfig([]byte(raw)); !errors.Is(err, errConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"ignition":{"version":"3.3.0"},"storage":{"files":[{"path":"/etc/hostname","contents":{"source":"data:;base64,eA==","compression":"gzip"}}]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseConfig(raw)
		if err == nil && c.callback != nil && c.ca == nil {
			t.Error("a callback without a CA")
		}
	})
}
