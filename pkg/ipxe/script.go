package ipxe

// Script builds an iPXE script line by line. Methods refuse what could end a line or expand a variable; the first
// refusal is kept and given by Render. The zero value is an empty script.
type Script struct {
	lines []string
	err   error
}
