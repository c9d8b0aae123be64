package agent

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// modules loads kernel modules of one directory in the format of modules.dep(5), as package initrd writes it: modules are
// not compressed, and modules.dep names all dependencies of each. It may be used concurrently.
type modules struct {
	dir     string
	paths   map[string]string   // name -> path below dir
	deps    map[string][]string // name -> paths, loaded from the last to the first
	aliases map[string][]alias  // by the word before the first colon
	soft    map[string][2][]string
	insert  func(file string) error

	mu    sync.Mutex
	tried map[string]error // by name; nil when loaded
	busy  map[string]bool  // being loaded; soft dependencies may lead in a circle
}

// alias says which module drives devices whose modalias matches pattern.
type alias struct {
	pattern, module string
}

// openModules reads the metadata. A directory without any gives a loader that knows nothing.
func openModules(dir string, insert func(string) error) (*modules, error) {
	m := &modules{
		dir: dir, insert: insert, paths: map[string]string{}, deps: map[string][]string{}, aliases: map[string][]alias{},
		soft: map[string][2][]string{}, tried: map[string]error{}, busy: map[string]bool{},
	}
	for _, f := range []struct {
		name string
		take func(line string)
	}{{"modules.dep", m.takeDep}, {"modules.alias", m.takeAlias}, {"modules.softdep", m.takeSoft}} {
		if err := eachLine(filepath.Join(dir, f.name), f.take); err != nil {
			return nil, fmt.Errorf("read kernel modules: %w", err)
		}
	}
	return m, nil
}

// eachLine gives each line of a file; a file that does not exist has none.
func eachLine(name string, take func(string)) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if line := strings.TrimSpace(sc.Text()); line != "" && line[0] != '#' {
			take(line)
		}
	}
	return sc.Err()
}

func (m *modules) takeDep(line string) {
	file, deps, ok := strings.Cut(line, ":")
	if !ok {
		return
	}
	name := moduleName(file)
	m.paths[name] = file
	m.deps[name] = strings.Fields(deps)
}

func (m *modules) takeAlias(line string) {
	if w := strings.Fields(line); len(w) == 3 && w[0] == "alias" {
		pattern := normal(w[1])
		bus, _, _ := strings.Cut(pattern, ":")
		m.aliases[bus] = append(m.aliases[bus], alias{pattern: pattern, module: underscored(w[2])})
	}
}

func (m *modules) takeSoft(line string) {
	w := strings.Fields(line)
	if len(w) < 3 || w[0] != "softdep" {
		return
	}
	name := underscored(w[1])
	s := m.soft[name]
	at := 0
	for _, x := range w[2:] {
		switch x {
		case "pre:":
			at = 0
		case "post:":
			at = 1
		default:
			s[at] = append(s[at], x)
		}
	}
	m.soft[name] = s
}

func underscored(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleName gives the kernel's name of a module file.
func moduleName(file string) string { return underscored(strings.TrimSuffix(path.Base(file), ".ko")) }

// load loads a module with its dependencies; a name that is unknown is tried as an alias. It reports whether anything was
// loaded that was not before. A module that failed is not tried again.
func (m *modules) load(name string) (fresh bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loadAny(name)
}

func (m *modules) loadAny(name string) (bool, error) {
	if m.paths[underscored(name)] != "" {
		return m.loadOne(underscored(name))
	}
	fresh := false
	var errs []error
	for _, n := range m.matching(name) {
		f, err := m.loadOne(n)
		fresh = fresh || f
		errs = append(errs, err)
	}
	return fresh, errors.Join(errs...)
}

func (m *modules) loadOne(name string) (fresh bool, err error) {
	if _, done := m.tried[name]; done || m.busy[name] {
		return false, nil // an error was told when it happened
	}
	m.busy[name] = true
	defer delete(m.busy, name)
	soft := m.soft[name]
	for _, s := range soft[0] {
		f, _ := m.loadAny(s) // a wish: the module itself says what it cannot do without
		fresh = fresh || f
	}
	for _, dep := range slices.Backward(m.deps[name]) {
		f, err := m.insertOnce(moduleName(dep), dep)
		fresh = fresh || f
		if err != nil {
			m.tried[name] = err
			return fresh, err
		}
	}
	f, err := m.insertOnce(name, m.paths[name])
	fresh = fresh || f
	if err != nil {
		return fresh, err
	}
	for _, s := range soft[1] {
		f, _ := m.loadAny(s)
		fresh = fresh || f
	}
	return fresh, nil
}

// insertOnce hands one module to the kernel.
func (m *modules) insertOnce(name, file string) (bool, error) {
	if err, done := m.tried[name]; done {
		return false, err
	}
	err := m.insert(filepath.Join(m.dir, file))
	there := errors.Is(err, unix.EEXIST)
	if there {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("load module %s: %w", name, err)
	}
	m.tried[name] = err
	return err == nil && !there, err
}

// matching gives the modules whose alias fits a device's modalias, or a name that the kernel asks for.
func (m *modules) matching(modalias string) []string {
	modalias = normal(modalias)
	bus, _, _ := strings.Cut(modalias, ":")
	var out []string
	for _, a := range m.aliases[bus] {
		if ok, err := path.Match(a.pattern, modalias); err == nil && ok && !slices.Contains(out, a.module) {
			out = append(out, a.module)
		}
	}
	return out
}

// normal writes an alias so that "-" and "_" are one, as modprobe(8) has it, save for ranges in brackets; and so that "*"
// does not stop at a slash, which is a letter like any other here.
func normal(alias string) string {
	depth := 0
	return strings.Map(func(r rune) rune {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == '-' && depth == 0:
			return '_'
		case r == '/':
			return 1
		}
		return r
	}, alias)
}

// insertFile is finit_module(2).
func insertFile(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// count is how many modules were loaded, those that were there before not counted twice.
func (m *modules) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, err := range m.tried {
		if err == nil {
			n++
		}
	}
	return n
}

// withoutHelper calls f while the kernel does not call modprobe for modules that it wants itself.
func withoutHelper(proc string, f func() error) error {
	name := filepath.Join(proc, "sys/kernel/modprobe")
	was, err := os.ReadFile(name)
	if err != nil {
		return f()
	}
	err = os.WriteFile(name, []byte("\n"), 0o644)
	return errors.Join(err, f(), os.WriteFile(name, was, 0o644))
}
