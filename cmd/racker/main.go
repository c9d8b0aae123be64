// Command racker takes a rack of bare servers to a running cluster; see package cli for its commands.
package main

import (
	"os"

	"github.com/racker-project/racker/pkg/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
