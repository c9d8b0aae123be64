package dhcpd

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string // in the error; empty is none
	}{
		{"as it is", func(*Config) {}, ""},
		{"no pool", func(c *Config) { c.PoolFirst, c.PoolLast = netip.Addr{}, netip.Addr{} }, ""},
		{"a /16", func(c *Config) {
			c.Prefix = netip.MustParsePrefix("172.24.0.0/16")
			c.PoolFirst, c.PoolLast = netip.MustParseAddr("172.24.128.0"), netip.MustParseAddr("172.24.255.254")
		}, ""},
		{"no interface", func(c *Config) { c.Interface = "" }, "interface"},
		{"IPv6", func(c *Config) { c.Prefix = netip.MustParsePrefix("fd00::/64") }, "want an IPv4 network"},
		{"server elsewhere", func(c *Config) { c.Server = foreign }, "not a host of"},
		{"server is the network", func(c *Config) { c.Server = c.Prefix.Addr() }, "not a host of"},
		{"server is broadcast", func(c *Config) { c.Server = broadcastOf(c.Prefix) }, "not a host of"},
		{"pool elsewhere", func(c *Config) { c.PoolLast = foreign }, "not inside"},
		{"half a pool", func(c *Config) { c.PoolLast = netip.Addr{} }, "not inside"},
		{"pool backwards", func(c *Config) { c.PoolFirst, c.PoolLast = c.PoolLast, c.PoolFirst }, "ends before it begins"},
		{"short lease", func(c *Config) { c.PoolLease = time.Second }, "lease times"},
		{"port", func(c *Config) { c.Port = 70000 }, "port 70000"},
		{"script", func(c *Config) { c.ScriptPath = "/" + strings.Repeat("x", 128) }, "script URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			c.change(&cfg)
			_, err := New(cfg, nil, nil, nil, nil, nil)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("unexpected: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error = %v, want one with %q", err, c.want)
			}
		})
	}
}
