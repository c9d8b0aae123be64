package daemon

import (
	"encoding/json"
	"mime"
	"net/http"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// progressPause is the least time between two lines of progress.
const progressPause = 250 * time.Millisecond

// imageLines answers with JSON lines: progress, then the image or the error.
type imageLines struct {
	a    *API
	w    http.ResponseWriter
	ctl  *http.ResponseController
	enc  *json.Encoder
	last time.Time
	line api.ImageAddLine // the one that was sent last
}

func (a *API) lines(w http.ResponseWriter) *imageLines {
	w.Header().Set("Content-Type", jsonLines)
	return &imageLines{a: a, w: w, ctl: http.NewResponseController(w), enc: json.NewEncoder(w)}
}

// progress sends a line now and then, and at each new stage.
func (l *imageLines) progress(stage string, read int64) {
	if stage == l.line.Stage && time.Since(l.last) < progressPause {
		return
	}
	l.last, l.line = time.Now(), api.ImageAddLine{Stage: stage, Read: read}
	if l.enc.Encode(l.line) == nil {
		_ = l.ctl.Flush() // a caller that went away shows in the body's next read
	}
}

// end sends the last line. The result of an order is audited first.
func (l *imageLines) end(r *http.Request, img api.ImageView, err error) {
	line, result := api.ImageAddLine{Image: &img}, api.AuditOK
	if err != nil {
		line = api.ImageAddLine{Error: l.a.explain(err)}
		result = line.Error.Message
	}
	ledgerOf(r.Context()).close(r.Context(), result, "")
	_ = l.enc.Encode(line) // the caller has gone
}

// addImage takes a file as it is, or in a form with its signature.
func (a *API) addImage(w http.ResponseWriter, r *http.Request) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") != "" && err != nil {
		a.fail(w, r, &api.Error{Message: "Content-Type: " + err.Error(), Code: 2})
		return
	}
	ctl := http.NewResponseController(w)
	if err := ctl.EnableFullDuplex(); err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Connection", "close") // in full duplex, what is left of a body would be taken for the next request
	body := &patient{from: r.Body, ctl: ctl}
	if kind == "multipart/form-data" {
		a.addSigned(w, r, body, params["boundary"])
		return
	}
	l := a.lines(w)
	img, err := a.Images.Add(r.Context(), addOf(r), body, func(read int64) { l.progress("", read) })
	l.end(r, img, err)
}

func addOf(r *http.Request) api.ImageAdd {
	q := r.URL.Query()
	return api.ImageAdd{Name: q.Get("name"), SHA256: q.Get("sha256"), Profile: q.Get("profile")}
}

// verifyImage reads all of an image.
func (a *API) verifyImage(w http.ResponseWriter, r *http.Request) {
	l := a.lines(w)
	img, err := a.Images.Verify(r.Context(), r.PathValue("image"), func(read int64) { l.progress("", read) })
	l.end(r, img, err)
}

// removeImage removes an image; with unused only one that nothing needs.
func (a *API) removeImage(w http.ResponseWriter, r *http.Request) {
	reply(a, w, r, func() (any, error) {
		unused, err := flag(r, "unused")
		if err != nil {
			return nil, err
		}
		return struct{}{}, a.Images.Remove(r.Context(), r.PathValue("image"), unused)
	})
}
