package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// helpWidth is the most columns that help takes: longer lines are hard to read on any terminal.
const helpWidth = 100

// helpOn makes the whole tree explain itself in the width of the terminal.
func (e *Env) helpOn(root *cobra.Command) {
	width := func() int { return min(helpWidth, e.IO.Width()) }
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		return e.IO.Outf("%s", usageText(cmd, width()))
	})
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		text := cmd.Long
		if text == "" {
			text = cmd.Short + "."
		}
		// There is nobody to give an error to: cobra has no room for one.
		_ = e.IO.Outf("%s\n\n%s", wrap(text, width()), usageText(cmd, width()))
	})
}

// strictHelp makes racker help with a wrong word the mistake that it is: cobra shows the help of something else.
func strictHelp(root *cobra.Command) {
	for _, help := range root.Commands() {
		if help.Name() != "help" {
			continue
		}
		help.Long, help.Example = "help explains racker or one of its commands, as --help does.", "  racker help node show"
		help.Run, help.RunE = nil, func(_ *cobra.Command, words []string) error {
			cmd, rest, err := root.Find(words)
			if err != nil {
				return withCode(codeUsage, err)
			}
			if len(rest) > 0 {
				return unknownCommand(cmd, rest[0])
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		}
	}
}

// usageText gives everything of the help but its first paragraphs.
func usageText(cmd *cobra.Command, width int) string {
	var b strings.Builder
	subs := slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool { return !c.IsAvailableCommand() && c.Name() != "help" })
	if len(subs) > 0 {
		fmt.Fprintf(&b, "Usage:\n  %s COMMAND [flags]\n", cmd.CommandPath())
	} else {
		fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if len(subs) > 0 {
		b.WriteString("\nCommands:\n")
		for _, c := range subs {
			fmt.Fprintf(&b, "  %-*s  %s\n", cmd.Commands()[0].NamePadding(), c.Name(), c.Short)
		}
	}
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s", cmd.LocalFlags().FlagUsagesWrapped(width))
	}
	if cmd.HasAvailableInheritedFlags() {
		fmt.Fprintf(&b, "\nGlobal flags:\n%s", cmd.InheritedFlags().FlagUsagesWrapped(width))
	}
	if len(subs) > 0 {
		fmt.Fprintf(&b, "\n%s COMMAND --help says more about a command.\n", cmd.CommandPath())
	}
	return b.String()
}

// wrap sets each paragraph of text anew in lines of at most width columns, where its words allow it.
func wrap(text string, width int) string {
	var paragraphs []string
	for p := range strings.SplitSeq(text, "\n\n") {
		var b strings.Builder
		column := 0
		for i, word := range strings.Fields(p) {
			n := utf8.RuneCountInString(word)
			switch {
			case i == 0:
			case column+1+n > width:
				b.WriteByte('\n')
				column = 0
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += n
		}
		paragraphs = append(paragraphs, b.String())
	}
	return strings.Join(paragraphs, "\n\n")
}
