package releasetest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Image makes a small disk image that looks like Flatcar's on the outside, compressed as a release is: its partitions, with a
// boot program for that architecture on the EFI system partition. random MiB of data make it so large at least.
func Image(t testing.TB, arch string, random int) []byte {
	t.Helper()
	dir := t.TempDir()
	esp, raw := filepath.Join(dir, "esp"), filepath.Join(dir, "raw")
	boot := map[string]string{"amd64": "bootx64.efi", "arm64": "bootaa64.efi"}[arch]
	run(t, nil, "truncate", "--size=4M", esp)
	run(t, nil, "mformat", "-i", esp, "::")
	run(t, nil, "mmd", "-i", esp, "::/EFI", "::/EFI/boot")
	run(t, []byte(arch), "mcopy", "-i", esp, "-", "::/EFI/boot/"+boot)
	run(t, nil, "truncate", "--size="+strconv.Itoa(16+random)+"M", raw)
	run(t, nil, "sgdisk", "--clear", "--new=1:2048:+4M", "--typecode=1:ef00", "--change-name=1:EFI-SYSTEM",
		"--new=3:0:+1M", "--change-name=3:USR-A", "--new=4:0:+1M", "--change-name=4:USR-B",
		"--new=6:0:+1M", "--change-name=6:OEM", "--new=9:0:0", "--change-name=9:ROOT", raw)
	run(t, nil, "dd", "if="+esp, "of="+raw, "bs=1M", "seek=1", "conv=notrunc", "status=none")
	if random > 0 {
		run(t, nil, "dd", "if=/dev/urandom", "of="+raw, "bs=1M", "seek=12", "count="+strconv.Itoa(random), "conv=notrunc", "status=none")
	}
	b, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, b, "bzip2", "-1", "-c")
}

// run runs one of the programs that `make deps` installs, with stdin, and gives its output.
func run(t testing.TB, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, errs.String())
	}
	return out.Bytes()
}
