package daemon

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"

	"github.com/racker-project/racker/pkg/api"
)

// maxPart bounds what comes with an image, such as its signature, in bytes.
const maxPart = 1 << 20

// addSigned takes a form: signature, version, version_signature and key in any order, and then the image.
func (a *API) addSigned(w http.ResponseWriter, r *http.Request, body io.Reader, boundary string) {
	parts, file, err := signedParts(r, multipart.NewReader(body, boundary))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	l := a.lines(w)
	img, err := a.Images.AddSigned(r.Context(), addOf(r), parts, file, l.progress)
	l.end(r, img, err)
}

// signedParts reads a form up to the image.
func signedParts(r *http.Request, form *multipart.Reader) (api.ImageParts, io.Reader, error) {
	q := r.URL.Query()
	p := api.ImageParts{Channel: q.Get("channel"), Arch: q.Get("arch")}
	if text := q.Get("size"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return p, nil, &api.Error{Message: fmt.Sprintf("size: %q is not a number of bytes", text), Code: 2}
		}
		p.Size = n
	}
	fields := map[string]*[]byte{
		"signature": &p.Signature, "version": &p.Version, "version_signature": &p.VersionSignature, "key": &p.Key,
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return p, nil, &api.Error{Message: "the form ends without an image", Code: 2}
		}
		if err != nil {
			return p, nil, &api.Error{Message: fmt.Sprintf("read the form: %v", err), Code: 2}
		}
		name := part.FormName()
		if name == "image" {
			return p, part, nil
		}
		to := fields[name]
		if to == nil || *to != nil {
			return p, nil, &api.Error{Message: fmt.Sprintf("the form has a part %q too many", name), Code: 2}
		}
		if *to, err = io.ReadAll(io.LimitReader(part, maxPart+1)); err != nil {
			return p, nil, &api.Error{Message: fmt.Sprintf("read the form: %v", err), Code: 2}
		}
		if len(*to) > maxPart {
			return p, nil, &api.Error{
				Message: fmt.Sprintf("part %q has more than %d bytes", name, maxPart), Code: 2, Status: http.StatusRequestEntityTooLarge,
			}
		}
	}
}
