package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// flagTree has one command of each kind.
func flagTree() *cobra.Command {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "racker"}
	root.PersistentFlags().Bool("json", false, "")
	root.PersistentFlags().String("oem-dir", "", "")
	boot := &cobra.Command{Use: "bootstrap", Run: run}
	boot.Flags().String("provision", "", "")
	boot.Flags().String("onfailure", "", "")
	boot.Flags().String("exclude", "", "")
	boot.Flags().Bool("web-ui", true, "")
	boot.Flags().BoolP("yes", "y", false, "")
	ssh := &cobra.Command{Use: "ssh", Run: run}
	ssh.Flags().Bool("verbose", false, "")
	passWords(ssh)
	raw := &cobra.Command{Use: "raw", DisableFlagParsing: true, Run: run}
	factory := &cobra.Command{Use: "factory"}
	reset := &cobra.Command{Use: "reset", Aliases: []string{"clear"}, Run: run}
	reset.Flags().Bool("confirm-reset", false, "")
	factory.AddCommand(reset)
	root.AddCommand(boot, ssh, raw, factory)
	return root
}

func TestDoubleDashes(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"", ""},
		{"bootstrap -provision flatcar", "bootstrap --provision flatcar"},
		{"bootstrap -onfailure=exclude -y", "bootstrap --onfailure=exclude -y"},
		{"bootstrap --provision flatcar --yes", "bootstrap --provision flatcar --yes"},
		{"bootstrap -exclude -json", "bootstrap --exclude -json"},       // a value is a value
		{"bootstrap -exclude", "bootstrap --exclude"},                   // cobra says what is missing
		{"bootstrap -web-ui false", "bootstrap --web-ui=false"},         // as 2021
		{"bootstrap --web-ui false x", "bootstrap --web-ui=false x"},    // with two dashes too
		{"bootstrap -web-ui falsehood", "bootstrap --web-ui falsehood"}, // a word
		{"factory reset -confirm-reset true", "factory reset --confirm-reset=true"},
		{"factory clear -confirm-reset", "factory clear --confirm-reset"},
		{"-json bootstrap -provision x", "--json bootstrap --provision x"},
		{"-oem-dir bootstrap bootstrap -yes", "--oem-dir bootstrap bootstrap --yes"},
		{"bootstrap -unknown -provisio x", "bootstrap -unknown -provisio x"},
		{"bootstrap -help", "bootstrap --help"},
		{"bootstrap - -json", "bootstrap - --json"},
		{"bootstrap -- -json", "bootstrap -- -json"},
		{"ssh -verbose node-1 ls -json -verbose", "ssh --verbose node-1 ls -json -verbose"},
		{"raw -json chassis", "raw -json chassis"},
		{"bootstrap ssh -provision x", "bootstrap ssh --provision x"},
		{"nothing -json", "nothing --json"},
	}
	for _, tt := range tests {
		got := strings.Join(doubleDashes(flagTree(), strings.Fields(tt.in)), " ")
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, diff)
		}
	}
}
