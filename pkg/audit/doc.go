// Package audit keeps the record of every order that the daemon was given: who asked, for what, and what came of it.
//
// The record is a file of JSON lines. Each line has the SHA-256 of itself and that of the line before, so that a line that is
// changed, removed or put between breaks the chain. A line's hash is over the line as it stands, without the
// ,"hash":"..." at its end. What the chain cannot show is the loss of its newest lines while nobody held the file open, nor a
// whole chain that was made anew: write down the newest hash elsewhere (racker audit --verify prints it).
//
// The file is rotated by size; the next one goes on with the chain. Old files are never removed by this package. It
// starts no goroutine.
package audit
