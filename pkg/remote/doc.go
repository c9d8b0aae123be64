// Package remote runs scripts and places files on installed nodes over SSH (RFC 4251 to 4254), as OpenSSH's sshd serves it.
//
// A connection is made to a node whose host key is known beforehand, and to no other: there is no trust on first use. Scripts
// and files go by standard input, so that no argument of a process on the node, and no log of it, has a secret. The package keeps
// no keys and decides nothing.
//
// Each Client has the goroutines of golang.org/x/crypto/ssh and one that asks the node whether it is still there; Close ends them
// and waits for its own.
package remote
