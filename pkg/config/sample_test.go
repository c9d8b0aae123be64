package config

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	oemexamples "github.com/racker-project/racker/oem-examples"
)

// TestSample takes the comment signs off the sample's settings: it must name all of them, with their defaults.
func TestSample(t *testing.T) {
	t.Parallel()
	sample, err := oemexamples.Files.ReadFile("racker.yaml")
	if err != nil {
		t.Fatal(err)
	}
	bare := regexp.MustCompile(`(?m)^# ( *[a-z_]+:)`).ReplaceAll(sample, []byte("$1"))
	got := Default()
	got.Origin = map[string]string{}
	got.Microkernel.Args = []string{"to be emptied"}
	if err := parseFile(&got, "racker.yaml", bare); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys() {
		if got.Origin[k.name] == "" {
			t.Errorf("%s is not in the sample", k.name)
		}
	}
	want := Default()
	want.Microkernel.Args = []string{}
	got.Origin = nil
	if diff := cmp.Diff(want, got, cmpAddr()); diff != "" {
		t.Errorf("settings of the sample (-default +sample):\n%s", diff)
	}
}
