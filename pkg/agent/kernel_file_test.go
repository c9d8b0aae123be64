package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/racker-project/racker/pkg/api"
)

// The kernel arguments of an order go beside the config; an order without any leaves the image's own file alone.
func TestKernelFile(t *testing.T) {
	t.Parallel()
	img := makeImage(t, fsExt4)
	for name, text := range map[string]string{"some": "set linux_append='quiet'\n", "none": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rigFor(t, img)
			job := *r.srv.job
			what := *job.Image
			what.KernelFile, what.OEMLabel = "grub.cfg", "OEM"
			job.Image, r.srv.job = &what, &job
			r.srv.blobs[api.BlobKernel] = []byte(text)
			stop := r.start(t)
			r.rebooted(t)
			if err := stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
			r.installed(t)
			got, err := os.ReadFile(filepath.Join(r.oem, "grub.cfg"))
			if string(got) != text || (text == "") != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestKernelFileRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../passwd", "a/b", configName, "..", "/etc/x"} {
		a, files := &Agent{}, map[string][]byte{}
		err := a.kernelFile(t.Context(), &work{job: &api.Job{Image: &api.Image{KernelFile: name}}}, files)
		if err == nil || len(files) > 0 {
			t.Errorf("%s: %v, %v", name, files, err)
		}
	}
}
