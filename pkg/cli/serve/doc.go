// Package serve puts the daemon together: it opens the state, reads the rack's metadata, and joins the DHCP, TFTP and
// HTTP servers, the BMC client, the image library and the state machine by small adapters. It holds no policy of its own.
package serve
