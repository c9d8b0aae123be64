package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

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
	put := a.machine.Place
	if put == nil {
		put = a.putConfig
	}
	at, err := put(ctx, plan.Disk, config)
	if err != nil {
		return ignitionResult{}, err
	}
	a.log.Info("Ignition config placed", "file", at, "bytes", len(config))
	return ignitionResult{Partition: at, Bytes: len(config)}, nil
}

// putConfig writes the config to the OEM partition itself.
func (a *Agent) putConfig(_ context.Context, disk api.Disk, config []byte) (string, error) {
	part, err := a.findOEM(disk)
	if err != nil {
		return "", err
	}
	dir, leave, err := a.machine.Mount(part.device, part.filesystem)
	if err != nil {
		return "", fmt.Errorf("mount %s, %s: %w", part.device, part.filesystem, err)
	}
	err = place(dir, configName, config)
	if err := errors.Join(err, leave()); err != nil {
		return "", fmt.Errorf("write %s to %s: %w", configName, part.device, err)
	}
	return part.device, nil
}

// oemPartition is where the config goes.
type oemPartition struct {
	device, filesystem string
}

// findOEM finds the partition of that name on that disk, or else the one whose file system has that label. Partitions of
// other disks are never looked at.
func (a *Agent) findOEM(disk api.Disk) (oemPartition, error) {
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
		case p.Name == oemLabel && filesystem == "":
			return oemPartition{}, fmt.Errorf("partition OEM (%s) has no btrfs, ext4 or vfat file system", at.device)
		case p.Name == oemLabel:
			return at, nil
		case label == oemLabel && filesystem != "" && labelled == nil:
			labelled = &at
		}
	}
	if labelled == nil {
		return oemPartition{}, fmt.Errorf("the image on %s has no partition OEM to take the Ignition config", disk.Path)
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
