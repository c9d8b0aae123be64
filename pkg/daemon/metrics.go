package daemon

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/racker-project/racker/pkg/event"
)

// meter counts for GET /metrics. How the rack is doing is asked for at each scrape.
type meter struct {
	registry  *prometheus.Registry
	log       *slog.Logger
	requests  *prometheus.CounterVec
	followers prometheus.Gauge
	events    *prometheus.CounterVec
	packets   *prometheus.CounterVec
	served    *prometheus.CounterVec
}

func newMeter(a *API) *meter {
	m := &meter{
		registry: prometheus.NewRegistry(), log: a.Log,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "racker_api_requests_total", Help: "Requests of the operator API that were answered.",
		}, []string{"method", "path", "code"}),
		followers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "racker_api_event_streams", Help: "Clients that read the stream of events now.",
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "racker_events_total",
			Help: "Events by kind; dhcp are packets of known machines, unknown those of others, file are transfers by TFTP and HTTP.",
		}, []string{"kind"}),
		packets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "racker_dhcp_packets_total", Help: "DHCP packets of known machines, and what was answered; no reply means silence.",
		}, []string{"type", "reply"}),
		served: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "racker_served_bytes_total", Help: "Bytes of the files that were fetched, by way: tftp or http.",
		}, []string{"by"}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "racker_build_info", Help: "Always 1; the labels say which build this is.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(a.Version, runtime.Version()).Set(1)
	m.registry.MustRegister(m.requests, m.followers, m.events, m.packets, m.served, build, rackMetrics{operator: a.Operator},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// serve answers a scrape. What cannot be gathered is left out, and logged.
func (m *meter) serve() http.HandlerFunc {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError,
		ErrorLog:      slog.NewLogLogger(m.log.Handler(), slog.LevelWarn),
	}).ServeHTTP
}

// streaming counts those who are reading a stream.
func (m *meter) streaming(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m.followers.Inc()
		defer m.followers.Dec()
		h(w, r)
	}
}

// counted counts the answers of a route.
func (m *meter) counted(rt route, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h(w, r)
		code := http.StatusOK
		if t, ok := w.(*timely); ok && t.status != 0 {
			code = t.status
		}
		m.requests.WithLabelValues(rt.method, rt.path, strconv.Itoa(code)).Inc()
	}
}

// count counts events until ctx is done.
func (m *meter) count(ctx context.Context, events Events) {
	for last := events.Last(); ctx.Err() == nil; {
		for e := range events.Subscribe(ctx, last) { // ends early when it was too slow: then on from the last
			last = e.ID
			m.note(&e)
		}
	}
}

func (m *meter) note(e *event.Event) {
	m.events.WithLabelValues(string(e.Kind)).Inc()
	if kind := e.Fields[event.KeyType]; kind != "" && e.Kind == event.DHCPSeen {
		m.packets.WithLabelValues(kind, e.Fields[event.KeyReply]).Inc()
	}
	if n, err := strconv.ParseInt(e.Fields[event.KeyBytes], 10, 64); err == nil && n > 0 && e.Kind == event.FileServed {
		m.served.WithLabelValues(e.Fields[event.KeyBy]).Add(float64(n))
	}
}
