package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/cluster"
	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/ignite"
)

// Names in a cluster's folder.
const (
	configDir     = "cl"
	configSuffix  = ".yaml"
	customSuffix  = "-custom.yaml"
	generatedHead = "# Made by racker from cluster.yaml. Change that, or write cl/%s-custom.yaml: this file is not read.\n"
	generatedSum  = "# sha256 of what follows: "
)

// Labels of an api.NodeConfig.
const (
	labelVersion   = "version"   // the OS version that is wanted
	labelChannel   = "channel"   // the channel that it is from
	labelAddresses = "addresses" // static public addresses, separated by blanks: where other nodes find it
)

// declaredNode is one node as the folder declares it.
type declaredNode struct {
	Spec  cluster.Spec
	Where string // name and place
	// Config is what the daemon gets of it.
	Config api.NodeConfig
	// Generated is the text of cl/NAME.yaml.
	Generated []byte
	// Warnings are doubts about the operator's own Butane files.
	Warnings []string
}

// MAC names the node for the daemon.
func (n *declaredNode) MAC() string { return n.Spec.MAC.String() }

// declare resolves the folder with the rack: one declaredNode per server, in the order of nodes.csv. Warnings are about
// cluster.yaml. The error has every mistake in cluster.yaml, or in the operator's Butane files.
func (f *clusterFolder) declare(ctx context.Context, d siteSource, ports config.Ports) ([]declaredNode, []string, error) {
	site, err := clusterSite(ctx, d, ports)
	if err != nil {
		return nil, nil, err
	}
	specs, found, err := f.file.Resolve(site)
	if err != nil || len(found) > 0 { // what is wrong may be that a NIC is known from the inventory only
		var seen cluster.Site
		if seen, err = withInventories(ctx, d, site); err != nil {
			return nil, nil, err
		}
		site = seen
		specs, found, err = f.file.Resolve(site)
	}
	if err != nil {
		return nil, nil, withCode(codeUsage, err)
	}
	warnings := make([]string, 0, len(found))
	for _, p := range found {
		warnings = append(warnings, p.String())
	}
	s := &sources{folder: f, checked: map[string][]string{}}
	nodes := make([]declaredNode, len(specs))
	var errs []error
	for i := range specs {
		nodes[i] = declaredNode{Spec: specs[i], Where: site.Nodes[i].Where}
		if err := s.fill(&nodes[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return nodes, warnings, withCode(codeUsage, errors.Join(append(s.errs, errs...)...))
}

// sources reads the operator's Butane files, each once.
type sources struct {
	folder  *clusterFolder
	checked map[string][]string // warnings by file
	errs    []error
}

// fill makes what the daemon gets of a node.
func (s *sources) fill(n *declaredNode) error {
	spec := &n.Spec
	text, err := ignite.Butane(spec)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Where, err)
	}
	n.Generated = generated(spec.Name, text)
	n.Config = api.NodeConfig{
		HostName: spec.Name, Image: spec.Image.Name, Wipe: spec.Wipe, WipeOldOS: spec.WipeOldOS, WipeForeign: spec.WipeForeign, KernelArgs: spec.KernelArgs,
		Console: spec.Console, Labels: labels(spec), Disk: diskRule(spec.Disk),
		Butane: []api.ButaneSource{{Name: configFile(spec.Name, configSuffix), Butane: string(n.Generated)}},
	}
	var own []ignite.Source
	for _, name := range append(slices.Clone(spec.Snippets), configFile(spec.Name, customSuffix)) {
		text, err := s.read(name)
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(name, customSuffix) || err == nil && ignite.Empty(text) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.folder.path(name), err)
		}
		n.Warnings = append(n.Warnings, s.check(name, text)...)
		n.Config.Butane = append(n.Config.Butane, api.ButaneSource{Name: name, Butane: string(text)})
		own = append(own, ignite.Source{Name: name, Butane: text})
	}
	if len(own) == 0 || len(s.errs) > 0 {
		return nil
	}
	problems, err := ignite.NetworkProblems(own, n.MAC())
	n.Warnings = append(n.Warnings, problems...)
	return err
}

func (s *sources) read(name string) ([]byte, error) {
	if s.folder.root == nil {
		return nil, fs.ErrNotExist
	}
	return readAtMost(s.folder.root.Open(name))
}

// check gives a file's warnings, and keeps its errors, once.
func (s *sources) check(name string, text []byte) []string {
	if was, ok := s.checked[name]; ok {
		return was
	}
	found, err := ignite.Check(s.folder.path(name), text)
	if err != nil {
		s.errs = append(s.errs, err)
	}
	out := []string{}
	for _, p := range found {
		out = append(out, p.In(name))
	}
	s.checked[name] = out
	return out
}

func configFile(node, suffix string) string { return configDir + "/" + node + suffix }

// generated puts a head on a config that tells whether somebody changed it.
func generated(node string, text []byte) []byte {
	return []byte(fmt.Sprintf(generatedHead, node) + generatedSum + sum(text) + "\n" + string(text))
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}

// intact reports whether a file is as racker wrote it.
func intact(text []byte) bool {
	_, rest, _ := strings.Cut(string(text), "\n")
	line, body, ok := strings.Cut(rest, "\n")
	digest, found := strings.CutPrefix(line, generatedSum)
	return ok && found && digest == sum([]byte(body))
}

func labels(s *cluster.Spec) map[string]string {
	out := map[string]string{}
	set := func(name, value string) {
		if value != "" {
			out[name] = value
		}
	}
	set(labelVersion, s.Image.Version)
	set(labelChannel, s.Image.Channel)
	var addrs []string
	for _, a := range s.Addresses() {
		addrs = append(addrs, a.String())
	}
	set(labelAddresses, strings.Join(addrs, " "))
	if len(out) == 0 {
		return nil
	}
	return out
}

func diskRule(r cluster.DiskRule) api.DiskRule {
	return api.DiskRule{
		Name: r.Name, WWN: r.WWN, Serial: r.Serial, ByPath: r.ByPath, Model: r.Model,
		MinSize: r.MinSize, MaxSize: r.MaxSize, Rotational: r.Rotational,
	}
}
