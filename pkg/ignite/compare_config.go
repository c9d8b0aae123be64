package ignite

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_6"
	"github.com/coreos/ignition/v2/config/v3_6/types"
	"github.com/vincent-petithory/dataurl"

	"github.com/racker-project/racker/pkg/api"
)

// declared is what the sources of a node's config say together.
type declared struct {
	config types.Config
	files  map[string]*file
	units  map[string]types.Unit
}

// file is a file of a config with its content, as far as the config holds it.
type file struct {
	types.File
	content []byte
	// elsewhere is set when only Ignition can fetch, or put together, the content; so it is for a file without contents, which
	// Ignition makes only where there is none, and leaves as it is otherwise.
	elsewhere bool
}

// declare translates and merges the sources of a config. The host name is a file, too, unless the sources have it.
func declare(c *api.NodeConfig) (*declared, error) {
	sources := make([]Source, 0, len(c.Butane))
	for _, s := range c.Butane {
		sources = append(sources, Source{Name: s.Name, Butane: []byte(s.Butane)})
	}
	return declareSources(c.HostName, sources)
}

func declareSources(hostName string, sources []Source) (*declared, error) {
	var merged types.Config
	merged.Ignition.Version = types.MaxVersion.String()
	for _, source := range sources {
		raw, _, err := Translate(source.Name, source.Butane)
		if err != nil {
			return nil, err
		}
		parsed, found, err := v3_6.ParseCompatibleVersion(raw)
		if err != nil || found.IsFatal() {
			problems := problemsOf(found)
			if !found.IsFatal() {
				problems = append(problems, Problem{Message: err.Error(), Fatal: true})
			}
			return nil, &ConfigError{Name: source.Name, Problems: problems}
		}
		merged = v3_6.Merge(merged, parsed)
	}
	d := &declared{config: merged, files: map[string]*file{}, units: map[string]types.Unit{}}
	if hostName != "" {
		d.files[hostNamePath] = &file{File: types.File{Node: types.Node{Path: hostNamePath}}, content: []byte(hostName + "\n")}
	}
	for _, f := range merged.Storage.Files {
		content, elsewhere, err := contentOf(f)
		if err != nil {
			return nil, &ConfigError{Name: "the config of " + hostName, Problems: []Problem{{Path: f.Path, Message: err.Error(), Fatal: true}}}
		}
		d.files[f.Path] = &file{File: f, content: content, elsewhere: elsewhere}
	}
	for _, u := range merged.Systemd.Units {
		d.units[u.Name] = u
	}
	return d, nil
}

const hostNamePath = "/etc/hostname"

// maxContent bounds what a compressed file may unpack to, in bytes.
const maxContent = 8 << 20

var errLongContent = errors.New("it unpacks to more than 8 MiB")

// contentOf gives the content of a file that is in the config itself.
func contentOf(f types.File) (content []byte, elsewhere bool, err error) {
	source := deref(f.Contents.Source)
	if len(f.Append) > 0 || !strings.HasPrefix(source, "data:") {
		return nil, true, nil
	}
	decoded, err := dataurl.DecodeString(source)
	if err != nil {
		return nil, false, fmt.Errorf("its contents are no data URL: %w", err)
	}
	if deref(f.Contents.Compression) != "gzip" {
		return decoded.Data, false, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(decoded.Data))
	if err != nil {
		return nil, false, fmt.Errorf("unpack it: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(r, maxContent+1))
	if err != nil {
		return nil, false, fmt.Errorf("unpack it: %w", err)
	}
	if len(out) > maxContent {
		return nil, false, errLongContent
	}
	return out, false, nil
}

// defaultFileMode is the mode that a config leaves open (Ignition config specification 3, storage).
const defaultFileMode = 0o644

func (f *file) mode() int {
	if f.Mode == nil {
		return defaultFileMode
	}
	return *f.Mode
}

// owner gives USER:GROUP, root's where the config leaves it open.
func owner(n types.Node) string {
	return word(n.User.Name, n.User.ID) + ":" + word(n.Group.Name, n.Group.ID)
}

// declaredOwner gives what chown takes: USER, :GROUP, USER:GROUP, or nothing for what the config leaves open.
func declaredOwner(n types.Node) string {
	var out string
	if n.User.ID != nil || deref(n.User.Name) != "" {
		out = word(n.User.Name, n.User.ID)
	}
	if n.Group.ID != nil || deref(n.Group.Name) != "" {
		out += ":" + word(n.Group.Name, n.Group.ID)
	}
	return out
}

func word(name *string, id *int) string {
	if id != nil {
		return strconv.Itoa(*id)
	}
	return cmp.Or(deref(name), "0")
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// keysOf gives the keys of both maps, sorted.
func keysOf[V any](a, b map[string]V) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// byKey indexes a list.
func byKey[T any](list []T, key func(T) string) map[string]T {
	out := make(map[string]T, len(list))
	for _, v := range list {
		out[key(v)] = v
	}
	return out
}
