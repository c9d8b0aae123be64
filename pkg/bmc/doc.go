// Package bmc turns servers on and off and picks what they boot, through their BMCs, and believes nothing that it has
// not read back.
//
// It stands on bmclib, whose registry holds one provider of ours: IPMI 2.0 (RMCP+) spoken by go-ipmi, with no other
// program run. A Client opens a session for each request or group of requests, closes it again, and keeps at most one
// session at a time per BMC, since small BMCs have four or fewer. It starts no goroutine that outlives a call.
//
// Passwords are of type Secret and appear in no error and no log line.
package bmc
