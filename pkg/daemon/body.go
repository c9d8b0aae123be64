package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// maxRequest bounds the body of an order, in bytes; a rack of a /16 named node by node fits.
const maxRequest = 8 << 20

// readBody takes the whole body of an order, and puts it back in its place.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	in := &patient{from: http.MaxBytesReader(w, r.Body, maxRequest), ctl: http.NewResponseController(w), until: time.Now().Add(bodyTime)}
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return b, nil
}

// patient reads a body under a deadline: a fixed one, or, where until is zero, one that each piece moves on. At the end
// of the body it lifts the deadline, since from then on the server itself reads, to see when the client leaves. What was
// not read to its end keeps it: before its answer the server looks for the rest.
type patient struct {
	from  io.Reader
	ctl   *http.ResponseController
	until time.Time
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	until := p.until
	if until.IsZero() {
		until = time.Now().Add(bodyTime)
	}
	_ = p.ctl.SetReadDeadline(until) // a connection without deadlines is one of a test
	n, err := p.from.Read(b)
	if errors.Is(err, io.EOF) {
		_ = p.ctl.SetReadDeadline(time.Time{}) // as above
	}
	return n, err
}

// decode takes the JSON body of an order. What this daemon does not know must not be ignored in silence.
func decode(r *http.Request, to any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return &api.Error{Message: "body of the request: " + mistake(err), Code: 2}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &api.Error{Message: "body of the request: something follows the JSON value", Code: 2}
	}
	return nil
}

// mistake says what is wrong with a JSON body, without the words of Go.
func mistake(err error) string {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return "there is none"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	case errors.As(err, &kind):
		return fmt.Sprintf("a %s does not fit %q", kind.Value, kind.Field)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}
