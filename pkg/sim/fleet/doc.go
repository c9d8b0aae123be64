// Package fleet runs a rack of fake servers, up to thousands of them, in one process and without virtual machines.
//
// A fake server has no hardware, but all of its network: it asks for addresses by DHCP as PXE firmware, as iPXE, as the
// microkernel and as the installed system do; it loads its boot program by TFTP, and scripts, kernel and initramfs by
// HTTP; the microkernel's agent is package agent itself, whose image data is fetched whole, checked against its digests
// and thrown away; and the installed system makes its callback over TLS with what it found in its Ignition config. A
// virtual BMC (package vbmc) switches it on and off. What a server has done it counts itself, for whoever wants to know
// what really happened.
//
// The servers share one IP stack, that of a network namespace in which all of their addresses are local. A relay passes
// frames between it and the rack's internal network: it gives each frame the MAC of the server whose address sent it,
// answers ARP for the servers that have an address, and keeps DHCP for itself. A server that is off is silent.
//
// The package never runs racker's own server code: the fleet is the outside world that racker is tried on. Root is needed
// for namespaces and taps.
//
// Goroutines, all owned by Fleet.Run: two for the relay, one that opens sockets, four per BMC, and one per server that is
// on its way, with those of its HTTP connections. A server that is off or ready has none.
package fleet
