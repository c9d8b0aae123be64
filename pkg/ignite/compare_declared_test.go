package ignite

import (
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/api"
)

// TestCompareDeclared changes one line of cluster.yaml at a time: what an operator pays for it.
func TestCompareDeclared(t *testing.T) {
	t.Parallel()
	base := declarations()["static"]
	for name, tt := range map[string]struct {
		from, to string // "" adds the new text at the end
		cost     string
		action   string
	}{
		"nothing":                  {"", "", api.CostNothing, ""},
		"SSH key":                  {"ssh_keys: [", "ssh_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS new, ", api.CostLive, "ssh-keys core"},
		"hosts":                    {"registry.example.com: 203.0.113.9", "registry.example.com: 203.0.113.10", api.CostLive, "write /etc/racker/hosts"},
		"NTP":                      {"ntp: [ntp.example.com, ", "ntp: [", api.CostLive, "restart systemd-timesyncd.service"},
		"DNS":                      {"dns: [203.0.113.53, ", "dns: [203.0.113.54, ", api.CostLive, "network"},
		"search domain":            {"search: [example.com]", "search: [example.org]", api.CostLive, "network"},
		"sysctl":                   {"vm.max_map_count: 262144", "vm.max_map_count: 524288", api.CostLive, "sysctl"},
		"sysctl gone":              {"vm.max_map_count: 262144, ", "", api.CostReboot, "write"},
		"updates off":              {"updates: no-reboot", "updates: \"off\"", api.CostLive, "mask update-engine.service"},
		"updates with reboots":     {"updates: no-reboot", "updates: reboot", api.CostLive, "unmask locksmithd.service"},
		"channel":                  {"channel: stable", "channel: beta", api.CostLive, "write /etc/flatcar/update.conf"},
		"address":                  {"203.0.113.5/24", "203.0.113.7/24", api.CostReboot, "write /etc/systemd/network/"},
		"MTU":                      {"mtu: 9000", "mtu: 1500", api.CostReboot, "write /etc/systemd/network/"},
		"route":                    {"via: 203.0.113.254", "via: 203.0.113.253", api.CostReboot, "write /etc/systemd/network/"},
		"a snippet is not in here": {"version: 4593.2.5", "version: 4600.0.0", api.CostNothing, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := func(text string) *api.NodeConfig {
				butane, err := Butane(resolved(t, text))
				if err != nil {
					t.Fatal(err)
				}
				return &api.NodeConfig{HostName: "node-1", Butane: []api.ButaneSource{{Name: "cl/node-1.yaml", Butane: string(butane)}}}
			}
			changed := strings.Replace(base, tt.from, tt.to, 1)
			if changed == base && name != "nothing" {
				t.Fatalf("%q is not in the text", tt.from)
			}
			got, err := Compare(config(base), config(changed))
			if err != nil || got.Cost != tt.cost {
				t.Fatalf("%s, %v, want %s: %+v", got.Cost, err, tt.cost, got.Changes)
			}
			if !strings.Contains(strings.Join(steps(got.Actions), "\n"), tt.action) {
				t.Errorf("actions %q, want %q", steps(got.Actions), tt.action)
			}
		})
	}
}
