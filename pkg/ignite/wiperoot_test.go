package ignite

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
)

// TestWipeRoot merges the order to erase ROOT over configs that say something of ROOT themselves, or do not.
func TestWipeRoot(t *testing.T) {
	const device = "/dev/disk/by-partuuid/0c6bd8a1-2b7c-4d1e-9f3a-5b8e7d6c4a21"
	own := func(text string) string { return "storage:\n  filesystems:\n    - {" + text + "}\n" }
	for name, tt := range map[string]struct {
		butane, device, format string
	}{
		"nothing said":           {"", device, "ext4"},
		"its format":             {own("device: /dev/disk/by-label/ROOT, format: btrfs, label: ROOT"), "/dev/disk/by-label/ROOT", "btrfs"},
		"erased already":         {own("device: /dev/disk/by-partlabel/ROOT, format: ext4, wipe_filesystem: true"), "/dev/disk/by-partlabel/ROOT", "ext4"},
		"by its label":           {own("device: /dev/vda9, format: xfs, label: ROOT"), "/dev/vda9", "xfs"},
		"another file system":    {own("device: /dev/disk/by-label/data, format: xfs, label: data"), device, "ext4"},
		"the same partition":     {own("device: " + device + ", format: ext4"), device, "ext4"},
		"a device and no format": {own("device: /dev/disk/by-label/ROOT"), "/dev/disk/by-label/ROOT", "ext4"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "variant: flatcar\nversion: 1.0.0\n" + tt.butane
			wipe, err := WipeRoot(&api.NodeConfig{Butane: []api.ButaneSource{{Name: "cl/node-1-custom.yaml", Butane: text}}}, device)
			if err != nil {
				t.Fatal(err)
			}
			out, err := Render(t.Context(), Spec{Node: testNode(t), Custom: []Source{{"custom", []byte(text)}, {wipe.Name, []byte(wipe.Butane)}}})
			if err != nil {
				t.Fatal(err)
			}
			var c struct {
				Storage struct {
					Filesystems []struct {
						Device, Format string
						WipeFilesystem bool
					}
				}
			}
			if err := json.Unmarshal(out, &c); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range c.Storage.Filesystems {
				if f.WipeFilesystem {
					got = append(got, f.Device, f.Format)
				}
			}
			if diff := cmp.Diff([]string{tt.device, tt.format}, got); diff != "" {
				t.Errorf("erased (-want +got):\n%s", diff)
			}
		})
	}
}
