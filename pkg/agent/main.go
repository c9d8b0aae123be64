package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/hwinfo"
	"github.com/racker-project/racker/pkg/image"
	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/version"
)

// holdTime is how long a machine shows why its agent cannot work before it boots again.
const holdTime = 2 * time.Minute

// errNotInit says that the program was started as an ordinary one, where it must not touch anything.
var errNotInit = errors.New("this program runs only as PID 1 of racker's microkernel")

// Main is the whole program. Called as modprobe, by the kernel, it loads modules; as PID 1 it is the agent, and returns
// only when the machine cannot be rebooted. The result is an exit code; there is nobody to read a message then.
func Main(args []string) int {
	if len(args) > 0 && filepath.Base(args[0]) == "modprobe" {
		return modprobe(args[1:])
	}
	if err := initMain(); err != nil {
		return 1
	}
	return 0
}

// initMain sets the machine up, runs the agent, and reboots when that fails: PID 1 must not end.
func initMain() (err error) {
	if os.Getpid() != 1 {
		return errNotInit
	}
	mountErr := mountKernel()
	book := NewLogbook(openConsoles(sysDir, devDir))
	log := book.Logger()
	log.Info("racker agent", "version", version.String())
	if mountErr != nil {
		log.Error("mount the kernel's file systems", "err", mountErr)
	}
	err = protect(func() error { return boot(context.Background(), book) })
	log.Error("the agent cannot go on, rebooting soon", "err", err, "dur", holdTime.String())
	time.Sleep(holdTime) // a person may want to read the reason, and a machine that fails at once must not spin
	return restart()
}

// protect turns a panic into an error.
func protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// boot brings the machine up to the point where the server is reached, and runs the job loop.
func boot(ctx context.Context, book *Logbook) error {
	log := book.Logger()
	ctx, cancel := context.WithCancel(ctx)
	var owned sync.WaitGroup
	defer func() { cancel(); owned.Wait() }()
	owned.Go(func() { reap(ctx) })
	owned.Go(func() {
		if err := followKernel(ctx, book, devDir); err != nil {
			log.Warn("the kernel's log is not followed", "err", err)
		}
	})
	line, err := os.ReadFile(filepath.Join(procDir, "cmdline"))
	if err != nil {
		return fmt.Errorf("read the kernel's command line: %w", err)
	}
	cfg, err := ParseSettings(string(line))
	if err != nil {
		return err
	}
	warn(log, "settings of the kernel", errors.Join(quietKernel(procDir), panicReboot(procDir), noIPv6(procDir)))
	again, err := drivers(log)
	if err != nil {
		return err
	}
	link, err := findNIC(ctx, cfg.MAC, again, log)
	if err != nil {
		return err
	}
	if cfg.MAC.IsZero() {
		cfg.MAC = rack.MACFrom(link.Attrs().HardwareAddr)
	}
	if err := raise(ctx, link, log); err != nil {
		return err
	}
	raiseAll(log)
	holder := &leaseholder{link: link, log: log, least: minRenewal, retry: pace{First: time.Second, Most: 15 * time.Second}}
	if err := holder.acquire(ctx); err != nil {
		return err
	}
	owned.Go(func() { holder.keep(ctx) })
	vars, err := mountEFIVars()
	warn(log, "EFI variables", err)
	a, err := New(cfg, thisMachine(cfg.MAC, vars, again), book)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// thisMachine gives the real hardware.
func thisMachine(mac rack.MAC, vars string, again func()) Machine {
	return Machine{
		Survey:   surveyor{reader: hwinfo.Reader{}, boot: mac, again: again}.survey,
		OpenDisk: func(d api.Disk) (*image.Disk, error) { return image.OpenDisk(d.Path, true) },
		Release:  releaser{sys: sysDir, dev: devDir, remove: removeMapped}.release,
		Mount:    mountPrivate,
		EFIVars:  vars,
		Now:      time.Now,
		SetClock: setClock,
		Reboot:   restart,

		BootFromDisk: hwinfo.Reader{}.BootFromDisk,
	}
}

// drivers loads what the machine's devices need, and gives a function that does so again for new devices.
func drivers(log *slog.Logger) (again func(), err error) {
	mods, err := runningModules()
	if err != nil {
		return nil, err
	}
	again = func() { coldplug(mods, sysDir, log) }
	began := time.Now()
	again()
	// A BMC is found by its driver, and shown by another; file systems have no device.
	for _, name := range []string{"ipmi_msghandler", "ipmi_devintf", "ipmi_si", "rtc_cmos"} {
		_, _ = mods.load(name) // many machines have none of them
	}
	if _, err := os.Stat(filepath.Dir(efivarsDir)); err == nil {
		_, err := mods.load("efivarfs")
		warn(log, "EFI variables", err)
	}
	// Disks behind SCSI are found in their own time, so their driver waits for them. Its checksums ask the kernel's helper
	// for faster ones that the microkernel has not; a process for each costs more than all other drivers together.
	err = withoutHelper(procDir, func() error { _, err := mods.load("sd_mod"); return err })
	warn(log, "SCSI disks", err)
	again()
	log.Info("drivers loaded", "count", mods.count(), "dur", time.Since(began).Round(time.Millisecond).String())
	return again, nil
}

// runningModules opens the modules of the running kernel.
func runningModules() (*modules, error) {
	rel, err := release()
	if err != nil {
		return nil, fmt.Errorf("ask for the kernel's release: %w", err)
	}
	return openModules(filepath.Join("/lib/modules", rel), insertFile)
}

// modprobe is what the kernel calls for a module that it wants itself, such as a checksum of btrfs:
// "modprobe -q -- NAME".
func modprobe(args []string) int {
	mods, err := runningModules()
	if err != nil {
		return 1
	}
	code := 0
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			continue
		}
		if _, err := mods.load(a); err != nil {
			code = 1
		}
	}
	return code
}

// warn logs what the agent can do without.
func warn(log *slog.Logger, what string, err error) {
	if err != nil {
		log.Warn("not all is as it should be", "what", what, "err", err)
	}
}
