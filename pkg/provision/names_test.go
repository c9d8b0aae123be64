package provision

import (
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/api"
)

// sendAddresses declares both servers with addresses of their own, and gives a request that names the configs.
func (w *world) sendAddresses(first, second string) api.RunRequest {
	w.t.Helper()
	req := api.RunRequest{Provision: "flatcar", Image: "os", OnFailure: "cancel", PowerCycleRunning: true, Erase: api.EraseExact, Configs: map[string]string{}}
	for last, addresses := range map[byte]string{2: first, 3: second} {
		n, _ := w.at().node(mac(last))
		c := config(n.Name, "same")
		c.Labels = map[string]string{labelAddresses: addresses}
		v, err := w.at().PutConfig(w.t.Context(), n.Name, c)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Configs[mac(last).String()] = v.WantedDigest
	}
	return req
}

// TestNamesAreLive: what a node's config says of others is nothing; it hears their names when it is installed, and each change
// of them over SSH.
func TestNamesAreLive(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	if v := w.runToEnd(w.sendAddresses("203.0.113.2 2001:db8::2 nonsense", "203.0.113.3")); v.Code != 0 {
		t.Fatalf("run: %+v", v)
	}
	text, digest := w.at().clusterHosts()
	if want := "203.0.113.2 node-1\n2001:db8::2 node-1\n203.0.113.3 node-2\n"; string(text) != want {
		t.Errorf("names:\n%swant:\n%s", text, want)
	}
	knows := func(last byte, digest string) func(*Machine) bool {
		return func(m *Machine) bool {
			rec := m.record(mac(last))
			return rec != nil && rec.Install != nil && rec.Install.Names == digest
		}
	}
	for _, last := range []byte{2, 3} { // its agent would have asked for the Ignition config, which has racker's key and the names
		err := w.at().update(t.Context(), mac(last), func(r *Record) error {
			r.Install.RackKey, r.Install.Names = "key", digest
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.remote.at(mac(3), func(s *sshNode) { s.gone = 1 })
	w.sendAddresses("203.0.113.2 2001:db8::2", "203.0.113.33")
	_, digest = w.at().clusterHosts()
	w.until(knows(2, digest))
	w.remote.at(mac(2), func(s *sshNode) {
		if told := s.scripts[len(s.scripts)-1]; !strings.Contains(told, "/etc/racker/hosts.cluster") || !strings.Contains(told, "203.0.113.33 node-2\n") {
			t.Errorf("node-1 was told:\n%s", told)
		}
	})
	// The one that did not answer hears of it when there is something new, or after a while.
	w.kill()
	w.start(nil)
	w.until(knows(3, digest))
}

// TestNamesOfRowsThatWent are no names, and a node without a config is told none.
func TestNamesOfRowsThatWent(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.runToEnd(request())
	w.sendAddresses("203.0.113.2", "203.0.113.3")
	w.csv = oneRow
	if err := w.at().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, digest := w.at().clusterHosts()
	if string(text) != "203.0.113.3 node-2\n" {
		t.Errorf("names:\n%s", text)
	}
	if w.at().lacksNames(mac(3), digest) {
		t.Error("a node without a config is told names")
	}
}
