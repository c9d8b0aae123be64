package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// reply answers with what get gives, as JSON. The result of an order is audited first.
func reply(a *API, w http.ResponseWriter, r *http.Request, get func() (any, error)) {
	v, err := get()
	if err != nil {
		a.fail(w, r, err)
		return
	}
	result, run := outcome(v)
	ledgerOf(r.Context()).close(r.Context(), result, run)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller has gone
}

// fail answers with an error, which is what becomes of an order.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := a.explain(err)
	ledgerOf(r.Context()).close(r.Context(), e.Message, "")
	code := status(e)
	switch code {
	case http.StatusForbidden, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable:
		w.Header().Set("Connection", "close") // there may be a body that nobody wants to wait for
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(e) // the caller has gone
}

// explain gives an error the words, exit code and status that the caller sees.
func (a *API) explain(err error) *api.Error {
	var e *api.Error
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &big):
		return &api.Error{Message: fmt.Sprintf("the body has more than %d bytes", big.Limit), Code: 2, Status: http.StatusRequestEntityTooLarge}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &api.Error{Message: "the body of the request came too slowly", Code: 1, Status: http.StatusRequestTimeout}
	case errors.Is(err, context.Canceled): // an order outlives its client, so this is the daemon's own end
		return &api.Error{Message: "the daemon is stopping", Hint: "ask again", Code: 1, Status: http.StatusServiceUnavailable}
	}
	return a.Explain(err)
}

// status gives the HTTP status of an error: its own, or the one that fits its exit code.
func status(e *api.Error) int {
	if e.Status != 0 {
		return e.Status
	}
	switch e.Code {
	case 2:
		return http.StatusBadRequest
	case 4, 5:
		return http.StatusConflict
	case 6:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

// timely is an answer whose every piece must be taken within writeTime; then the connection is cut, so that a client that
// sleeps holds nothing for ever.
type timely struct {
	http.ResponseWriter
	ctl    *http.ResponseController
	status int // 0 as long as nothing is written
}

// Unwrap implements what http.ResponseController asks for.
func (t *timely) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (t *timely) WriteHeader(status int) {
	t.status = status
	t.extend()
	t.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (t *timely) Write(p []byte) (int, error) {
	t.extend()
	return t.ResponseWriter.Write(p)
}

func (t *timely) extend() {
	_ = t.ctl.SetWriteDeadline(time.Now().Add(writeTime)) // a connection without deadlines is one of a test
}
