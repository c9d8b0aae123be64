package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/stdio"
)

// contract is the command line as scripts know it: names that scripts rely on. A command outside of it is a mistake in
// the command or a decision to be taken there first.
const contract = `
factory check|discover|import|export|set-credentials|reset|gen-ssh-key
bootstrap
status
events
node list|show|add|edit|remove|replace|adopt|power|boot|console|logs|identify|reprovision|exclude|include|rescue|exec|wipe
run list|show|wait|cancel
ssh
bmc check|find|diag|power|bootdev|sol|user|sel|sensors|bios|reset|trust
image list|add|pull|verify|remove|gc
microkernel build|list|add|default|remove
apply
os upgrade
key rotate
service install|status|restart|uninstall
serve
doctor
backup
restore
state export|import
audit
support-bundle
update
upgrade
get
rollback
bundle
version
config show
help
`

func contractPaths() []string {
	paths := []string{"racker"}
	for line := range strings.Lines(strings.TrimSpace(contract)) {
		noun, verbs, _ := strings.Cut(strings.TrimSpace(line), " ")
		paths = append(paths, "racker "+noun)
		for verb := range strings.SplitSeq(verbs, "|") {
			paths = append(paths, "racker "+noun+" "+verb)
		}
	}
	return paths
}

// tree gives every command below and including cmd.
func tree(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		all = append(all, tree(sub)...)
	}
	return all
}

func testRoot() *cobra.Command {
	streams, _, _, _ := stdio.Test()
	return newRootCmd(newEnv(streams))
}

func TestContract(t *testing.T) {
	t.Parallel()
	allowed := contractPaths()
	for _, cmd := range tree(testRoot()) {
		// A verb's own verbs (node power on) are its arguments to the contract.
		path := strings.Join(strings.Fields(cmd.CommandPath())[:min(3, strings.Count(cmd.CommandPath(), " ")+1)], " ")
		if !cmd.Hidden && !slices.Contains(allowed, path) {
			t.Errorf("%q is not in the contract", cmd.CommandPath())
		}
	}
}

func TestCommandsAreDescribed(t *testing.T) {
	t.Parallel()
	for _, cmd := range tree(testRoot()) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%q: one line of help without a full stop, got %q", cmd.CommandPath(), cmd.Short)
		}
		if cmd.Name() != "help" && !cmd.HasSubCommands() && cmd.Example == "" {
			t.Errorf("%q has no example", cmd.CommandPath())
		}
	}
}
