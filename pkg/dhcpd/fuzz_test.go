package dhcpd

import (
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/racker-project/racker/pkg/pxe"
)

// FuzzReply throws bytes at the server: nothing may panic, and each reply must be a packet that can be read again,
// answers that client, and gives an address to nobody who has no right to it.
func FuzzReply(f *testing.F) {
	for _, seed := range [][]dhcpv4.Modifier{
		nil,
		{firmware("PXEClient", pxe.BIOS)},
		{firmware("HTTPClient", pxe.EFIX64HTTP), wants(ipNode), chose(ours)},
		{isIPXE, features(0x13, 1, 1), relayed("10.1.1.1")},
		{has(ipNode), dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionRelayAgentInformation, []byte{1, 2, 3, 4}))},
	} {
		for typ := dhcpv4.MessageTypeDiscover; typ <= dhcpv4.MessageTypeInform; typ++ {
			f.Add(message(f, macServer, typ, seed...).ToBytes())
			f.Add(message(f, macStranger, typ, seed...).ToBytes())
		}
	}
	f.Add(message(f, macServer, discov).ToBytes()[:239])
	f.Add([]byte{})
	s := newServer(f, func(c *Config) { c.ChainAlways = true })
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := dhcpv4.FromBytes(b)
		if err != nil {
			return
		}
		x := s.reply(in, meta{at: start})
		if x.out == nil {
			return
		}
		out, err := dhcpv4.FromBytes(x.out.ToBytes())
		if err != nil {
			t.Fatalf("reply cannot be read: %v\n%s", err, x.out.Summary())
		}
		if out.TransactionID != in.TransactionID || out.OpCode != dhcpv4.OpcodeBootReply || addr(out.ServerIdentifier()) != ours {
			t.Errorf("reply is not to the request:\n%s\n%s", in.Summary(), out.Summary())
		}
		if ip := addr(out.YourIPAddr); ip.IsValid() && !x.seen.Known && !s.pool.contains(ip) {
			t.Errorf("unknown %s got %s", x.mac, ip)
		}
		if x.seen.File != "" && (!x.seen.Known || !x.res.Boot) {
			t.Errorf("%s got the boot file %s", x.mac, x.seen.File)
		}
	})
}
