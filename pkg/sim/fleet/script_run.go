package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// loader is what a script needs of the machine that it runs on.
type loader interface {
	// fetch gives a script or a program.
	fetch(ctx context.Context, from *url.URL) ([]byte, error)
	// load fetches a kernel or an initramfs.
	load(ctx context.Context, from *url.URL, kernel bool) error
	// dhcp asks for an address anew.
	dhcp(ctx context.Context) error
	// program runs an EFI program; nil when the machine goes on from it and never comes back.
	program(ctx context.Context, image []byte) error
	// echo shows a line.
	echo(text string)
}

// ending is how a script ends.
type ending struct {
	// kernel is the command line of a kernel that is to start; nil without one.
	kernel []string
	// left tells that a program was started that does not come back.
	left bool
	// status is that of iPXE's exit.
	status int
}

// interpreter runs iPXE scripts.
type interpreter struct {
	on     loader
	set    settings
	kernel []string // command line of the kernel that was loaded, nil without
	depth  int      // scripts that wait for others to end
}

// over ends a script from within a command.
type over struct{ ending }

// Error implements error.
func (o over) Error() string { return fmt.Sprintf("exit %d", o.status) }

// jump goes to a label from within a command.
type jump struct{ label string }

// Error implements error.
func (j jump) Error() string { return "goto " + j.label }

// errCommand is matched by commands that a fake iPXE does not have.
var errCommand = errors.New("command not known")

// run runs a script that came from an address to its end. An error is that of the command that ended it.
func (i *interpreter) run(ctx context.Context, text []byte, from *url.URL) (ending, error) {
	s, err := parseScript(text)
	if err == nil && i.depth >= maxDepth {
		err = errEndless
	}
	if err != nil {
		return ending{}, fmt.Errorf("%s: %w", from, err)
	}
	i.depth++
	defer func() { i.depth-- }()
	at := 0
	for range maxLines {
		if at >= len(s.lines) {
			return ending{}, nil
		}
		err := i.line(ctx, i.set.expand(s.lines[at]), from)
		at++
		var end over
		var to jump
		switch {
		case err == nil:
		case errors.As(err, &end):
			return end.ending, nil
		case errors.As(err, &to):
			next, ok := s.labels[to.label]
			if !ok {
				return ending{}, fmt.Errorf("goto %s: %w", to.label, errLabel)
			}
			at = next
		default:
			return ending{}, fmt.Errorf("%s: %w", from.Path, err)
		}
		if err := ctx.Err(); err != nil {
			return ending{}, err
		}
	}
	return ending{}, errEndless
}

// line runs the commands of a line as far as their operators let it.
func (i *interpreter) line(ctx context.Context, line string, from *url.URL) error {
	var err error
	for _, c := range commands(line) {
		if c.op == "||" && err == nil || c.op == "&&" && err != nil {
			continue
		}
		err = nil
		if len(c.words) > 0 {
			err = i.command(ctx, c.words[0], c.words[1:], from)
		}
		var end over
		var to jump
		if errors.As(err, &end) || errors.As(err, &to) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// command runs one command.
func (i *interpreter) command(ctx context.Context, name string, args []string, from *url.URL) error {
	switch name {
	case "echo":
		i.on.echo(strings.Join(args, " "))
		return nil
	case "set", "inc", "iseq", "isset", "clear":
		return i.setting(name, args)
	case "goto":
		if len(args) != 1 {
			return errors.New("goto: want one label")
		}
		return jump{args[0]}
	case "exit":
		status := 0
		if len(args) > 0 {
			status, _ = strconv.Atoi(args[0]) // as iPXE does, what is no number is 0
		}
		return over{ending{status: status}}
	case "sleep":
		n, err := strconv.Atoi(slices.Concat(args, []string{"0"})[0])
		if err != nil {
			return fmt.Errorf("sleep: %w", err)
		}
		return rest(ctx, time.Duration(n)*time.Second)
	case "dhcp", "ifconf":
		return i.on.dhcp(ctx)
	case "kernel", "initrd", "chain", "boot", "imgfree", "imgstat":
		return i.image(ctx, name, args, from)
	}
	return fmt.Errorf("%s: %w", name, errCommand)
}

// setting runs the commands about settings.
func (i *interpreter) setting(name string, args []string) error {
	want := map[string]int{"set": 1, "inc": 1, "iseq": 2, "isset": 0, "clear": 1}[name]
	if len(args) < want {
		return fmt.Errorf("%s: %d words are too few", name, len(args))
	}
	switch name {
	case "set":
		i.set.set(args[0], strings.Join(args[1:], " "))
	case "clear":
		i.set.set(args[0], "")
	case "inc":
		return i.set.inc(args[0], args[1:])
	case "iseq":
		if args[0] != args[1] {
			return fmt.Errorf("iseq: %s is not %s", args[0], args[1])
		}
	case "isset": // an empty setting leaves no word
		if len(args) == 0 {
			return errors.New("isset: not set")
		}
	}
	return nil
}

// image runs the commands about images.
func (i *interpreter) image(ctx context.Context, name string, args []string, from *url.URL) error {
	words := options(args)
	switch name {
	case "imgfree", "imgstat":
		i.kernel = nil
		return nil
	case "boot":
		if i.kernel == nil {
			return errors.New("boot: there is no kernel")
		}
		return over{ending{kernel: i.kernel}}
	}
	if len(words) == 0 {
		return fmt.Errorf("%s: no address", name)
	}
	ref, err := url.Parse(words[0])
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	at := from.ResolveReference(ref)
	if name == "chain" {
		return i.chain(ctx, at, slices.Contains(args, "--replace"))
	}
	if err := i.on.load(ctx, at, name == "kernel"); err != nil {
		return fmt.Errorf("%s %s: %w", name, at.Path, err)
	}
	if name == "kernel" {
		i.kernel = slices.Clone(words[1:])
		if i.kernel == nil {
			i.kernel = []string{}
		}
	}
	return nil
}

// chain runs another script or program. With replace the present script is over whatever comes of it, once it was fetched.
func (i *interpreter) chain(ctx context.Context, at *url.URL, replace bool) error {
	b, err := i.on.fetch(ctx, at)
	if err != nil {
		return fmt.Errorf("chain %s: %w", at.Path, err)
	}
	if !strings.HasPrefix(string(b), shebang) {
		if err := i.on.program(ctx, b); err != nil {
			return fmt.Errorf("chain %s: %w", at.Path, err)
		}
		return over{ending{left: true}}
	}
	end, err := i.run(ctx, b, at)
	switch {
	case err != nil && replace:
		return over{ending{status: 1}}
	case err != nil:
		return err
	case replace || end.kernel != nil || end.left:
		return over{end}
	case end.status != 0:
		return fmt.Errorf("chain %s: exit %d", at.Path, end.status)
	}
	return nil
}

// options takes options, and the value of --name and -n, off the words of an image command.
func options(args []string) []string {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		n := 1
		if slices.Contains([]string{"--name", "-n", "--timeout", "-t"}, args[0]) && len(args) > 1 {
			n = 2
		}
		args = args[n:]
	}
	return args
}
