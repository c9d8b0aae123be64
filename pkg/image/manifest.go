package image

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// FormatVersion is the Manifest.Format that this package writes, and the only one that it reads.
const FormatVersion = 1

// Sizes of the format, in bytes.
const (
	// ChunkSize is the most raw data that a chunk of a new image holds.
	ChunkSize = 4 << 20
	// HoleSize is the grain of the map of used ranges: a block of that size, at a multiple of it, that is all zero is
	// a hole. Measured on file systems with the Go tree: against a grain of 4 KiB it holds 0.2 % (ext4) and 1 %
	// (btrfs) more data, in 75 instead of 78 and 45 instead of 242 chunks; a larger grain saves no chunk.
	HoleSize = 64 << 10
	// SectorSize divides the size of every image.
	SectorSize = 512

	maxChunkSize = 16 << 20
	maxRawSize   = 1 << 50
	maxChunks    = 1 << 20
	chunkAlign   = 4096
	// storedSlack is more than a zstd frame adds to data that does not compress.
	storedSlack = 64 << 10
)

// ErrManifest is matched by every error of Manifest.Validate.
var ErrManifest = errors.New("inconsistent image manifest")

// Manifest describes one image. The daemon keeps it as manifest.json and sends it to the agent over TLS.
type Manifest struct {
	Format int `json:"format"` // FormatVersion
	// ID is the first 16 digits of RawSHA256.
	ID   string `json:"id"`
	Name string `json:"name"`
	// RawSize is the size of the raw image in bytes, a multiple of SectorSize.
	RawSize   int64     `json:"raw_size"`
	RawSHA256 string    `json:"raw_sha256"` // lower-case hex
	Added     time.Time `json:"added"`
	// MinDisk is the size in bytes of the smallest disk that the image fits on.
	MinDisk int64 `json:"min_disk"`
	// ChunkSize is the largest Length of a chunk.
	ChunkSize int64 `json:"chunk_size"`
	// Chunks are in ascending order of Offset and of Stored, without overlaps. What they leave out reads as zero.
	Chunks []Chunk `json:"chunks"`
	Source string  `json:"source,omitempty"` // where the file came from, for people
	// Compression is what the file was found to be: raw, gzip, bzip2, xz or zstd.
	Compression string `json:"compression,omitempty"`
	// Profile names what kind of image this is; empty in manifests of an older racker.
	Profile string `json:"profile,omitempty"`
	// Arch is the architecture, as GOARCH names it, that its boot programs are for; empty when that cannot be told.
	Arch string `json:"arch,omitempty"`
	// Version and Channel are those of the release that the image is; empty when it is none.
	Version string `json:"version,omitempty"`
	Channel string `json:"channel,omitempty"`
	// Signed is the OpenPGP signature that was verified; nil when there was none.
	Signed *Signed `json:"signed,omitempty"`
	// FileSHA256 is the digest of the file as it was given, lower-case hex; empty in manifests of an older racker.
	FileSHA256 string `json:"file_sha256,omitempty"`
	// TableSector is the size in bytes of the sectors that its partition table counts in, when that is not 512: it then boots
	// from disks with such sectors only.
	TableSector int64 `json:"table_sector,omitempty"`
	// Warnings are doubts about the image that an operator should see.
	Warnings []string `json:"warnings,omitempty"`
}

// Signed is an OpenPGP signature by which the image's file was verified.
type Signed struct {
	At      time.Time `json:"at"`      // when it was made
	Key     string    `json:"key"`     // fingerprint of the key or sub-key that made it, upper-case hex
	Primary string    `json:"primary"` // fingerprint of its primary key, which is pinned
}

// Chunk is one range of the raw image and the zstd frame that holds it. All numbers are bytes.
type Chunk struct {
	Offset int64  `json:"offset"` // in the raw image
	Length int64  `json:"length"` // of the raw data
	Stored int64  `json:"stored"` // offset in data.zst
	Size   int64  `json:"size"`   // of the frame
	SHA256 string `json:"sha256"` // of the raw data, lower-case hex
}

// UsedSize is the number of raw bytes that are in chunks.
func (m *Manifest) UsedSize() int64 {
	var n int64
	for i := range m.Chunks {
		n += m.Chunks[i].Length
	}
	return n
}

// StoredSize is the size of data.zst in bytes.
func (m *Manifest) StoredSize() int64 {
	if len(m.Chunks) == 0 {
		return 0
	}
	last := m.Chunks[len(m.Chunks)-1]
	return last.Stored + last.Size
}

// Validate checks that the manifest can be followed without harm: sizes within sane limits, chunks ascending, apart
// from each other and inside the image. Its errors match ErrManifest.
func (m *Manifest) Validate() error {
	if err := m.validateHead(); err != nil {
		return fmt.Errorf("%w: %w", ErrManifest, err)
	}
	var raw, stored int64
	for i := range m.Chunks {
		c := &m.Chunks[i]
		if err := c.validate(m, raw, stored); err != nil {
			return fmt.Errorf("%w: chunk %d at offset %d: %w", ErrManifest, i, c.Offset, err)
		}
		raw, stored = c.Offset+c.Length, c.Stored+c.Size
	}
	return nil
}

func (m *Manifest) validateHead() error {
	switch {
	case m.Format != FormatVersion:
		return fmt.Errorf("format %d, this program reads format %d", m.Format, FormatVersion)
	case !isHex(m.RawSHA256, 64):
		return errors.New("raw_sha256 is not 64 lower-case hex digits")
	case m.ID != m.RawSHA256[:idLength]:
		return errors.New("id is not the beginning of raw_sha256")
	case m.RawSize <= 0 || m.RawSize > maxRawSize || m.RawSize%SectorSize != 0:
		return fmt.Errorf("raw size %d", m.RawSize)
	case m.MinDisk < m.RawSize || m.MinDisk > maxRawSize:
		return fmt.Errorf("minimum disk %d for a raw size of %d", m.MinDisk, m.RawSize)
	case m.ChunkSize < chunkAlign || m.ChunkSize > maxChunkSize:
		return fmt.Errorf("chunk size %d", m.ChunkSize)
	case len(m.Chunks) > maxChunks:
		return fmt.Errorf("%d chunks, at most %d", len(m.Chunks), maxChunks)
	}
	return nil
}

// validate compares differences rather than sums, so that no number can overflow.
func (c *Chunk) validate(m *Manifest, raw, stored int64) error {
	switch {
	case !isHex(c.SHA256, 64):
		return errors.New("sha256 is not 64 lower-case hex digits")
	case c.Offset < raw:
		return errors.New("overlaps the one before")
	case c.Offset%chunkAlign != 0:
		return fmt.Errorf("offset is not a multiple of %d", chunkAlign)
	case c.Length <= 0 || c.Length > m.ChunkSize || c.Length%SectorSize != 0:
		return fmt.Errorf("length %d", c.Length)
	case c.Offset > m.RawSize-c.Length:
		return fmt.Errorf("ends beyond the image of %d bytes", m.RawSize)
	case c.Stored != stored:
		return fmt.Errorf("stored at %d, the one before ends at %d", c.Stored, stored)
	case c.Size <= 0 || c.Size > c.Length+storedSlack:
		return fmt.Errorf("%d stored bytes for %d raw ones", c.Size, c.Length)
	}
	return nil
}

func isHex(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func hexDigest(sum []byte) string { return hex.EncodeToString(sum) }
