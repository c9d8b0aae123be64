package testos

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/cluster"
	"github.com/racker-project/racker/pkg/ignite"
	"github.com/racker-project/racker/pkg/rack"
)

// declaredCluster is node-1 with its boot NIC in a bond, and a VLAN on that. QEMU plays racker at 10.0.2.2.
const declaredCluster = `
network:
  bonds: {bond0: {mode: active-backup, members: [primary, secondary], primary: primary, mtu: 9000}}
  vlans:
    public:
      id: 100
      on: bond0
      mtu: 9000
      addresses: [203.0.113.5/24, "2001:db8::5/64"]
      gateway: [203.0.113.1, "2001:db8::1"]
      routes: [{to: 198.51.100.0/24, via: 203.0.113.254, metric: 7}]
  dns: 203.0.113.53
  ntp: [203.0.113.123]
sysctls: {net.ipv4.ip_forward: 1}
hosts: {registry.example.com: 203.0.113.9}
`

// declaredProbe tells on the console what became of it; each line begins with "probe: ".
const declaredProbe = `variant: flatcar
version: 1.0.0
storage:
  files:
    - path: /etc/probe
      mode: 0755
      contents:
        inline: |
          #!/bin/bash
          exec >/dev/console 2>&1
          facts() {
            ip -o -4 addr; ip -o -6 addr; ip -d -o link; ip route; ip -6 route; nft list table inet racker_internal
            cat /etc/hosts /proc/sys/net/ipv4/ip_forward /proc/net/bonding/bond0
            systemctl is-enabled update-engine.service locksmithd.service systemd-timesyncd.service
            systemctl is-active racker-internal.service systemd-timesyncd.service
            systemctl list-units --state=failed --plain --no-legend
            resolvectl dns public
            for at in 10.0.2.2/22 10.0.2.3/53 10.0.2.9/8443; do
              (: </dev/tcp/$at) 2>&1 | sed "s|^|$at |"
            done
            echo 203.0.113.7 node-7 >/etc/racker/hosts.cluster
            for n in 1 2 3 4 5; do grep -q node-7 /etc/hosts && break; sleep 1; done
            getent hosts node-7
          }
          facts | sed 's/^/probe: /'
          echo "probe: end"
systemd:
  units:
    - name: probe.service
      enabled: true
      contents: |
        [Unit]
        After=racker-callback.service systemd-networkd.service
        [Service]
        Type=oneshot
        ExecStart=/etc/probe
        [Install]
        WantedBy=multi-user.target
`

// TestVMDeclared boots a disk with all that cluster.yaml says of a node's network, and looks at the system from inside. The
// callback itself comes over the bond, through the guard of the internal network.
func TestVMDeclared(t *testing.T) {
	if os.Getenv("RACKER_VM") != "1" {
		t.Skip("set RACKER_VM=1 for tests with virtual machines")
	}
	image := disk(filepath.Join(t.TempDir(), "disk.img"))
	if _, err := Build(t.Context(), Options{Out: string(image), Log: testLog{t}}); err != nil {
		t.Fatal(err)
	}
	run(t, "truncate", "--size=4G", string(image))
	callbacks, node := newNode(t)
	at, err := netip.ParseAddrPort(strings.TrimSuffix(strings.TrimPrefix(node.CallbackURL, "https://"), "/callback/v1/node-1/"))
	if err != nil {
		t.Fatal(err)
	}
	node.Names = ignite.HostLine(netip.MustParseAddr("203.0.113.6"), "node-2")
	config, err := ignite.Render(t.Context(), ignite.Spec{Node: node, Custom: []ignite.Source{
		{Name: "cl/node-1.yaml", Butane: declaredButane(t, int(at.Port()))}, {Name: "cl/node-1-custom.yaml", Butane: []byte(declaredProbe)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	image.putConfig(t, config)
	m := boot(t, bios, string(image), "-netdev", "hubport,id=two,hubid=2", "-device", "virtio-net-pci,netdev=two,mac="+testMAC2)
	checkCallback(t, m, callbacks)
	m.waitFor("probe: end", 3*time.Minute)
	m.powerOff(time.Minute)
	checkDeclared(t, m.console.String())
}

// declaredButane is the config of node-1.
func declaredButane(t *testing.T, port int) []byte {
	t.Helper()
	file, err := cluster.Parse("cluster.yaml", []byte(declaredCluster))
	if err != nil {
		t.Fatal(err)
	}
	row := cluster.SiteNode{Name: "node-1", Where: "node-1", Address: netip.MustParseAddr("10.0.2.15")}
	for text, mac := range map[string]*rack.MAC{testMAC: &row.Primary, testMAC2: &row.Secondary} {
		if *mac, err = rack.ParseMAC(text); err != nil {
			t.Fatal(err)
		}
	}
	specs, _, err := file.Resolve(cluster.Site{
		Network: netip.MustParsePrefix("10.0.2.0/24"), Server: netip.MustParseAddr("10.0.2.2"), Ports: []int{port}, Nodes: []cluster.SiteNode{row},
	})
	if err != nil {
		t.Fatal(err)
	}
	butane, err := ignite.Butane(&specs[0])
	if err != nil {
		t.Fatal(err)
	}
	return butane
}

// checkDeclared looks for the facts of a probe, each a part of one line.
func checkDeclared(t *testing.T, console string) {
	t.Helper()
	var facts []string
	for line := range strings.Lines(console) {
		if _, fact, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "probe: "); ok {
			facts = append(facts, fact)
		}
	}
	text := strings.Join(facts, "\n")
	for _, want := range []string{
		"bond0    inet 10.0.2.15/24 brd 10.0.2.255 scope link", "public    inet 203.0.113.5/24", "public    inet6 2001:db8::5/64",
		"default via 203.0.113.1 dev public", "default via 2001:db8::1 dev public", "198.51.100.0/24 via 203.0.113.254 dev public proto static metric 7",
		"vlan protocol 802.1Q id 100", "mtu 9000", "Bonding Mode: fault-tolerance (active-backup)", "Permanent HW addr: " + testMAC, "Permanent HW addr: " + testMAC2,
		"ip daddr 10.0.2.0/24 drop", "203.0.113.6 node-2", "203.0.113.9 registry.example.com", "127.0.0.1 localhost", "203.0.113.7     node-7",
		"10.0.2.2/22: No route to host", "10.0.2.9/8443: No route to host", "203.0.113.53", "masked\nmasked\nenabled\nactive\nactive\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not among the facts", want)
		}
	}
	if strings.Contains(text, "default via 10.0.2") {
		t.Error("there is a default route by the internal network")
	}
	if t.Failed() {
		t.Log(text)
	}
}
