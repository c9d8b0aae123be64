// Package release fetches releases of operating systems from their vendors' servers, in Flatcar's layout, and takes no byte of
// them for good before its OpenPGP signature (RFC 9580, and RFC 4880 before it) was verified under one pinned primary key.
//
// A download goes on where it was cut off: over broken connections, over a restart of the daemon, and when it is ordered again.
// The package does not know what becomes of a verified file: the caller's Keeper does.
//
// Pulls.Run is the only goroutine that fetches; everything else happens in the caller's.
package release
