package rack

import (
	"fmt"
	"net/netip"
	"strings"
)

// node turns row i into a Node and reports each value that is wrong; such a value stays zero.
func (f *csvFile) node(i int) Node {
	r := &f.text[i]
	n := Node{
		Line: f.line(i), Type: r.Type, Comment: r.Comment,
		Serial: r.Serial, Disk: r.Disk, Location: r.Location, Asset: r.Asset,
		BMCUser: r.BMCUser, BMCPasswordFile: r.BMCPasswordFile,
	}
	n.Primary = f.mac(i, colPrimary, r.Primary)
	n.BMC = f.mac(i, colBMC, r.BMC)
	n.Secondary = f.mac(i, colSecondary, r.Secondary)
	if r.Primary == "" && f.head.column(colPrimary) >= 0 {
		f.fail(f.place(i, colPrimary), "no primary MAC address", "")
	}
	if _, err := ParseMAC(r.Type); err == nil {
		f.fail(f.place(i, colType), fmt.Sprintf("the node type is the MAC address %s", r.Type),
			"a value is missing before it: an empty value keeps its comma")
	}
	n.Name = f.nodeName(i, r.Name)
	n.BMCAddress = f.bmcAddress(i, r.BMCAddress)
	return n
}

func (f *csvFile) mac(i int, title, text string) MAC {
	if text == "" {
		return MAC{}
	}
	m, err := ParseMAC(shorten(text))
	if err != nil {
		f.fail(f.place(i, title), fmt.Sprintf("%s: %v", title, err), "")
	}
	return m
}

func (f *csvFile) bmcAddress(i int, text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || !a.IsGlobalUnicast() {
		f.fail(f.place(i, colBMCAddress), fmt.Sprintf("%s: %q is no address of a host, want one such as 10.1.0.7",
			colBMCAddress, shorten(text)), "")
		return netip.Addr{}
	}
	return a.Unmap()
}

// nodeName takes names that can be host names: RFC 1123 2.1, and at most 63 characters, since Linux allows 64.
func (f *csvFile) nodeName(i int, text string) string {
	if text == "" {
		return ""
	}
	_, err := netip.ParseAddr(text)
	valid := err != nil && len(text) <= maxName
	for label := range strings.SplitSeq(text, ".") {
		valid = valid && label != "" && !strings.HasPrefix(label, "-") && !strings.HasSuffix(label, "-") &&
			strings.Trim(label, nameCharacters) == ""
	}
	if !valid {
		f.fail(f.place(i, colName), fmt.Sprintf("%s: %q is no host name: letters, digits and hyphens, at most %d",
			colName, shorten(text), maxName), "")
		return ""
	}
	return text
}

const (
	maxName        = 63
	nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
)
