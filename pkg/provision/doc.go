// Package provision is the life of a node: the one state machine, the runs and orders that drive it, and what a node is
// answered when it boots, checks in or calls back.
//
// Every change of a node's state goes through Machine.transition, which journals before anybody acts on it. A run is
// driven by goroutines that Machine.Run owns; each step of theirs is idempotent, so that a daemon that was killed
// carries its runs on from the journal. The package reaches BMCs, images, and the network through the small interfaces
// of needs.go.
//
// Records are never changed in place: a reader has the one that was in force when it asked, without a lock. Writers of one
// node take turns, and those of different nodes share the store's batches.
package provision
