// Package archtest holds the rules of the house as tests: who may import whom, which program must not link what, and how
// files look. Each ban has its reason in the table where it stands. It is for tests only.
//
// A new package is added to the table in layers.go and, below L4, to .golangci.yml.
package archtest
