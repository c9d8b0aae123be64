// Package profile reads image profiles: YAML files that say what kinds of images there are, where each takes its Ignition
// config, and at which version. Those of Flatcar, of the test OS and of plain disks ship with racker; a site adds its own.
//
// A file holds one profile and is called NAME.yaml. Mistakes are told by file, line and column, all at once.
//
// The package starts no goroutines.
package profile
