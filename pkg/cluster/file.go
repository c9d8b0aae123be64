package cluster

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/racker-project/racker/pkg/rack"
)

// FileName is what the file is called in its folder.
const FileName = "cluster.yaml"

// File is a cluster.yaml that was read.
type File struct {
	// Name is for errors.
	Name  string
	all   settings
	types []named[settings]
	nodes []named[entry]
	// text are the files of SSH keys that the file names, by their names, once they are read.
	text map[string]string
}

// entry is what the file says of one node.
type entry struct {
	settings
	mac *placed[rack.MAC]
}

// Parse reads the text of a cluster.yaml, called name in errors. The error is an *Error with everything that is wrong. Files
// that it names are not read: LoadKeys does that.
func Parse(name string, text []byte) (*File, error) {
	r := &reader{findings{file: name}}
	f := &File{Name: name, text: map[string]string{}}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF): // empty, or comments only
		return f, nil
	case err != nil:
		r.broken(err)
	default:
		r.file(f, doc.Content[0])
		if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
			r.fail(pos{}, "", "more than one YAML document")
		}
	}
	if _, err := r.result(); err != nil {
		return nil, err
	}
	return f, nil
}

// yamlLine finds the place in an error of the YAML library, which is "yaml: line 3: what".
var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func (r *reader) broken(err error) {
	m := yamlLine.FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(m[1]) // 0 without one
	r.fail(pos{line, min(line, 1)}, "", "%s", strings.TrimPrefix(err.Error(), m[0]))
}

func (r *reader) file(f *File, n *yaml.Node) {
	keys := append(r.settingKeys(&f.all),
		key{"types", func(n *yaml.Node, path string) {
			r.each(n, path, func(name, value *yaml.Node, path string) {
				t := named[settings]{name: placed[string]{name.Value, at(name), path}}
				r.mapping(value, path, r.settingKeys(&t.v))
				f.types = append(f.types, t)
			})
		}},
		key{"nodes", func(n *yaml.Node, path string) {
			r.each(n, path, func(name, value *yaml.Node, path string) {
				e := named[entry]{name: placed[string]{strings.ToLower(name.Value), at(name), path}}
				if !hostForm.MatchString(e.name.v) || len(e.name.v) > 64 {
					r.fail(at(name), path, "is no host name: want labels of a-z, 0-9 and inner hyphens, 64 bytes at most")
				}
				if i := slices.IndexFunc(f.nodes, func(o named[entry]) bool { return o.name.v == e.name.v }); i >= 0 {
					r.fail(at(name), path, "is there twice, first on line %d", f.nodes[i].name.at.line)
				}
				mac := key{"mac", func(n *yaml.Node, path string) { e.v.mac = r.mac(n, path) }}
				r.mapping(value, path, append(r.settingKeys(&e.v.settings), mac))
				f.nodes = append(f.nodes, e)
			})
		}},
	)
	r.mapping(n, "", keys)
}

func (r *reader) mac(n *yaml.Node, path string) *placed[rack.MAC] {
	text, ok := r.text(n, path)
	if !ok {
		return nil
	}
	mac, err := rack.ParseMAC(text)
	if err != nil {
		r.fail(at(n), path, "%q is no MAC address", text)
		return nil
	}
	return &placed[rack.MAC]{mac, at(n), path}
}
