// Package rack describes a rack: its nodes, their NICs and BMCs as nodes.csv lists them, and the
// address plan of its internal network.
//
// It does no I/O besides the readers that it is given, owns no goroutine, and knows nothing of DHCP,
// BMC protocols or the state of a node.
package rack
