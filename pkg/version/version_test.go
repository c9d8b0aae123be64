package version

import (
	"runtime/debug"
	"testing"
)

func TestFrom(t *testing.T) {
	t.Parallel()
	vcs := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "a0e66d9a11112222"}, {Key: "vcs.time", Value: "2026-11-20T12:00:00Z"},
		{Key: "vcs.modified", Value: "true"},
	}
	tests := []struct {
		name, linked string
		build        debug.BuildInfo
		version      string
		long         string
	}{
		{name: "nothing known", version: "devel", long: "devel"},
		{name: "plain build", build: debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs},
			version: "devel", long: "devel (a0e66d9a, modified)"},
		{name: "module version", build: debug.BuildInfo{Main: debug.Module{Version: "v0.1.0"}}, version: "v0.1.0", long: "v0.1.0"},
		{name: "the linker wins", linked: "2.0.0", build: debug.BuildInfo{Main: debug.Module{Version: "v0.1.0"}, Settings: vcs},
			version: "2.0.0", long: "2.0.0 (a0e66d9a, modified)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := from(&tt.build, tt.linked)
			if got.Version != tt.version || got.Long() != tt.long {
				t.Errorf("version %q, long %q; want %q, %q", got.Version, got.Long(), tt.version, tt.long)
			}
			if got.Go == "" || got.Platform == "" {
				t.Errorf("no Go version or platform: %+v", got)
			}
		})
	}
}
