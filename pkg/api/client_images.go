package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
)

// ImageAdd says what becomes of a file that is sent: the query of POST /v1/images.
type ImageAdd struct {
	Name    string // empty lets the daemon make one
	SHA256  string // of the file, lower-case hex; empty means not known
	Profile string // its kind; empty lets its partitions tell
}

// ImageParts are what comes with the file of a signed image.
type ImageParts struct {
	Signature []byte // detached, OpenPGP
	// Version is version.txt of the release, and VersionSignature its signature; both are empty for what is no release.
	Version, VersionSignature []byte
	// Key is a file with the signing key; empty means the daemon's.
	Key []byte
	// Channel and Arch are those of the release; empty lets the version tell, and means amd64.
	Channel, Arch string
	Size          int64 // of the file, in bytes; 0 when it is not known
}

// AddImage sends the file of an image. Progress gets the bytes that the daemon has read so far.
func (c *Client) AddImage(ctx context.Context, add ImageAdd, body io.Reader, progress func(read int64)) (ImageView, error) {
	q := url.Values{}
	for name, value := range map[string]string{"name": add.Name, "sha256": add.SHA256, "profile": add.Profile} {
		if value != "" {
			q.Set(name, value)
		}
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/images?"+q.Encode(), body, "application/octet-stream")
	if err != nil {
		return ImageView{}, err
	}
	return c.imageLines(resp, func(_ string, read int64) { progress(read) })
}

// AddSignedImage sends the file of an image with its signature; the daemon takes nothing of it before that is verified.
// Progress gets the stage, one of the Pull stages, and its bytes.
func (c *Client) AddSignedImage(ctx context.Context, add ImageAdd, parts ImageParts, body io.Reader, progress func(stage string, done int64)) (ImageView, error) {
	q := url.Values{}
	for name, value := range map[string]string{"name": add.Name, "profile": add.Profile, "channel": parts.Channel, "arch": parts.Arch} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if parts.Size > 0 {
		q.Set("size", strconv.FormatInt(parts.Size, 10))
	}
	in, out := io.Pipe()
	form := multipart.NewWriter(out)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = out.CloseWithError(parts.write(form, body)) // never fails
	}()
	defer func() {
		_ = in.Close() // ends the writer, and never fails
		<-sent
	}()
	resp, err := c.do(ctx, http.MethodPost, "/v1/images?"+q.Encode(), in, form.FormDataContentType())
	if err != nil {
		return ImageView{}, err
	}
	return c.imageLines(resp, progress)
}

// write sends the parts in the order in which the daemon takes them: the file comes last.
func (p *ImageParts) write(form *multipart.Writer, body io.Reader) error {
	for _, f := range []struct {
		name string
		data []byte
	}{{"signature", p.Signature}, {"version", p.Version}, {"version_signature", p.VersionSignature}, {"key", p.Key}} {
		if len(f.data) == 0 {
			continue
		}
		w, err := form.CreateFormFile(f.name, f.name)
		if err == nil {
			_, err = w.Write(f.data)
		}
		if err != nil {
			return err
		}
	}
	w, err := form.CreateFormFile("image", "image")
	if err == nil {
		_, err = io.Copy(w, body)
	}
	if err != nil {
		return err
	}
	return form.Close()
}

// VerifyImage lets the daemon read all of an image, by ID or name, and compare it with its digests. Progress gets the bytes of
// the stored data that were read.
func (c *Client) VerifyImage(ctx context.Context, id string, progress func(read int64)) (ImageView, error) {
	resp, err := c.do(ctx, http.MethodGet, "/v1/images/"+url.PathEscape(id)+"/verify", nil, "")
	if err != nil {
		return ImageView{}, err
	}
	return c.imageLines(resp, func(_ string, read int64) { progress(read) })
}

// ChangeImage changes what is known of an image, by ID or name.
func (c *Client) ChangeImage(ctx context.Context, id string, change ImageChange) (ImageView, error) {
	return call[ImageView](ctx, c, http.MethodPatch, "/v1/images/"+url.PathEscape(id), change)
}

// RemoveUnusedImage removes an image unless a node has it, or a run or a declared config names it.
func (c *Client) RemoveUnusedImage(ctx context.Context, id string) error {
	_, err := call[json.RawMessage](ctx, c, http.MethodDelete, "/v1/images/"+url.PathEscape(id)+"?unused=1", nil)
	return err
}

// Pull orders the daemon to fetch an image; it goes on without its client.
func (c *Client) Pull(ctx context.Context, o ImagePull) (PullView, error) {
	return call[PullView](ctx, c, http.MethodPost, "/v1/pulls", o)
}

// Pulls lists the pulls that the daemon remembers, newest first.
func (c *Client) Pulls(ctx context.Context) ([]PullView, error) {
	return call[[]PullView](ctx, c, http.MethodGet, "/v1/pulls", nil)
}

// PullOf gives one pull.
func (c *Client) PullOf(ctx context.Context, id string) (PullView, error) {
	return call[PullView](ctx, c, http.MethodGet, "/v1/pulls/"+url.PathEscape(id), nil)
}

// CancelPull ends a pull.
func (c *Client) CancelPull(ctx context.Context, id string) (PullView, error) {
	return call[PullView](ctx, c, http.MethodPost, "/v1/pulls/"+url.PathEscape(id)+"/cancel", nil)
}

// imageLines reads JSON lines to the image or the error at their end.
func (c *Client) imageLines(resp *http.Response, progress func(stage string, read int64)) (ImageView, error) {
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var line ImageAddLine
		if err := dec.Decode(&line); err != nil {
			return ImageView{}, fmt.Errorf("image: %w", c.explain(err))
		}
		switch {
		case line.Error != nil:
			if line.Error.Code == 0 {
				line.Error.Code = exitFailed
			}
			return ImageView{}, line.Error
		case line.Image != nil:
			return *line.Image, nil
		}
		progress(line.Stage, line.Read)
	}
}
