// Package ignite makes Ignition configs: it translates Butane, with the file and line of what is wrong, and renders the config that
// tells an installed node who it is and how to call back. Butane writes what package cluster resolved of cluster.yaml: the network
// for systemd-networkd, the guard of the rack-internal network, time, names, updates. It fetches nothing and starts no goroutines; all functions may be called
// concurrently.
//
// Sources: Butane's and Ignition's config specifications (coreos.github.io/butane, coreos.github.io/ignition).
package ignite
