package dhcpd

import (
	"context"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/pxe"
)

// BenchmarkReply is one packet from bytes to bytes, without the socket.
func BenchmarkReply(b *testing.B) {
	for name, in := range map[string]*dhcpv4.DHCPv4{
		"discover-pxe":  message(b, macServer, discov, firmware("PXEClient", pxe.EFIX64)),
		"request-bmc":   message(b, macBMC, reqst, wants(ipBMC), chose(ours)),
		"discover-pool": message(b, macStranger, discov),
		"silence":       message(b, macStranger, discov, firmware("PXEClient", pxe.BIOS)),
	} {
		raw := in.ToBytes()
		b.Run(name, func(b *testing.B) {
			s := newServer(b, nil)
			b.ReportAllocs()
			for b.Loop() {
				p, err := dhcpv4.FromBytes(raw)
				if err != nil {
					b.Fatal(err)
				}
				if x := s.reply(p, meta{at: time.Now()}); x.out != nil {
					x.out.ToBytes()
				}
			}
		})
	}
}

// BenchmarkReplyParallel shows what the locks cost.
func BenchmarkReplyParallel(b *testing.B) {
	s := newServer(b, nil)
	raw := message(b, macServer, discov, firmware("PXEClient", pxe.EFIX64)).ToBytes()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, err := dhcpv4.FromBytes(raw)
			if err != nil {
				b.Error(err)
				return
			}
			x := s.reply(p, meta{at: time.Now()})
			x.out.ToBytes()
			s.observer.Packet(context.Background(), x.seen)
		}
	})
}
