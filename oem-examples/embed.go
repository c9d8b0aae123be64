// Package oemexamples holds sample rack metadata, as racker factory offers it on a management node without any.
package oemexamples

import "embed"

// Files are nodes.csv, ipmi_user, ipmi_password, racker.yaml, and cluster.yaml, which has every key.
//
//go:embed nodes.csv ipmi_user ipmi_password racker.yaml cluster.yaml
var Files embed.FS
