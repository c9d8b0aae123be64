package cluster

import (
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// LoadFiles reads the files of SSH keys that the file names, and looks whether its snippets are there. read gives the content
// of a file by its name in cluster.yaml: relative to the folder, absolute, or below ~. The error is an *Error.
func (f *File) LoadFiles(read func(name string) ([]byte, error)) error {
	c := &findings{file: f.Name}
	done := map[string]bool{}
	for _, s := range f.levels() {
		for _, k := range s.keys {
			if k.line != "" || done[k.file.name] {
				continue
			}
			done[k.file.name] = true
			text, err := read(k.file.name)
			if err != nil {
				c.fail(k.file.at, k.file.path, "%v", err)
				continue
			}
			f.text[k.file.name] = c.publicKeys(k.file, string(text))
		}
		for _, name := range s.snippets {
			if done[name.name] {
				continue
			}
			done[name.name] = true
			if !filepath.IsLocal(name.name) {
				c.fail(name.at, name.path, "%q: snippets are inside of the folder, so that they are versioned with it", name.name)
			} else if _, err := read(name.name); err != nil {
				c.fail(name.at, name.path, "%v", err)
			}
		}
	}
	_, err := c.result()
	return err
}

// levels gives the settings of all levels.
func (f *File) levels() []*settings {
	out := []*settings{&f.all}
	for i := range f.types {
		out = append(out, &f.types[i].v)
	}
	for i := range f.nodes {
		out = append(out, &f.nodes[i].v.settings)
	}
	return out
}

// publicKeys gives the keys of a file in the form of authorized_keys, each checked.
func (f *findings) publicKeys(file fileName, text string) string {
	if strings.Contains(text, "PRIVATE KEY-----") {
		f.fail(file.at, file.path, "%s is a private key; the public one is %s.pub", file.name, file.name)
		return ""
	}
	var lines []string
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
			f.fail(file.at, file.path, "%s line %d is not a public SSH key", file.name, n)
			continue
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 && !slices.ContainsFunc(f.list, func(p Problem) bool { return p.Path == file.path }) {
		f.fail(file.at, file.path, "there is no key in %s", file.name)
	}
	return strings.Join(lines, "\n")
}
