package image

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

// sound is a manifest that Validate takes.
func sound() *Manifest {
	sum := strings.Repeat("0123456789abcdef", 4)
	return &Manifest{Format: FormatVersion, ID: sum[:16], Name: "os", RawSize: 10 * mib, RawSHA256: sum, MinDisk: 10 * mib,
		ChunkSize: ChunkSize, Chunks: []Chunk{
			{Offset: 0, Length: 64 * kib, Stored: 0, Size: 100, SHA256: sum},
			{Offset: 64 * kib, Length: ChunkSize, Stored: 100, Size: ChunkSize + 10, SHA256: sum},
			{Offset: 10*mib - 4096, Length: 512, Stored: 110 + ChunkSize, Size: 1, SHA256: sum},
		}}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := sound().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(m *Manifest){
		"format":             func(m *Manifest) { m.Format = 2 },
		"short digest":       func(m *Manifest) { m.RawSHA256 = m.RawSHA256[1:] },
		"upper-case digest":  func(m *Manifest) { m.RawSHA256 = strings.ToUpper(m.RawSHA256) },
		"foreign ID":         func(m *Manifest) { m.ID = "ffffffffffffffff" },
		"ID that climbs":     func(m *Manifest) { m.ID = "../../etc/passwd" },
		"no size":            func(m *Manifest) { m.RawSize = 0 },
		"negative size":      func(m *Manifest) { m.RawSize = -512 },
		"half a sector":      func(m *Manifest) { m.RawSize++; m.MinDisk++ },
		"absurd size":        func(m *Manifest) { m.RawSize = math.MaxInt64 - 511; m.MinDisk = math.MaxInt64 },
		"small disk":         func(m *Manifest) { m.MinDisk = 5 * mib },
		"no chunk size":      func(m *Manifest) { m.ChunkSize = 0 },
		"absurd chunk size":  func(m *Manifest) { m.ChunkSize = 1 << 40 },
		"digest of a chunk":  func(m *Manifest) { m.Chunks[1].SHA256 = "" },
		"overlap":            func(m *Manifest) { m.Chunks[1].Offset -= 4096 },
		"order":              func(m *Manifest) { m.Chunks[1], m.Chunks[2] = m.Chunks[2], m.Chunks[1] },
		"negative offset":    func(m *Manifest) { m.Chunks[0].Offset = -4096 },
		"unaligned offset":   func(m *Manifest) { m.Chunks[2].Offset += 512 },
		"no length":          func(m *Manifest) { m.Chunks[0].Length = 0 },
		"negative length":    func(m *Manifest) { m.Chunks[0].Length = -512 },
		"odd length":         func(m *Manifest) { m.Chunks[0].Length = 513 },
		"too long":           func(m *Manifest) { m.Chunks[1].Length += 512 },
		"beyond the end":     func(m *Manifest) { m.Chunks[2].Length = 8192 },
		"overflow":           func(m *Manifest) { m.Chunks[2].Offset = math.MaxInt64 &^ 4095 },
		"gap in the data":    func(m *Manifest) { m.Chunks[1].Stored++ },
		"overlap in data":    func(m *Manifest) { m.Chunks[1].Stored-- },
		"no stored bytes":    func(m *Manifest) { m.Chunks[2].Size = 0 },
		"absurd stored size": func(m *Manifest) { m.Chunks[2].Size = math.MaxInt64 },
		"many chunks":        func(m *Manifest) { m.Chunks = make([]Chunk, maxChunks+1) },
	} {
		m := sound()
		spoil(m)
		if err := m.Validate(); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzManifest checks that whatever passes can be followed: chunks in order, inside the image, with sums that fit.
func FuzzManifest(f *testing.F) {
	b, err := json.Marshal(sound())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Errorf("%v", err)
			}
			return
		}
		var at, stored int64
		for _, c := range m.Chunks {
			if c.Offset < at || c.Length <= 0 || c.Length > maxChunkSize || c.Stored != stored || c.Size <= 0 {
				t.Fatalf("chunk %+v after %d", c, at)
			}
			at, stored = c.Offset+c.Length, c.Stored+c.Size
		}
		if at > m.RawSize || m.UsedSize() > m.RawSize || m.StoredSize() != stored || !isHex(m.ID, idLength) {
			t.Fatalf("%+v", m)
		}
	})
}
