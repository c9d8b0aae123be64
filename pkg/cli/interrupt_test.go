package cli

import (
	"os"
	"syscall"
	"testing"
)

// A Ctrl-C that somebody took ends nothing; the next one does. It runs alone, since signals are the process's.
func TestInterrupts(t *testing.T) {
	i := &interrupts{}
	ctx, stop := i.watch(t.Context())
	defer stop()
	press := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	pressed, release := i.take()
	for range 2 {
		press()
		<-pressed
		if ctx.Err() != nil {
			t.Fatal("a Ctrl-C that was taken ended the context")
		}
	}
	release()
	press()
	<-ctx.Done()
}
