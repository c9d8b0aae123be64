package ignite

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/racker-project/racker/pkg/api"
)

// WipeRoot is the source that, merged over a node's config, has Ignition erase ROOT. The device is ROOT on the node's install
// disk; a config that has a file system of its own there, by Flatcar's names for it, keeps its format.
func WipeRoot(c *api.NodeConfig, device string) (api.ButaneSource, error) {
	d, err := declare(c)
	if err != nil {
		return api.ButaneSource{}, err
	}
	rest := "      format: ext4\n      label: ROOT\n"
	for _, f := range d.config.Storage.Filesystems {
		names := []string{device, "/dev/disk/by-label/ROOT", "/dev/disk/by-partlabel/ROOT"}
		if slices.Contains(names, f.Device) || deref(f.Label) == "ROOT" {
			// Each source is checked by itself, before it is merged: the format must be in this one, too.
			device, rest = f.Device, "      format: "+scalar(cmp.Or(deref(f.Format), "ext4")).String()+"\n"
		}
	}
	text := "variant: flatcar\nversion: 1.0.0\nstorage:\n  filesystems:\n    - device: %s\n%s      wipe_filesystem: true\n"
	return api.ButaneSource{Name: "racker: new root", Butane: fmt.Sprintf(text, scalar(device), rest)}, nil
}
