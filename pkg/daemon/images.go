package daemon

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// progressPause is the least time between two lines of progress.
const progressPause = 250 * time.Millisecond

// addImage answers with JSON lines: progress, then the image or the error.
func (a *API) addImage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	ctl := http.NewResponseController(w)
	if err := ctl.EnableFullDuplex(); err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Connection", "close") // in full duplex, what is left of a body would be taken for the next request
	w.Header().Set("Content-Type", jsonLines)
	enc := json.NewEncoder(w)
	body := &patient{from: r.Body, ctl: ctl}
	var last time.Time
	img, err := a.Images.Add(r.Context(), api.ImageAdd{Name: q.Get("name"), SHA256: q.Get("sha256"), Profile: q.Get("profile")}, body, func(read int64) {
		if time.Since(last) < progressPause {
			return
		}
		last = time.Now()
		if enc.Encode(api.ImageAddLine{Read: read}) == nil {
			_ = ctl.Flush() // a caller that went away shows in the body's next read
		}
	})
	line, result := api.ImageAddLine{Image: &img}, api.AuditOK
	if err != nil {
		line = api.ImageAddLine{Error: a.explain(err)}
		result = line.Error.Message
	}
	ledgerOf(r.Context()).close(r.Context(), result, "")
	_ = enc.Encode(line) // the caller has gone
}
