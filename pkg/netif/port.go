package netif

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrPortInUse is matched by what InUse makes of a bind that found the port taken.
var ErrPortInUse = errors.New("port is in use")

// InUse says who has a port, in place of the bare "address already in use": if err matches syscall.EADDRINUSE the result
// matches ErrPortInUse as well, and reads "...: port is in use by dnsmasq (pid 812)". Any other error comes back as it
// is. network is "udp" or "tcp".
func InUse(err error, network string, port int) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	user := PortUser(network, port)
	if user == "" {
		user = "a process that cannot be seen from here"
	}
	return fmt.Errorf("%w: %s port %d: %w by %s", err, network, port, ErrPortInUse, user)
}

// PortUser names the process that has a port in this network namespace, as "dnsmasq (pid 812)", several with commas;
// empty when nobody has it or it cannot be told. It sees processes of other users only as root. network is "udp" or
// "tcp"; of TCP only listeners count.
func PortUser(network string, port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{network, network + "6"} {
		for _, i := range portInodes(filepath.Join("/proc/thread-self/net", table), network == "tcp", port) {
			inodes["socket:["+i+"]"] = true
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	var users []string
	last := ""
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !inodes[target] {
			continue // gone, or not ours to see
		}
		pid := strings.Split(fd, "/")[2]
		if pid != last {
			users = append(users, processName(pid))
		}
		last = pid
	}
	return strings.Join(users, ", ")
}

// stateListen is TCP_LISTEN as the tables of proc(5) have it.
const stateListen = "0A"

// portInodes reads the inodes of the sockets on a local port from a table of proc(5): sl, local_address, rem_address,
// st, tx:rx queues, tr:tm->when, retrnsmt, uid, timeout, inode.
func portInodes(table string, listeners bool, port int) []string {
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if len(w) < 10 || (listeners && w[3] != stateListen) {
			continue
		}
		_, hex, _ := strings.Cut(w[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			out = append(out, w[9])
		}
	}
	return out
}

func processName(pid string) string {
	comm, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
	if err != nil {
		return "pid " + pid
	}
	return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(comm)), pid)
}
