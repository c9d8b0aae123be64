package image

import (
	"cmp"
	"encoding/binary"
	"io"
	"math/bits"
	"slices"
	"strings"
)

// bootArchs are the architectures, as GOARCH names them, of the programs that UEFI starts from a disk; UEFI 2.10, 3.5.1.1.
func bootArchs() map[string]string {
	return map[string]string{"BOOTX64.EFI": "amd64", "BOOTAA64.EFI": "arm64"}
}

// findArch says which architecture the boot programs on the EFI system partition are for: "" when there is no such
// partition, it cannot be read, or it has programs for several.
func findArch(r io.ReaderAt, parts []Partition) string {
	i := slices.IndexFunc(parts, func(p Partition) bool { return p.Type == TypeESP })
	if i < 0 {
		return ""
	}
	v, ok := openFAT(io.NewSectionReader(r, parts[i].Offset(), parts[i].Size()))
	if !ok {
		return ""
	}
	dir, ok := v.enter(v.root, "EFI")
	if ok {
		dir, ok = v.enter(dir, "BOOT")
	}
	if !ok {
		return ""
	}
	found := ""
	for name := range v.names(dir) {
		arch := bootArchs()[name]
		if arch != "" && found != "" && arch != found {
			return ""
		}
		if arch != "" {
			found = arch
		}
	}
	return found
}

// fat is a FAT file system, of which only directories are read, by their short names; Microsoft's FAT specification 1.03.
type fat struct {
	r       io.ReaderAt
	size    int64 // of the partition
	bits    int   // 12, 16 or 32 per cluster
	cluster int64 // bytes
	table   int64 // offset of the first FAT
	data    int64 // offset of cluster 2
	last    uint32
	root    fatDir
}

// fatDir is where a directory is: a chain of clusters, or the fixed room of the root of FAT12 and FAT16.
type fatDir struct {
	first uint32
	at    int64
	room  int64 // bytes; 0 for a chain
}

// maxFATDir bounds how much of a directory is read, in clusters and in bytes.
const (
	maxFATClusters = 64
	maxFATDir      = 1 << 20
)

// openFAT reads the boot sector, FAT specification 3.1 to 3.5.
func openFAT(r *io.SectionReader) (*fat, bool) {
	b := make([]byte, 512)
	if _, err := r.ReadAt(b, 0); err != nil || b[510] != 0x55 || b[511] != 0xaa {
		return nil, false
	}
	le := binary.LittleEndian
	sector, perCluster := int64(le.Uint16(b[11:])), int64(b[13])
	reserved, fats, rootEntries := int64(le.Uint16(b[14:])), int64(b[16]), int64(le.Uint16(b[17:]))
	total := cmp.Or(int64(le.Uint16(b[19:])), int64(le.Uint32(b[32:])))
	perFAT := cmp.Or(int64(le.Uint16(b[22:])), int64(le.Uint32(b[36:])))
	if sector < 512 || sector > 4096 || bits.OnesCount64(uint64(sector)) != 1 || bits.OnesCount64(uint64(perCluster)) != 1 {
		return nil, false
	}
	if min(fats, reserved, perFAT) == 0 || total*sector > r.Size() {
		return nil, false
	}
	rootAt := (reserved + fats*perFAT) * sector
	rootRoom := (rootEntries*32 + sector - 1) / sector * sector
	v := &fat{r: r, size: total * sector, cluster: perCluster * sector, table: reserved * sector, data: rootAt + rootRoom}
	clusters := (v.size - v.data) / v.cluster
	if clusters <= 0 || clusters > 1<<28 {
		return nil, false
	}
	v.last = uint32(clusters) + 1
	v.root = fatDir{at: rootAt, room: rootRoom}
	switch {
	case clusters < 4085:
		v.bits = 12
	case clusters < 65525:
		v.bits = 16
	default:
		v.bits, v.root = 32, fatDir{first: le.Uint32(b[44:])}
	}
	return v, v.bits == 32 || rootRoom > 0
}

// next gives the cluster after one; ok is false at the end of the chain, and where the table is damaged.
func (v *fat) next(cluster uint32) (uint32, bool) {
	b := make([]byte, 4)
	at := int64(cluster) * int64(v.bits) / 8
	if _, err := v.r.ReadAt(b, v.table+at); err != nil {
		return 0, false
	}
	n := binary.LittleEndian.Uint32(b)
	switch {
	case v.bits == 12 && cluster%2 == 1:
		n = n >> 4 & 0xfff
	case v.bits == 12:
		n &= 0xfff
	case v.bits == 16:
		n &= 0xffff
	default:
		n &= 0x0fffffff
	}
	return n, n >= 2 && n <= v.last
}

// read gives the entries of a directory, as far as they can be read.
func (v *fat) read(d fatDir) []byte {
	if d.room > 0 {
		b := make([]byte, min(d.room, maxFATDir))
		n, err := v.r.ReadAt(b, d.at)
		if err != nil {
			return b[:n/32*32]
		}
		return b
	}
	var out []byte
	cluster, ok := d.first, d.first >= 2 && d.first <= v.last
	for i := 0; ok && i < maxFATClusters && len(out) < maxFATDir; i++ {
		b := make([]byte, v.cluster)
		if _, err := v.r.ReadAt(b, v.data+int64(cluster-2)*v.cluster); err != nil {
			break
		}
		out = append(out, b...)
		cluster, ok = v.next(cluster)
	}
	return out
}

// names gives the files and directories of a directory by their short names; FAT specification 6.
func (v *fat) names(d fatDir) map[string]fatDir {
	const (
		deleted   = 0xe5
		longName  = 0x0f
		label     = 0x08
		directory = 0x10
	)
	le := binary.LittleEndian
	out := map[string]fatDir{}
	entries := v.read(d)
	for ; len(entries) >= 32 && entries[0] != 0; entries = entries[32:] {
		e := entries[:32]
		if e[0] == deleted || e[11]&longName == longName || e[11]&label != 0 {
			continue
		}
		name := strings.TrimRight(string(e[:8]), " ")
		if ext := strings.TrimRight(string(e[8:11]), " "); ext != "" {
			name += "." + ext
		}
		at := fatDir{}
		if e[11]&directory != 0 {
			at.first = uint32(le.Uint16(e[20:]))<<16 | uint32(le.Uint16(e[26:]))
		}
		out[strings.ToUpper(name)] = at
	}
	return out
}

// enter finds a directory in another one.
func (v *fat) enter(d fatDir, name string) (fatDir, bool) {
	at, ok := v.names(d)[name]
	return at, ok && at.first != 0
}
