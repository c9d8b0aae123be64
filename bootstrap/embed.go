// Package bootstrap holds the files that provisioning renders for the nodes: Butane templates and the scripts in them. It has no
// code; pkg/ignite knows what the templates may use.
package bootstrap

import "embed"

// Butane holds the Butane templates (butane/NAME.yaml.tmpl) and the scripts that go into configs as they are (butane/NAME.sh).
//
//go:embed butane
var Butane embed.FS
