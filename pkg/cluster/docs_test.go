package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/rack"
)

// allKeys gives every key of the file, but those whose names are free.
func allKeys() []string {
	r := &reader{}
	keys := r.settingKeys(&settings{})
	keys = append(keys, r.linkKeys(&link{})...)
	var out []string
	for _, k := range keys {
		out = append(out, k.name)
	}
	return append(out, "types", "nodes", "mac", "nic", "nics", "bonds", "vlans", "dns", "search", "ntp", "mode", "members", "lacp_rate", "primary", "id", "on",
		"channel", "version", "wwn", "serial", "by_path", "model", "size", "rotational", "file")
}

// TestSample: the example has every key, and is right.
func TestSample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "oem-examples", FileName))
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(FileName, text)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := os.Open(filepath.Join("..", "..", "oem-examples", "nodes.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	list, err := rack.ReadCSV(rows, "nodes.csv", rack.ReadOptions{ManagementMAC: rack.MAC{0x52, 0x54, 0, 0xaa, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	site := testSite()
	for i, n := range list.Servers() {
		site.Nodes[i].Name, site.Nodes[i].Where, site.Nodes[i].Type = n.Name, n.Where(), n.Type
		site.Nodes[i].Primary, site.Nodes[i].Secondary, site.Nodes[i].NICs = n.Primary, n.Secondary, nil
	}
	site.Nodes[2].NICs = []rack.MAC{{0x52, 0x54, 0, 0xdd, 0, 4}}
	specs, warnings, err := f.Resolve(site)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v\n%v", warnings, err)
	}
	if specs[1].Name != "database" || len(specs[2].Network.NICs) != 2 || len(specs[0].Network.VLANs[0].Addresses) != 2 {
		t.Errorf("%+v", specs)
	}
	for _, key := range allKeys() {
		if !strings.Contains(string(text), key) {
			t.Errorf("the example lacks %s", key)
		}
	}
}

// TestDocs: each key is explained.
func TestDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "cluster.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range allKeys() {
		if !strings.Contains(string(text), "`"+key+"`") && !strings.Contains(string(text), "`"+key+":") && !strings.Contains(string(text), "| `"+key) {
			t.Errorf("docs/cluster.md does not explain %s", key)
		}
	}
}
