// Package agent is racker's program on a server: PID 1 of the microkernel, wholly in RAM. It finds the NIC that
// booted, gets an address, sets the clock from the server, tells what the machine is, and carries out jobs: an install
// streams an image onto one disk, places the Ignition config, puts the disk first in the UEFI boot order and reboots.
//
// Nothing is written to a disk before the server has given a job in an answered check-in and the machine's identity was
// compared with its row. On any error the agent reports a reason with its log's tail and asks for orders again.
//
// Main owns all goroutines: the lease renewal, the log sender, the kernel log reader, the reaper and the job loop; each
// ends with the context. The wire protocol is that of package api, over TLS with the server's pinned CA and a client
// key that lives as long as the boot.
package agent
