package ipxe

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// shebang is how iPXE knows a script (ipxe.org/scripting).
const shebang = "#!ipxe"

// Script builds an iPXE script line by line: new(ipxe.Script).Echo("hello").Exit(0). Methods refuse what could end a
// line, begin a command or expand a setting; all refusals are kept and given by Render, and match ErrUnsafe. The zero
// value is an empty script. A Script must not be used by several goroutines at a time.
type Script struct {
	lines []string
	errs  []error
}

// add appends a line unless one of the checks failed.
func (s *Script) add(command string, line string, checks ...error) *Script {
	if err := errors.Join(checks...); err != nil {
		s.errs = append(s.errs, fmt.Errorf("ipxe line %d: %s: %w", len(s.lines)+2, command, err))
	}
	s.lines = append(s.lines, line)
	return s
}

// Comment adds a comment.
func (s *Script) Comment(words string) *Script { return s.add("comment", "# "+words, text(words)) }

// Echo prints words on the machine's console. Several blanks in a row come out as one.
func (s *Script) Echo(words string) *Script {
	var option error
	if strings.HasPrefix(strings.TrimSpace(words), "-") {
		option = fmt.Errorf("%q: %w: it would be an option", words, ErrUnsafe)
	}
	return s.add("echo", strings.TrimSpace("echo "+words), tokens(words), option)
}

// Set gives a setting a value of one word; allowed settings in it are expanded.
func (s *Script) Set(setting, value string) *Script {
	return s.add("set", "set "+setting+" "+value, name(setting), word(value))
}

// Kernel fetches a kernel and gives it a command line. An argument may hold blanks inside double quotes.
func (s *Script) Kernel(url string, args ...string) *Script {
	return s.image("kernel", url, args)
}

// Chain fetches a program or script and runs it; the script goes on only if that fails or the program ends.
func (s *Script) Chain(url string, args ...string) *Script {
	return s.image("chain", url, args)
}

// ChainReplace is Chain without a way back: the new script takes the place of this one.
func (s *Script) ChainReplace(url string) *Script {
	return s.image("chain --replace", url, nil)
}

func (s *Script) image(command, url string, args []string) *Script {
	checks := []error{address(url)}
	for _, a := range args {
		checks = append(checks, argument(a))
	}
	line := append([]string{command, url}, args...)
	return s.add(command, strings.Join(line, " "), checks...)
}

// Initrd fetches an initial RAM disk under a name. UEFI kernels want the argument initrd=NAME as well.
func (s *Script) Initrd(url, image string) *Script {
	return s.add("initrd", "initrd --name "+image+" "+url, address(url), name(image))
}

// Boot starts the kernel.
func (s *Script) Boot() *Script { return s.add("boot", "boot") }

// Exit leaves iPXE with a status from 0 to 255. BIOS then tries the next boot device; what UEFI does is the
// firmware's affair, many show a menu after 0 and try the next device after 1.
func (s *Script) Exit(status int) *Script {
	return s.add("exit", "exit "+strconv.Itoa(status), statusOK(status))
}

// Sanboot starts from a local disk by its BIOS number, 0x80 for the first. BIOS only.
func (s *Script) Sanboot(drive uint8) *Script {
	return s.add("sanboot", fmt.Sprintf("sanboot --no-describe --drive 0x%02x", drive))
}

// Sleep waits for whole seconds, 1 to 600.
func (s *Script) Sleep(seconds int) *Script {
	var err error
	if seconds < 1 || seconds > 600 {
		err = fmt.Errorf("%d seconds: want 1 to 600", seconds)
	}
	return s.add("sleep", "sleep "+strconv.Itoa(seconds), err)
}

// Label marks a line for Goto and OrGoto.
func (s *Script) Label(label string) *Script { return s.add("label", ":"+label, name(label)) }

// Goto goes on at a label.
func (s *Script) Goto(label string) *Script { return s.add("goto", "goto "+label, name(label)) }

// OrExit makes the line before end the script with a status if it fails.
func (s *Script) OrExit(status int) *Script {
	return s.or("exit "+strconv.Itoa(status), statusOK(status))
}

// OrGoto makes the line before go on at a label if it fails.
func (s *Script) OrGoto(label string) *Script { return s.or("goto "+label, name(label)) }

// OrGoOn makes the script go on with the next line if the line before fails; without it a failure ends the script.
func (s *Script) OrGoOn() *Script { return s.or("", nil) }

func (s *Script) or(command string, check error) *Script {
	if len(s.lines) == 0 || s.lines[len(s.lines)-1] == "" || strings.ContainsRune("#:", rune(s.lines[len(s.lines)-1][0])) {
		check = errors.Join(check, errors.New("no command before it"))
	}
	if check != nil {
		s.errs = append(s.errs, fmt.Errorf("ipxe line %d: or: %w", len(s.lines)+1, check))
		return s
	}
	last := &s.lines[len(s.lines)-1]
	*last = strings.TrimSpace(*last + " || " + command)
	return s
}

func statusOK(status int) error {
	if status < 0 || status > 255 {
		return fmt.Errorf("status %d: want 0 to 255", status)
	}
	return nil
}

// Render gives the script, or all refusals; a script with a refusal is never given.
func (s *Script) Render() (string, error) {
	if err := errors.Join(s.errs...); err != nil {
		return "", err
	}
	return strings.Join(append([]string{shebang}, s.lines...), "\n") + "\n", nil
}

// String is Render; a script with refusals becomes one that says so and leaves iPXE with status 1.
func (s *Script) String() string {
	out, err := s.Render()
	if err != nil {
		return shebang + "\necho racker: this script was refused, see the server's log\nexit 1\n"
	}
	return out
}
