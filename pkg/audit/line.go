package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/racker-project/racker/pkg/api"
)

// hashField is what stands before the hash, at the end of each line.
const hashField = `,"hash":"`

// tailSize is the length of the end of a line that its hash does not cover, without the newline.
const tailSize = len(hashField) + 2*sha256.Size + len(`"}`)

var errNoHash = errors.New("it does not end in a hash")

// seal gives the entry its hash and its line.
func seal(e api.AuditEntry) (api.AuditEntry, []byte, error) {
	e.Hash = ""
	line, err := encode(&e)
	if err != nil {
		return e, nil, err
	}
	body, ok := bytes.CutSuffix(line, []byte(hashField+`"}`))
	if !ok {
		return e, nil, errNoHash
	}
	e.Hash = sum(body)
	return e, append(append(body, hashField+e.Hash+`"}`...), '\n'), nil
}

func encode(e *api.AuditEntry) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(e)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// sum hashes a line up to its hash field, as if the object ended there.
func sum(body []byte) string {
	h := sha256.New()
	_, _ = h.Write(body) // never fails
	_, _ = h.Write([]byte("}"))
	return hex.EncodeToString(h.Sum(nil))
}

// open reads one line, without its newline, and checks its hash. The entry is given also when only the hash is wrong.
func open(line []byte) (api.AuditEntry, error) {
	var e api.AuditEntry
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("it is no entry: %w", err)
	}
	if len(line) < tailSize || !bytes.HasPrefix(line[len(line)-tailSize:], []byte(hashField)) {
		return e, errNoHash
	}
	if got := sum(line[:len(line)-tailSize]); got != e.Hash {
		return e, errors.New("it was changed: its hash does not fit it")
	}
	return e, nil
}
