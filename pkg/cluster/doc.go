// Package cluster reads cluster.yaml, the one file in which a cluster's operator declares every node, and resolves it with
// the rack into one Spec per node. Every mistake is found at once, and each is named with its line and column; a key that
// nobody knows is refused with the nearest one that is known.
//
// What a node gets is what the file says for all nodes, then for its type, then for itself: the most specific value wins, but
// SSH keys and snippets add up, and sysctls and hosts are joined name by name. Import reads the INI text of racker's 2021
// flag --ip-addrs, and Generate writes a first cluster.yaml.
//
// The package reads files only in Load, and starts no goroutines. Its functions may be called concurrently; a File is not
// changed once it is read.
package cluster
