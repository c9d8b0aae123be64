package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/racker-project/racker/pkg/image"
)

const (
	// provers is how many chunks are unpacked and digested at a time, for all servers together.
	provers = 2
	// headSize is how much of an image is kept: its partition table.
	headSize = 1 << 20
)

// proofs remembers which stored data is right. Every server of a fleet gets the same data: the first that gets a chunk
// unpacks it and compares its SHA-256 with the manifest's, and what comes to the others is compared, by a hash with a
// random seed, with what was proved.
type proofs struct {
	seed  maphash.Seed
	slots chan *slot

	mu     sync.Mutex
	images map[string]*proof
}

// slot is the memory that the proof of one chunk takes.
type slot struct {
	frame, raw []byte
	dec        *zstd.Decoder
}

// proof is what was proved of one image.
type proof struct {
	seed maphash.Seed
	m    *image.Manifest

	mu   sync.Mutex
	good []bool
	sums []uint64 // of the stored data
	head []byte   // the image's beginning, as far as its chunks were proved
}

func newProofs() *proofs {
	p := &proofs{seed: maphash.MakeSeed(), slots: make(chan *slot, provers), images: map[string]*proof{}}
	for range provers {
		p.slots <- &slot{}
	}
	return p
}

// of gives the proof of an image. Its manifest came over TLS each time; one that differs is another image.
func (p *proofs) of(m *image.Manifest) *proof {
	key := fmt.Sprintf("%s %d %d", m.RawSHA256, len(m.Chunks), m.StoredSize())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.images[key] == nil {
		p.images[key] = &proof{
			seed: p.seed, m: m, good: make([]bool, len(m.Chunks)), sums: make([]uint64, len(m.Chunks)),
			head: make([]byte, min(headSize, m.RawSize)),
		}
	}
	return p.images[key]
}

// known gives the hash of a chunk's stored data, if it was proved.
func (p *proof) known(i int) (sum uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sums[i], p.good[i]
}

// prove unpacks a chunk and compares its digest; the error matches image.ErrDigest.
func (p *proof) prove(i int, s *slot) error {
	c := &p.m.Chunks[i]
	if s.dec == nil {
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return err
		}
		s.dec = dec
	}
	raw, err := s.dec.DecodeAll(s.frame, s.raw[:0])
	if err != nil {
		return fmt.Errorf("chunk %d at offset %d: %w: %w", i, c.Offset, image.ErrDigest, err)
	}
	s.raw = raw
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); got != c.SHA256 || int64(len(raw)) != c.Length {
		return fmt.Errorf("chunk %d at offset %d: %w: SHA-256 is %s, want %s", i, c.Offset, image.ErrDigest, got, c.SHA256)
	}
	stored := maphash.Bytes(p.seed, s.frame)
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.Offset < int64(len(p.head)) {
		copy(p.head[c.Offset:], raw)
	}
	p.sums[i], p.good[i] = stored, true
	return nil
}
