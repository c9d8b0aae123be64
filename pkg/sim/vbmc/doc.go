// Package vbmc is a virtual BMC: IPMI 2.0 over the network, on go-ipmi's server, and over the in-band system interface that QEMU
// gives to a guest, both on the same state. The machine behind it is a Host.
//
// A BMC has a network interface of its own, in a network namespace of its own if need be, and gets its address there by
// DHCP, as real BMCs do. It implements power, boot flags with their timeout, and its identity; it has no sensors, no event log, no
// console and no settings of the network. Timeouts follow IPMI 2.0, section 28.13.
//
// An idle BMC costs two goroutines, one socket and no processor time worth measuring.
package vbmc
