package daemon

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// scrapeTime bounds what a scrape asks the rack.
const scrapeTime = 5 * time.Second

// rackMetrics tells how the rack is doing when it is scraped.
type rackMetrics struct{ operator Operator }

// The metrics have no state, so their descriptions are made where they are needed.
func nodesDesc() *prometheus.Desc {
	return prometheus.NewDesc("racker_nodes", "Servers by the state that they are in.", []string{"state"}, nil)
}

func stuckDesc() *prometheus.Desc {
	return prometheus.NewDesc("racker_nodes_stuck", "Servers that should go on and do not, for which there is a diagnosis.", nil, nil)
}

func runsDesc() *prometheus.Desc {
	return prometheus.NewDesc("racker_runs", "Runs by their state.", []string{"state"}, nil)
}

func questionsDesc() *prometheus.Desc {
	return prometheus.NewDesc("racker_questions", "Questions of runs that wait for an answer.", nil, nil)
}

func leasesDesc() *prometheus.Desc {
	return prometheus.NewDesc("racker_dhcp_leases", "DHCP leases by whom they are for.", []string{"role"}, nil)
}

// Describe implements prometheus.Collector.
func (rackMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{nodesDesc(), stuckDesc(), runsDesc(), questionsDesc(), leasesDesc()} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c rackMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	c.nodes(ctx, to)
	c.runs(to)
	leases, err := c.operator.Leases(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(leasesDesc(), err)
		return
	}
	roles := map[string]int{}
	for i := range leases {
		roles[leases[i].Role]++
	}
	gauges(to, leasesDesc(), roles)
}

func (c rackMetrics) nodes(ctx context.Context, to chan<- prometheus.Metric) {
	nodes, err := c.operator.Nodes(ctx, false)
	if err != nil {
		to <- prometheus.NewInvalidMetric(nodesDesc(), err)
		return
	}
	states, stuck := map[string]int{}, 0
	for i := range nodes {
		if nodes[i].Management {
			continue
		}
		states[nodes[i].State]++
		if nodes[i].Diagnosis != "" {
			stuck++
		}
	}
	gauges(to, nodesDesc(), states)
	to <- prometheus.MustNewConstMetric(stuckDesc(), prometheus.GaugeValue, float64(stuck))
}

func (c rackMetrics) runs(to chan<- prometheus.Metric) {
	states, questions := map[string]int{}, 0
	for _, run := range c.operator.Runs() {
		states[run.State]++
		questions += len(run.Questions)
	}
	gauges(to, runsDesc(), states)
	to <- prometheus.MustNewConstMetric(questionsDesc(), prometheus.GaugeValue, float64(questions))
}

// gauges gives one gauge per label.
func gauges(to chan<- prometheus.Metric, d *prometheus.Desc, counts map[string]int) {
	for label, n := range counts {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), label)
	}
}
