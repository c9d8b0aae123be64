package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Folder is the folder of a rack, an absolute path.
type Folder string

// OpenFolder makes dir absolute. It need not exist.
func OpenFolder(dir string) (Folder, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("open the rack's folder: %w", err)
	}
	return Folder(abs), nil
}

// Make makes the folder where it is not there.
func (f Folder) Make() error {
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		return fmt.Errorf("make the rack's folder: %w", err)
	}
	return nil
}

// OEM is the folder of nodes.csv and the BMC's credentials.
func (f Folder) OEM() string { return f.join("oem") }

// Config is racker's settings file, where the rack has one.
func (f Folder) Config() string { return filepath.Join(f.OEM(), "racker.yaml") }

// State is where racker keeps its state by default when it is run in the rack.
func (f Folder) State() string { return f.join("state") }

// Socket is racker's API socket by default when it is run in the rack.
func (f Folder) Socket() string { return f.join("racker.sock") }

// Settings is the name of the optional sim.yaml.
func (f Folder) Settings() string { return f.join("sim.yaml") }

// Log is the log of a detached supervisor.
func (f Folder) Log() string { return f.join("sim.log") }

// Node is the folder of a server: its disks, firmware variables, and logs.
func (f Folder) Node(name string) string { return f.join("nodes", name) }

// Console is the log of a server's serial console since the supervisor's start.
func (f Folder) Console(name string) string { return filepath.Join(f.Node(name), serialLog) }

func (f Folder) join(parts ...string) string {
	return filepath.Join(append([]string{string(f)}, parts...)...)
}

const (
	lockFile     = "sim.lock"
	runFile      = "sim.json"
	controlFile  = "sim.sock"
	rackVariable = "RACKER_SIM_DIR"
)

// runState is sim.json: how other processes find the supervisor's namespaces.
type runState struct {
	PID int `json:"pid"`
	// ManagementFD is the supervisor's descriptor of the management node's network namespace.
	ManagementFD int `json:"management_fd"`
	// Namespace is the inode of that namespace.
	Namespace uint64 `json:"namespace"`
}

// ErrRunning is matched when a rack is already up in a folder.
var ErrRunning = errors.New("a rack is already up in this folder")

// ErrNotRunning is matched when no rack is up in a folder.
var ErrNotRunning = errors.New("no rack is up in this folder")

// lockPatience is how long a supervisor that was killed may take to let go of its lock.
const lockPatience = 500 * time.Millisecond

// lock makes this process the only supervisor of the folder. The kernel drops the lock with the process.
func (f Folder) lock() (*os.File, error) {
	lock, err := os.OpenFile(f.join(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the rack's folder: %w", err)
	}
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(evictPoll) {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		lock.Close()
		if r, err := f.read(); err == nil {
			return nil, fmt.Errorf("%s: %w (process %d)", f, ErrRunning, r.PID)
		}
		return nil, fmt.Errorf("%s: %w", f, ErrRunning)
	case err != nil:
		lock.Close()
		return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return lock, nil
}

// alive reports whether some supervisor holds the folder.
func (f Folder) alive() bool {
	lock, err := os.OpenFile(f.join(lockFile), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer lock.Close()
	return errors.Is(unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// dying reports whether the folder's supervisor is gone soon: one that is killed loses its socket before its lock.
func (f Folder) dying() bool {
	for deadline := time.Now().Add(lockPatience); f.alive(); time.Sleep(evictPoll) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func (f Folder) read() (runState, error) {
	var r runState
	b, err := os.ReadFile(f.join(runFile))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return runState{}, fmt.Errorf("read the rack's state: %w", err)
	}
	return r, nil
}

func (f Folder) write(r runState) error {
	b, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(f.join(runFile), append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the rack's state: %w", err)
	}
	return nil
}

// clean removes what a supervisor leaves in the folder besides the machines: its own, or one that was killed. Only the
// holder of the lock may do so.
func (f Folder) clean() error {
	var errs []error
	for _, name := range []string{controlFile, runFile} {
		if err := os.Remove(f.join(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, name := range []string{serialSocket, inBandSocket} {
		sockets, err := filepath.Glob(f.join("nodes", "*", name))
		errs = append(errs, err)
		for _, s := range sockets {
			errs = append(errs, os.Remove(s))
		}
	}
	return errors.Join(errs...)
}

// inhabitants lists the processes in the network namespace ns that were started in this rack by Exec.
func (f Folder) inhabitants(ns uint64) []int {
	var out []int
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil
	}
	for _, link := range links {
		var st unix.Stat_t
		if unix.Stat(link, &st) != nil || st.Ino != ns {
			continue
		}
		proc := filepath.Dir(filepath.Dir(link))
		env, err := os.ReadFile(filepath.Join(proc, "environ"))
		if err != nil || !strings.Contains("\x00"+string(env), "\x00"+rackVariable+"="+string(f)+"\x00") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(proc)); err == nil && pid != os.Getpid() {
			out = append(out, pid)
		}
	}
	return out
}
