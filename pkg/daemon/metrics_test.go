package daemon

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/event"
)

// scraped gives the lines of racker's own metrics.
func scraped(t *testing.T, c *http.Client) map[string]string {
	t.Helper()
	status, body := ask(t, c, "GET", "/metrics", "")
	if status != http.StatusOK || !strings.Contains(body, "\ngo_goroutines ") || !strings.Contains(body, "\nprocess_open_fds ") {
		t.Fatalf("%d %s", status, body)
	}
	out := map[string]string{}
	for l := range strings.Lines(body) {
		if name, value, ok := strings.Cut(strings.TrimSpace(l), " "); ok && strings.HasPrefix(name, "racker_") {
			out[name] = value
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	bus, _ := published(event.Event{Kind: event.Alarm, Message: "before the daemon counts"})
	_, c := serving(t, bus)
	ask(t, c, "GET", "/v1/nodes/x", "")
	ask(t, c, "POST", "/v1/nodes/n1/adopt", "")
	bus.Publish(event.Event{Kind: event.DHCPSeen, Fields: map[string]string{event.KeyType: "DISCOVER", event.KeyReply: "OFFER"}})
	bus.Publish(event.Event{Kind: event.FileServed, Fields: map[string]string{event.KeyBytes: "10", event.KeyBy: event.ByTFTP}})
	bus.Publish(event.Event{Kind: event.FileServed, Fields: map[string]string{event.KeyBytes: "none"}})
	followed(t.Context(), t, c, "")
	want := map[string]string{
		`racker_nodes{state="ready"}`:                                                       "1",
		`racker_nodes_stuck`:                                                                "1",
		`racker_runs{state="running"}`:                                                      "1",
		`racker_questions`:                                                                  "1",
		`racker_dhcp_leases{role="server"}`:                                                 "1",
		`racker_events_total{kind="dhcp"}`:                                                  "1",
		`racker_events_total{kind="file"}`:                                                  "2",
		`racker_dhcp_packets_total{reply="OFFER",type="DISCOVER"}`:                          "1",
		`racker_served_bytes_total{by="tftp"}`:                                              "10",
		`racker_api_event_streams`:                                                          "1",
		`racker_api_requests_total{code="404",method="GET",path="/v1/nodes/{node}"}`:        "1",
		`racker_api_requests_total{code="200",method="POST",path="/v1/nodes/{node}/adopt"}`: "1",
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := scraped(t, c)
		for name := range got {
			if strings.HasPrefix(name, "racker_build_info{") && strings.Contains(name, `version="1.2.3"`) || strings.Contains(name, "/metrics") {
				delete(got, name)
			}
		}
		d := cmp.Diff(want, got)
		if d == "" {
			return
		}
		if time.Now().After(deadline) { // events are counted a moment after they are published
			t.Fatalf("(-want +got):\n%s", d)
		}
	}
}
