// Package sntpd tells the nodes the time: a unicast server of SNTP version 4 (RFC 4330), which speaks the packet of NTP (RFC 5905)
// in answer to clients of versions 1 to 4. It answers packets of mode 3 from the internal network with packets of the same size,
// and is silent to everything else: it is no peer, takes no orders, and amplifies nothing.
//
// The time is this machine's own. Run works in its caller's goroutine and starts none.
package sntpd
