// Package oemexamples holds sample rack metadata, as racker factory offers it on a management node without any.
package oemexamples

import "embed"

// Files are nodes.csv, ipmi_user, ipmi_password and racker.yaml.
//
//go:embed nodes.csv ipmi_user ipmi_password racker.yaml
var Files embed.FS
