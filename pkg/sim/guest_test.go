package sim_test

import (
	"os"
	"path/filepath"
	"testing"
)

// Operating systems of one sector, in 16-bit code at 7C00h. Both print on the serial line by writing to port 3F8h.

// clockSystem prints the year of the battery-backed clock, sets it to 15, and resets the machine.
//
//	       xor %ax,%ax; mov %ax,%ds; mov %ax,%ss; mov $0x7c00,%sp; mov $msg,%si
//	next:  lodsb; test %al,%al; jz year; call put; jmp next
//	year:  mov $9,%al; out %al,$0x70; in $0x71,%al; push %ax; shr $4,%al; call digit; pop %ax; and $15,%al; call digit
//	       mov $10,%al; call put
//	       mov $9,%al; out %al,$0x70; mov $0x15,%al; out %al,$0x71
//	       mov $0xcf9,%dx; mov $6,%al; out %al,%dx
//	halt:  hlt; jmp halt
//	digit: add $0x30,%al
//	put:   mov $0x3f8,%dx; out %al,%dx; ret
//	msg:   .asciz "\nthe clock's year is "
const clockSystem = "\x31\xc0\x8e\xd8\x8e\xd0\xbc\x00\x7c\xbe\x46\x7c\xac\x84\xc0\x74" +
	"\x05\xe8\x2d\x00\xeb\xf6\xb0\x09\xe6\x70\xe4\x71\x50\xc0\xe8\x04" +
	"\xe8\x1c\x00\x58\x24\x0f\xe8\x16\x00\xb0\x0a\xe8\x13\x00\xb0\x09" +
	"\xe6\x70\xb0\x15\xe6\x71\xba\xf9\x0c\xb0\x06\xee\xf4\xeb\xfd\x04" +
	"\x30\xba\xf8\x03\xee\xc3" + "\nthe clock's year is \x00"

// bmcSystem asks its BMC for Get Device ID through the KCS interface (IPMI 2.0 section 9) at port CA2h, prints the answer
// in hexadecimal on a line of its own, and stops.
//
//	       xor %ax,%ax; mov %ax,%ss; mov $0x7c00,%sp; mov $10,%al; call put
//	       mov $0x61,%al; mov $0xca3,%dx; call send   # WRITE_START
//	       mov $0x18,%al; mov $0xca2,%dx; call send   # NetFn App
//	       mov $0x62,%al; mov $0xca3,%dx; call send   # WRITE_END
//	       mov $1,%al; mov $0xca2,%dx; call send      # Get Device ID
//	next:  mov $0xca3,%dx
//	wait:  in %dx,%al; test $1,%al; jz wait           # until there is output
//	       mov %al,%bl; mov $0xca2,%dx; in %dx,%al
//	       and $0xc0,%bl; cmp $0x40,%bl; jne end      # no longer in READ_STATE
//	       push %ax; shr $4,%al; call digit; pop %ax; and $15,%al; call digit
//	       mov $0x68,%al; mov $0xca2,%dx; call send   # READ
//	       jmp next
//	end:   mov $10,%al; call put
//	halt:  hlt; jmp halt
//	send:  mov %al,%ah; push %dx; mov $0xca3,%dx
//	busy:  in %dx,%al; test $2,%al; jnz busy          # until the input was taken
//	       pop %dx; mov %ah,%al; out %al,%dx; mov $0xca3,%dx
//	taken: in %dx,%al; test $2,%al; jnz taken; ret
//	digit: add $0x30,%al; cmp $0x3a,%al; jb put; add $0x27,%al
//	put:   mov $0x3f8,%dx; out %al,%dx; ret
const bmcSystem = "\x31\xc0\x8e\xd0\xbc\x00\x7c\xb0\x0a\xe8\x75\x00\xb0\x61\xba\xa3" +
	"\x0c\xe8\x4d\x00\xb0\x18\xba\xa2\x0c\xe8\x45\x00\xb0\x62\xba\xa3" +
	"\x0c\xe8\x3d\x00\xb0\x01\xba\xa2\x0c\xe8\x35\x00\xba\xa3\x0c\xec" +
	"\xa8\x01\x74\xfb\x88\xc3\xba\xa2\x0c\xec\x80\xe3\xc0\x80\xfb\x40" +
	"\x75\x17\x50\xc0\xe8\x04\xe8\x30\x00\x58\x24\x0f\xe8\x2a\x00\xb0" +
	"\x68\xba\xa2\x0c\xe8\x0a\x00\xeb\xd3\xb0\x0a\xe8\x23\x00\xf4\xeb" +
	"\xfd\x88\xc4\x52\xba\xa3\x0c\xec\xa8\x02\x75\xfb\x5a\x88\xe0\xee" +
	"\xba\xa3\x0c\xec\xa8\x02\x75\xfb\xc3\x04\x30\x3c\x3a\x72\x02\x04" +
	"\x27\xba\xf8\x03\xee\xc3"

// bootDisk writes a disk image that boots a system.
func bootDisk(t *testing.T, system string) string {
	t.Helper()
	sector := make([]byte, 512)
	copy(sector, system)
	sector[510], sector[511] = 0x55, 0xaa
	name := filepath.Join(t.TempDir(), "system.img")
	if err := os.WriteFile(name, sector, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
