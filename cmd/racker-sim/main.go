// Command racker-sim runs a simulated rack for trying racker on; see package simcmd for its commands.
package main

import (
	"os"

	"github.com/racker-project/racker/pkg/config"
	"github.com/racker-project/racker/pkg/sim/simcmd"
	"github.com/racker-project/racker/pkg/stdio"
)

func main() { os.Exit(simcmd.Main(os.Args, os.Environ(), stdio.System(config.Getenv))) }
