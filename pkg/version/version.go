// Package version says which racker this is.
package version

import (
	"runtime"
	"runtime/debug"
)

// number is set by the linker (-X .../pkg/version.number=1.2.3); empty in a build that is no release.
var number string

// Info describes one build. Fields that the build does not know are empty.
type Info struct {
	// Version is the release's number, the module's version, or "devel".
	Version string `json:"version"`
	// Revision is the full commit; Modified reports changes on top of it.
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	// Time is the commit's time, RFC 3339.
	Time string `json:"time,omitempty"`
	Go   string `json:"go"`
	// Platform is GOOS/GOARCH.
	Platform string `json:"platform"`
}

// Get describes the running program.
func Get() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return from(build, number)
}

// String gives the version alone, as scripts compare it.
func String() string { return Get().Version }

// Long gives the version with its commit, for people: "1.2.3 (a0e66d9a, modified)".
func (i Info) Long() string {
	if i.Revision == "" {
		return i.Version
	}
	short := i.Revision
	if len(short) > shortRevision {
		short = short[:shortRevision]
	}
	if i.Modified {
		short += ", modified"
	}
	return i.Version + " (" + short + ")"
}

// shortRevision is how many digits of a commit a person wants to read.
const shortRevision = 8

func from(build *debug.BuildInfo, linked string) Info {
	i := Info{Version: linked, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if v := build.Main.Version; i.Version == "" && v != "" && v != "(devel)" {
		i.Version = v
	}
	if i.Version == "" {
		i.Version = "devel"
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Revision = s.Value
		case "vcs.time":
			i.Time = s.Value
		case "vcs.modified":
			i.Modified = s.Value == "true"
		}
	}
	return i
}
