package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func newFactoryCheckCmd(env *Env) *cobra.Command {
	return &cobra.Command{Use: "check", Short: "Check nodes.csv and the credentials",
		RunE: func(cmd *cobra.Command, _ []string) error { return checkFactory(cmd.Context(), env) }}
}

func checkFactory(context.Context, *Env) error { return nil }
