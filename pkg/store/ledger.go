package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// The layout of the file, as of schema 2. The bucket kv has an entry per key: the revision that wrote it (8 bytes), a
// digest of key, revision and value (8 bytes), and the value. The bucket meta has the keys below. The seal makes the whole
// state accountable: an entry that is lost, stale or damaged shows at the next Open, though its page is well formed.
// Numbers are big-endian. Later schemas keep the meta bucket as it is, so that an older racker can tell a newer state from a
// damaged one.
const (
	bucketKV   = "kv"
	bucketMeta = "meta"

	metaRev    = "rev"    // the newest revision, 8 bytes
	metaSchema = "schema" // the schema, 8 bytes
	metaWriter = "racker" // the version of the racker that opened the file last for writing
	metaSeal   = "seal"   // XOR of all digests (8 bytes), and a digest of that, rev, schema and writer (8 bytes)

	revSize   = 8
	entryHead = revSize + 8
)

// ledger is the state inside of one bbolt transaction.
type ledger struct {
	kv, meta *bbolt.Bucket
	rev      int64
	sum      uint64 // XOR of the digests of all entries
}

// openLedger reads the meta bucket of a file of schema 2 or later; its seal must hold.
func openLedger(tx *bbolt.Tx) (*ledger, error) {
	l := &ledger{kv: tx.Bucket([]byte(bucketKV)), meta: tx.Bucket([]byte(bucketMeta))}
	if l.kv == nil || l.meta == nil {
		return nil, fmt.Errorf("%w: it is no state of racker", ErrCorrupt)
	}
	l.rev = number(l.meta.Get([]byte(metaRev)))
	seal := l.meta.Get([]byte(metaSeal))
	if len(seal) != 16 {
		return nil, fmt.Errorf("%w: its seal is missing", ErrCorrupt)
	}
	l.sum = binary.BigEndian.Uint64(seal)
	if !bytes.Equal(seal, l.seal()) {
		return nil, fmt.Errorf("%w: its seal does not hold", ErrCorrupt)
	}
	return l, nil
}

// seal gives the value of metaSeal.
func (l *ledger) seal() []byte {
	sum := binary.BigEndian.AppendUint64(nil, l.sum)
	return append(sum, digest(sum, binary.BigEndian.AppendUint64(nil, uint64(l.rev)),
		l.meta.Get([]byte(metaSchema)), l.meta.Get([]byte(metaWriter)))...)
}

// save writes revision and seal; it is the last write of a transaction.
func (l *ledger) save() error {
	if err := l.meta.Put([]byte(metaRev), encodeNumber(l.rev)); err != nil {
		return err
	}
	return l.meta.Put([]byte(metaSeal), l.seal())
}

// put writes value at key with the revision rev.
func (l *ledger) put(key string, rev int64, value []byte) error {
	old := entryDigest(l.kv.Get([]byte(key)))
	raw := encodeEntry([]byte(key), rev, value)
	if err := l.kv.Put([]byte(key), raw); err != nil {
		return err
	}
	l.sum ^= old ^ entryDigest(raw)
	return nil
}

// remove deletes key.
func (l *ledger) remove(key string) error {
	old := entryDigest(l.kv.Get([]byte(key)))
	if err := l.kv.Delete([]byte(key)); err != nil {
		return err
	}
	l.sum ^= old
	return nil
}

// check reads every entry and compares all of them with the seal.
func (l *ledger) check() error {
	var sum uint64
	err := l.kv.ForEach(func(k, raw []byte) error {
		kv, err := decode(k, raw)
		if err != nil {
			return err
		}
		if kv.Rev > l.rev {
			return fmt.Errorf("%w: key %q is of revision %d, the newest is %d", ErrCorrupt, k, kv.Rev, l.rev)
		}
		sum ^= entryDigest(raw)
		return nil
	})
	if err == nil && sum != l.sum {
		err = fmt.Errorf("%w: keys are missing, or are of another time than the rest", ErrCorrupt)
	}
	return err
}

var errShort = errors.New("entry is too short")

// decode copies what bbolt lends until the end of its transaction. Its errors match ErrCorrupt.
func decode(key, raw []byte) (KV, error) {
	if len(raw) < entryHead {
		return KV{}, fmt.Errorf("%w: key %q: %w", ErrCorrupt, key, errShort)
	}
	if !bytes.Equal(raw[revSize:entryHead], digest(key, raw[:revSize], raw[entryHead:])) {
		return KV{}, fmt.Errorf("%w: key %q: its value is not what was written", ErrCorrupt, key)
	}
	return KV{Key: string(key), Rev: number(raw), Value: bytes.Clone(raw[entryHead:])}, nil
}

func encodeEntry(key []byte, rev int64, value []byte) []byte {
	raw := make([]byte, 0, entryHead+len(value))
	raw = binary.BigEndian.AppendUint64(raw, uint64(rev))
	raw = append(raw, digest(key, raw, value)...)
	return append(raw, value...)
}

// entryDigest reads the digest of an entry; 0 for none.
func entryDigest(raw []byte) uint64 {
	if len(raw) < entryHead {
		return 0
	}
	return binary.BigEndian.Uint64(raw[revSize:])
}

// digest gives 8 bytes of a SHA-256 over the parts and their lengths. A CRC would not do: those of entries that changed
// alike cancel each other in the seal.
func digest(parts ...[]byte) []byte {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		_, _ = h.Write(n[:]) // never fails
		_, _ = h.Write(p)
	}
	return h.Sum(nil)[:8]
}

// number reads the first eight bytes; 0 where there are less.
func number(raw []byte) int64 {
	if len(raw) < 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(raw))
}

func encodeNumber(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
