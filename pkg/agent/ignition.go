package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/image"
)

// oemLabel names the partition, or its file system, that holds the Ignition config; configName is where Flatcar's
// Ignition looks for it there.
const (
	oemLabel   = "OEM"
	configName = "config.ign"
)

// ignitionResult is the result of the step.
type ignitionResult struct {
	Skipped   bool   `json:"skipped"` // the image takes no config
	Partition string `json:"partition,omitempty"`
	Bytes     int    `json:"bytes,omitempty"`
}

// ignition places the config on the OEM partition of the disk that was written. An order without a config skips it.
func (a *Agent) ignition(ctx context.Context, w *work) (ignitionResult, error) {
	plan, err := a.target(ctx, w)
	if err != nil {
		return ignitionResult{}, err
	}
	config, err := a.fetch(ctx, w.job.ID, api.BlobIgnition)
	var status *StatusError
	if errors.As(err, &status) && status.Code == http.StatusNotFound || err == nil && len(config) == 0 {
		a.log.Info("the order has no Ignition config")
		return ignitionResult{Skipped: true}, nil
	}
	if err != nil {
		return ignitionResult{}, fmt.Errorf("fetch the Ignition config: %w", err)
	}
	files := map[string][]byte{configName: config}
	if err := a.kernelFile(ctx, w, files); err != nil {
		return ignitionResult{}, err
	}
	var at string
	if a.machine.Place != nil {
		at, err = a.machine.Place(ctx, plan.Disk, config)
	} else {
		at, err = a.putFiles(plan.Disk, cmp.Or(w.job.Image.OEMLabel, oemLabel), files)
	}
	if err != nil {
		return ignitionResult{}, err
	}
	a.log.Info("Ignition config placed", "file", at, "bytes", len(config))
	return ignitionResult{Partition: at, Bytes: len(config)}, nil
}

// kernelFile adds the file of kernel arguments, where the image has a place for one and the order something to say.
func (a *Agent) kernelFile(ctx context.Context, w *work, files map[string][]byte) error {
	name := w.job.Image.KernelFile
	if name == "" {
		return nil
	}
	if name != filepath.Base(name) || name == configName || name == "." || name == ".." {
		return fmt.Errorf("the order has kernel arguments in %q", name)
	}
	text, err := a.fetch(ctx, w.job.ID, api.BlobKernel)
	if err != nil {
		return fmt.Errorf("fetch the kernel arguments: %w", err)
	}
	if len(text) > 0 {
		files[name] = text
	}
	return nil
}

// putFiles writes files to the OEM partition itself; the config, without which nothing boots as it should, comes last.
func (a *Agent) putFiles(disk api.Disk, label string, files map[string][]byte) (string, error) {
	part, err := a.findOEM(disk, label)
	if err != nil {
		return "", err
	}
	dir, leave, err := a.machine.Mount(part.device, part.filesystem)
	if err != nil {
		return "", fmt.Errorf("mount %s, %s: %w", part.device, part.filesystem, err)
	}
	names := slices.Sorted(maps.Keys(files))
	names = append(slices.DeleteFunc(names, func(name string) bool { return name == configName }), configName)
	for _, name := range names {
		if err = place(dir, name, files[name]); err != nil {
			err = fmt.Errorf("write %s to %s: %w", name, part.device, err)
			break
		}
	}
	if lerr := leave(); lerr != nil {
		err = errors.Join(err, fmt.Errorf("leave %s: %w", part.device, lerr))
	}
	if err != nil {
		return "", err
	}
	return part.device, nil
}

// oemPartition is where the config goes.
type oemPartition struct {
	device, filesystem string
}

// findOEM finds the partition of that name on that disk, or else the one whose file system has that label. Partitions of
// other disks are never looked at.
func (a *Agent) findOEM(disk api.Disk, name string) (oemPartition, error) {
	d, err := a.machine.OpenDisk(disk)
	if err != nil {
		return oemPartition{}, fmt.Errorf("open %s: %w", disk.Path, err)
	}
	defer func() { _ = d.Close() }() // it was only read
	parts, err := image.ReadPartitions(d, d.Size())
	if err != nil {
		return oemPartition{}, fmt.Errorf("look for the OEM partition on %s: %w", disk.Path, err)
	}
	var labelled *oemPartition
	for _, p := range parts {
		filesystem, label := probe(io.NewSectionReader(d, p.Offset(), p.Size()))
		at := oemPartition{device: image.PartitionPath(disk.Path, p.Number), filesystem: filesystem}
		switch {
		case p.Name == name && filesystem == "":
			return oemPartition{}, fmt.Errorf("partition %s (%s) has no btrfs, ext4 or vfat file system", name, at.device)
		case p.Name == name:
			return at, nil
		case label == name && filesystem != "" && labelled == nil:
			labelled = &at
		}
	}
	if labelled == nil {
		return oemPartition{}, fmt.Errorf("the image on %s has no partition %s to take the Ignition config", disk.Path, name)
	}
	return *labelled, nil
}

// place writes a file that only root may read, whole or not at all, and durably.
func place(dir, name string, data []byte) error {
	f, err := os.CreateTemp(dir, ".racker-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, fs.ErrInvalid) { // vfat does not sync directories; the unmount does
		err = nil
	}
	return errors.Join(err, d.Close())
}
