package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/cluster"
)

func TestImageFor(t *testing.T) {
	t.Parallel()
	release := func(channel, version, arch string) api.ImageView {
		return api.ImageView{ID: "id-" + version + arch, Name: "flatcar-" + version + strings.TrimPrefix(arch, "amd64"), Profile: "flatcar", Channel: channel, Version: version, Arch: arch}
	}
	images := []api.ImageView{
		{ID: "abc", Name: "testos", Profile: "testos"}, release("stable", "4593.2.5", "amd64"), release("stable", "10000.2.0", "arm64"),
		release("stable", "4593.2.10", "amd64"), release("beta", "4757.1.0", "amd64"),
	}
	for _, tt := range []struct {
		want        cluster.Image
		name, wrong string
	}{
		{cluster.Image{Name: "testos"}, "testos", ""},
		{cluster.Image{Name: "abc"}, "testos", ""},
		{cluster.Image{Name: "flatcar-10000.2.0arm64"}, "flatcar-10000.2.0arm64", ""},
		{cluster.Image{Name: "gone"}, "", "racker has none of this name"},
		{cluster.Image{}, "flatcar-4757.1.0", ""},
		{cluster.Image{Channel: "stable"}, "flatcar-4593.2.10", ""},
		{cluster.Image{Channel: "stable", Version: "4593.2.5"}, "flatcar-4593.2.5", ""},
		{cluster.Image{Version: "4593.2.5"}, "flatcar-4593.2.5", ""},
		{cluster.Image{Channel: "alpha", Version: "1.0.0"}, "", "racker has no flatcar alpha 1.0.0"},
	} {
		got, err := imageFor(images, tt.want)
		if got != tt.name || (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%+v: %q, %v", tt.want, got, err)
		}
		if err != nil && tt.want.Channel != "" && !slices.Contains(hints(err), "racker image pull flatcar --channel alpha --version 1.0.0") {
			t.Errorf("hints %q", hints(err))
		}
	}
	if got, err := newestFlatcar(images); err != nil || got != (cluster.Image{Channel: "beta", Version: "4757.1.0"}) {
		t.Errorf("newest: %+v, %v", got, err)
	}
	if got, err := newestFlatcar(append(images, api.ImageView{Name: "flatcar"})); err != nil || got.Name != "flatcar" {
		t.Errorf("by name: %+v, %v", got, err)
	}
	if _, err := newestFlatcar(nil); err == nil || !slices.Contains(hints(err), "racker image pull flatcar") {
		t.Errorf("without any: %v", err)
	}
}
