// Command racker-agent runs as PID 1 of racker's microkernel on a server. See package agent.
package main

import (
	"os"

	"github.com/racker-project/racker/pkg/agent"
)

func main() {
	os.Exit(agent.Main(os.Args))
}
