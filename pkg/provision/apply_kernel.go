package provision

import (
	"context"
	"fmt"
	"regexp"

	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
)

// kernelFile is what a script writes onto the OEM partition.
type kernelFile struct {
	name string
	text []byte
	keep string // the variable whose line stays as it is; empty for none
}

// fileName and variableName are what may stand in a script.
var (
	fileName     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// kernelText makes the file of kernel arguments that a run's config asks for; nil when the image has no place for any.
func (m *Machine) kernelText(ctx context.Context, r *runRecord, n *rack.Node) (*kernelFile, error) {
	c, err := m.declared(ctx, n.Primary, r.Apply.Digest)
	if err != nil {
		return nil, m.applyTrouble(ctx, err)
	}
	profile, _, err := m.kindOf(ctx, r.Image)
	if err != nil {
		return nil, m.applyTrouble(ctx, err)
	}
	text, err := profile.KernelConfig(c.Console, c.KernelArgs)
	if err != nil {
		return nil, m.applyTrouble(ctx, err)
	}
	file := profile.Kernel
	switch {
	case file.Name == "":
		return nil, nil
	case !fileName.MatchString(file.Name) || file.Console != "" && !variableName.MatchString(file.Console):
		return nil, &applyError{fmt.Sprintf("its image's profile has kernel arguments in %q, variable %q", file.Name, file.Console), codeFailed}
	}
	k := &kernelFile{name: file.Name, text: text}
	if c.Console == "" { // what the install found out stays
		k.keep = file.Console
	}
	return k, nil
}

// kindOf gives the profile and the manifest of an image.
func (m *Machine) kindOf(ctx context.Context, id string) (*image.Profile, *image.Manifest, error) {
	man, err := m.needs.Images.Get(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("the image of its install: %w", err)
	}
	profile, err := m.needs.Images.Profile(ctx, man)
	return profile, man, err
}

// applyTrouble ends an apply over what will not be better the next time, unless the process is stopping.
func (m *Machine) applyTrouble(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &applyError{err.Error(), codeFailed}
}

// kernelScript writes the kernel arguments when they changed; nil when they did not.
func (m *Machine) kernelScript(ctx context.Context, r *runRecord, n *rack.Node, plan changePlan) ([]byte, error) {
	if !plan.Kernel() {
		return nil, nil
	}
	k, err := m.kernelText(ctx, r, n)
	if err != nil || k == nil {
		return nil, err
	}
	place, err := m.rootOf(ctx, n)
	if err != nil {
		return nil, err
	}
	b := &shell{}
	b.begin()
	b.line("oem=" + quoteSh(place.oem))
	b.writable()
	b.kernel(k)
	b.readOnly()
	return b.end(), nil
}

// writable makes the OEM partition writable where it is not, and readOnly gives it back as it was.
func (b *shell) writable() {
	b.step("the OEM partition")
	b.line(`rw=''; case ",$(findmnt -n -o OPTIONS -t noautofs -M "$oem" | tail -n 1)," in *,ro,*) mount -o remount,rw "$oem"; rw=1 ;; esac`)
}

func (b *shell) readOnly() { b.line(`[ -z "$rw" ] || mount -o remount,ro "$oem" || :`) }

// kernel writes the file of kernel arguments, and takes an empty one away.
func (b *shell) kernel(k *kernelFile) {
	b.step(k.name)
	b.line(`file="$oem/` + k.name + `"; new="$file.new"`)
	b.line(`base64 -d >"$new" <<'END'`)
	b.data(k.text)
	if k.keep != "" {
		b.line(`if [ -e "$file" ]; then grep -E '^[[:space:]]*set[[:space:]]+` + k.keep + `=' "$file" >>"$new" || :; fi`)
	}
	b.line(`if [ -s "$new" ]; then chmod 644 "$new"; sync "$new"; mv -f "$new" "$file"; else rm -f "$new" "$file"; fi`)
	b.line(`sync "$oem"`)
}
