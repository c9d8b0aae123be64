package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// An export is JSON lines: an ExportHeader, an exportEntry per key, sorted, and an exportEnd with the SHA-256 of all bytes
// before its own line. Fields are only ever added; whatever an older racker must not pass over raises ExportVersion.
const (
	exportFormat = "racker-state"
	// ExportVersion is the version of the export's own form.
	ExportVersion = 1

	// maxExportLine holds a key and a value of the greatest sizes in base64.
	maxExportLine = 2 * (MaxValue + MaxKey)
)

// ErrExport is matched by ReadExport for what is no export, or not whole.
var ErrExport = errors.New("not a whole export of racker's state")

// ExportHeader is the first line of an export.
type ExportHeader struct {
	Format  string    `json:"format"` // "racker-state"
	Version int       `json:"version"`
	Schema  int       `json:"schema"`
	Racker  string    `json:"racker,omitempty"` // that wrote the state
	Time    time.Time `json:"time"`             // of the export
	Keys    int       `json:"keys"`
}

// exportEntry is one key. Keys that are not UTF-8 are in Raw; values are in base64 always, for they need not be JSON.
type exportEntry struct {
	Key   string `json:"key,omitempty"`
	Raw   []byte `json:"raw_key,omitempty"`
	Value []byte `json:"value"`
}

type exportEnd struct {
	SHA256 string `json:"sha256"`
}

// Export writes the snapshot. Whoever makes a file of it gives it mode 0600.
func (s *Snapshot) Export(w io.Writer, now time.Time) error {
	buffer := bufio.NewWriter(w)
	sum := sha256.New()
	enc := json.NewEncoder(io.MultiWriter(buffer, sum))
	enc.SetEscapeHTML(false)
	err := enc.Encode(ExportHeader{
		Format: exportFormat, Version: ExportVersion, Schema: s.Schema, Racker: s.Racker, Time: now.UTC().Truncate(time.Second), Keys: len(s.KVs),
	})
	for _, kv := range s.KVs {
		if err != nil {
			break
		}
		e := exportEntry{Key: kv.Key, Value: kv.Value}
		if !utf8.ValidString(kv.Key) {
			e.Key, e.Raw = "", []byte(kv.Key)
		}
		err = enc.Encode(e)
	}
	if err == nil {
		err = json.NewEncoder(buffer).Encode(exportEnd{SHA256: hex.EncodeToString(sum.Sum(nil))})
	}
	if err = errors.Join(err, buffer.Flush()); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}

// ReadExport reads and checks a whole export. Errors match ErrExport, or ErrSchema for one of a newer racker.
func ReadExport(r io.Reader) (*Snapshot, ExportHeader, error) {
	in := &exportReader{lines: bufio.NewScanner(r), sum: sha256.New()}
	in.lines.Buffer(nil, maxExportLine)
	var head ExportHeader
	if err := in.next(&head); err != nil {
		return nil, head, err
	}
	switch {
	case head.Format != exportFormat:
		return nil, head, in.wrong("it does not begin with the line of an export")
	case head.Version > ExportVersion:
		return nil, head, fmt.Errorf("%w: the export has version %d, by racker %s; this racker knows versions up to %d",
			ErrSchema, head.Version, head.Racker, ExportVersion)
	case head.Version < 1 || head.Schema < 1 || head.Keys < 0:
		return nil, head, in.wrong("its first line makes no sense")
	case head.Schema > Schema():
		return nil, head, newerSchema(int64(head.Schema), head.Racker, Schema())
	}
	s := &Snapshot{Schema: head.Schema, Racker: head.Racker}
	for range head.Keys {
		kv, err := in.entry()
		if err != nil {
			return nil, head, err
		}
		if n := len(s.KVs); n > 0 && s.KVs[n-1].Key >= kv.Key {
			return nil, head, in.wrong("its keys are not in order")
		}
		s.KVs = append(s.KVs, kv)
	}
	return s, head, in.end()
}

// exportReader reads line by line.
type exportReader struct {
	lines *bufio.Scanner
	sum   hash.Hash // of the lines before the newest
	last  []byte    // the newest line, which the sum does not have yet
	n     int
}

func (r *exportReader) wrong(why string) error {
	return fmt.Errorf("%w: line %d: %s", ErrExport, max(r.n, 1), why)
}

// next reads one line into v.
func (r *exportReader) next(v any) error {
	_, _ = r.sum.Write(r.last) // never fails
	if !r.lines.Scan() {
		if err := r.lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
			return fmt.Errorf("read the export: %w", err)
		}
		return fmt.Errorf("%w: it ends after line %d", ErrExport, r.n)
	}
	r.n++
	r.last = append(bytes.Clone(r.lines.Bytes()), '\n')
	dec := json.NewDecoder(bytes.NewReader(r.last))
	if r.n > 1 {
		dec.DisallowUnknownFields() // an entry is never taken for the end, nor the end for an entry
	}
	if err := dec.Decode(v); err != nil {
		return r.wrong("no JSON of an export: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func (r *exportReader) entry() (KV, error) {
	var e exportEntry
	if err := r.next(&e); err != nil {
		return KV{}, err
	}
	kv := KV{Key: e.Key, Value: e.Value}
	if e.Raw != nil {
		kv.Key = string(e.Raw)
	}
	if err := validate([]Op{Put(kv.Key, kv.Value)}); err != nil {
		return KV{}, r.wrong(err.Error())
	}
	return kv, nil
}

// end reads the last line and compares the checksum.
func (r *exportReader) end() error {
	var end exportEnd
	if err := r.next(&end); err != nil {
		return err
	}
	if got := hex.EncodeToString(r.sum.Sum(nil)); end.SHA256 != got {
		return fmt.Errorf("%w: its SHA-256 is %s, and should be %q", ErrExport, got, end.SHA256)
	}
	if r.lines.Scan() {
		return r.wrong("there is more after its end")
	}
	return nil
}
