package initrd

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const testRelease = "6.1.0-56-test"

// testKernel is the head of a bzImage as far as its version goes.
func testKernel(release string) []byte {
	b := make([]byte, 0x800)
	copy(b[x86MagicAt:], "HdrS")
	binary.LittleEndian.PutUint16(b[x86VersionAt:], 0x300)
	copy(b[0x500:], release+" (builder@host) #1 SMP\x00")
	return b
}

// testModule is an ELF object with a .modinfo section of these entries and a vermagic of release.
func testModule(release string, entries ...string) []byte {
	info := strings.Join(append(entries, "vermagic="+release+" SMP preempt mod_unload"), "\x00") + "\x00"
	const names = "\x00.modinfo\x00.shstrtab\x00"
	head := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2, Shoff: uint64(64 + len(info) + len(names)),
	}
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: 64, Size: uint64(len(info)), Addralign: 1},
		{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: uint64(64 + len(info)), Size: uint64(len(names)), Addralign: 1},
	}
	var b bytes.Buffer
	for _, part := range []any{head, []byte(info), []byte(names), sections} {
		_ = binary.Write(&b, binary.LittleEndian, part) // a buffer takes everything
	}
	return b.Bytes()
}

// packed compresses a module as its file's suffix says.
func packed(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w interface {
		Write([]byte) (int, error)
		Close() error
	}
	var err error
	switch filepath.Ext(name) {
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	default:
		return data
	}
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// testTree has a kernel, an agent and modules in each compression, in the form of an unpacked package.
type testTree struct {
	dir  string
	spec Spec
}

func newTree(t *testing.T) *testTree {
	t.Helper()
	tree := &testTree{dir: t.TempDir()}
	tree.spec = Spec{
		Kernel: filepath.Join(tree.dir, "boot/vmlinuz"), Modules: tree.dir, Agent: filepath.Join(tree.dir, "agent"),
		Out: filepath.Join(t.TempDir(), "microkernels"),
	}
	tree.write(t, "boot/vmlinuz", testKernel(testRelease))
	tree.write(t, "agent", testAgent(elf.EM_X86_64, false))
	tree.module(t, "drivers/net/virtio_net.ko.xz", "depends=net-failover,virtio", "alias=virtio:d00000001v*")
	tree.module(t, "net/net_failover.ko.gz", "depends=failover")
	tree.module(t, "net/failover.ko", "depends=")
	tree.module(t, "drivers/virtio/virtio.ko.zst", "depends=")
	tree.module(t, "drivers/net/r8169.ko", "depends=", "softdep=pre: realtek missing", "firmware=rtl_nic/rtl8168.fw",
		"firmware=../escape", "alias=pci:v000010ECd*")
	tree.module(t, "drivers/net/phy/realtek.ko", "depends=libphy")
	tree.module(t, "drivers/sound/snd.ko", "depends=")
	tree.write(t, "lib/modules/"+testRelease+"/modules.builtin", []byte("kernel/drivers/net/phy/libphy.ko\nkernel/drivers/nvme/host/nvme.ko\n"))
	return tree
}

func (tree *testTree) write(t *testing.T, name string, data []byte) {
	t.Helper()
	file := filepath.Join(tree.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// module writes one module of the test's release.
func (tree *testTree) module(t *testing.T, rel string, entries ...string) {
	t.Helper()
	tree.write(t, "lib/modules/"+testRelease+"/kernel/"+rel, packed(t, rel, testModule(testRelease, entries...)))
}

func (tree *testTree) remove(t *testing.T, rel string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(tree.dir, rel)); err != nil {
		t.Fatal(err)
	}
}

// touch changes all times.
func (tree *testTree) touch(t *testing.T) {
	t.Helper()
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	err := filepath.WalkDir(tree.dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(p, old, old)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// testAgent is the head of an ELF program.
func testAgent(machine elf.Machine, dynamic bool) []byte {
	head := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Phnum: 1, Phoff: 64,
	}
	prog := elf.Prog64{Type: uint32(elf.PT_LOAD)}
	if dynamic {
		prog.Type = uint32(elf.PT_INTERP)
	}
	var b bytes.Buffer
	for _, part := range []any{head, prog} {
		_ = binary.Write(&b, binary.LittleEndian, part) // a buffer takes everything
	}
	return b.Bytes()
}
