package cli

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/cluster"
)

// profileFlatcar is the image profile of Flatcar itself.
const profileFlatcar = "flatcar"

// imageFor names the image of the library that a node is to have: by name or ID, else the newest Flatcar of its channel and
// version.
func imageFor(images []api.ImageView, want cluster.Image) (string, error) {
	if want.Name != "" {
		i := slices.IndexFunc(images, func(img api.ImageView) bool { return img.Name == want.Name || img.ID == want.Name })
		if i < 0 {
			return "", withHint(usageError("image %q: racker has none of this name", want.Name), "racker image list")
		}
		return images[i].Name, nil
	}
	fit := flatcars(images, want)
	if len(fit) > 0 {
		return fit[0].Name, nil
	}
	what, pull := "flatcar", "racker image pull flatcar"
	if want.Channel != "" {
		what, pull = what+" "+want.Channel, pull+" --channel "+want.Channel
	}
	if want.Version != "" {
		what, pull = what+" "+want.Version, pull+" --version "+want.Version
	}
	return "", withHint(usageError("image: racker has no %s", what), pull)
}

// newestFlatcar gives the channel and version of the newest Flatcar that racker holds. One that somebody called flatcar is what
// was meant.
func newestFlatcar(images []api.ImageView) (cluster.Image, error) {
	if slices.ContainsFunc(images, func(img api.ImageView) bool { return img.Name == profileFlatcar }) {
		return cluster.Image{Name: profileFlatcar}, nil
	}
	fit := flatcars(images, cluster.Image{})
	if len(fit) == 0 {
		return cluster.Image{}, withHint(usageError("--image is missing, and racker has no Flatcar"), "racker image pull flatcar")
	}
	return cluster.Image{Channel: fit[0].Channel, Version: fit[0].Version}, nil
}

// flatcars gives the Flatcar releases of a channel and version, empty for any, the newest first. For another architecture than
// the usual one an image is named.
func flatcars(images []api.ImageView, want cluster.Image) []api.ImageView {
	var out []api.ImageView
	for _, img := range images {
		if img.Profile == profileFlatcar && img.Version != "" && (img.Arch == "" || img.Arch == "amd64") &&
			(want.Channel == "" || img.Channel == want.Channel) && (want.Version == "" || img.Version == want.Version) {
			out = append(out, img)
		}
	}
	slices.SortStableFunc(out, func(a, b api.ImageView) int { return compareVersions(b.Version, a.Version) })
	return out
}

// compareVersions compares numbers between dots; what is no number counts as 0.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		part := func(words []string) (n int) {
			if i < len(words) {
				n, _ = strconv.Atoi(words[i])
			}
			return n
		}
		if c := cmp.Compare(part(as), part(bs)); c != 0 {
			return c
		}
	}
	return 0
}
