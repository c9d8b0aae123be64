package daemon

import (
	"context"
	"io"
	"net/http"
	"os"

	"github.com/racker-project/racker/pkg/api"
)

// State gives a copy of the whole state away, secrets included.
type State interface {
	// Export takes the copy that write then writes. The daemon refuses when file, an absolute path, is not its own state;
	// an empty file is whatever it holds.
	Export(ctx context.Context, file string) (write func(io.Writer) error, err error)
}

// state answers with an export, whose last line tells whether it is whole.
func (a *API) state(w http.ResponseWriter, r *http.Request) {
	if a.State == nil {
		a.fail(w, r, &api.Error{Message: "this daemon gives no state away", Code: 1, Status: http.StatusServiceUnavailable})
		return
	}
	write, err := a.State.Export(r.Context(), r.URL.Query().Get("file"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	ledgerOf(r.Context()).close(r.Context(), api.AuditOK, "")
	w.Header().Set("Content-Type", jsonLines)
	_ = write(w) // the caller has gone, and sees that the last line is missing
}

// errSecret refuses what has secrets to anybody but root and the daemon's own user.
func errSecret(c caller) error {
	if !c.looks && (c.uid == 0 || c.uid == os.Geteuid()) {
		return nil
	}
	return &api.Error{Message: "the state has secrets: only root may have it", Code: 1, Status: http.StatusForbidden, Hint: "run it as root"}
}
