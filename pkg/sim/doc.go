// Package sim runs a simulated rack: QEMU servers with two NICs and two disks each, a virtual BMC per server, and the
// internal and public networks that join them to a management node, all from a nodes.csv.
//
// Nothing is created in the host's own network namespace. Every namespace is unnamed and held open by the supervisor
// (Rack), the taps are owned by QEMU, and QEMU dies with the supervisor: when the supervisor is gone, however it ended,
// the kernel has removed the rest. Several racks on one host do not see each other.
//
// The package never runs racker's own code: the rack is the outside world that racker is tried on. QEMU runs with TCG,
// never with KVM. Root is needed for the namespaces and for /dev/net/tun.
//
// Goroutines: one per server, one per virtual BMC, one for the control socket, all owned by Rack.Run.
package sim
