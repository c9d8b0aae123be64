package release

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// Defaults of Web.
const (
	defaultStall   = 30 * time.Second
	defaultRetries = 8
	defaultPause   = time.Second
	maxPause       = 30 * time.Second
)

// ErrGone says that a server has no such file.
var ErrGone = errors.New("there is no such file")

// errStalled says that a stream gave no byte for the time of Web.Stall.
var errStalled = errors.New("no data arrives")

// statusError is an answer that is no file.
type statusError struct {
	status string
	code   int
}

// Error implements error.
func (e *statusError) Error() string { return "the server answers " + e.status }

// Web fetches files by HTTP. Its zero value is ready for use; nothing may change after the first request.
type Web struct {
	// Proxy is the HTTP proxy, NoProxy what is reached without it, as in the variables of these names; empty for none.
	Proxy, NoProxy string
	// Stall is how long a request may go without a byte; 0 means 30 s.
	Stall time.Duration
	// Retries is how often in a row a request may fail without one new byte; 0 means 8, less than 0 none.
	Retries int
	// Pause is the pause before the first retry; it doubles up to 30 s; 0 means 1 s.
	Pause time.Duration
	// UserAgent is what the servers are told; empty for Go's own.
	UserAgent string
}

// client makes the HTTP client; compression is switched off, since lengths and ranges must be those of the file.
func (w *Web) client() *http.Client {
	choose := (&httpproxy.Config{HTTPProxy: w.Proxy, HTTPSProxy: w.Proxy, NoProxy: w.NoProxy}).ProxyFunc()
	return &http.Client{Transport: &http.Transport{
		Proxy:                 func(r *http.Request) (*url.URL, error) { return choose(r.URL) },
		DisableCompression:    true,
		TLSHandshakeTimeout:   w.stall(),
		ResponseHeaderTimeout: w.stall(),
		ForceAttemptHTTP2:     true,
	}}
}

func (w *Web) stall() time.Duration {
	if w.Stall == 0 {
		return defaultStall
	}
	return w.Stall
}

// get asks for a file. The body of the answer ends with errStalled when nothing arrives; the caller closes it. Answers that are
// neither 200, 206 nor 416 are errors.
func (w *Web) get(ctx context.Context, client *http.Client, address string, header http.Header) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(w.stall(), func() { cancel(errStalled) })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		timer.Stop()
		cancel(nil)
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	if w.UserAgent != "" {
		req.Header.Set("User-Agent", w.UserAgent)
	}
	resp, err := client.Do(req)
	timer.Stop()
	if err != nil {
		err = cause(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, timer: timer, stall: w.stall()}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		return resp, nil
	case http.StatusNotFound, http.StatusGone:
		return nil, errors.Join(fmt.Errorf("%w (%s)", ErrGone, resp.Status), resp.Body.Close())
	}
	return nil, errors.Join(&statusError{resp.Status, resp.StatusCode}, resp.Body.Close())
}

// cause tells a stall and the address without the query of a redirect, which may hold a secret.
func cause(ctx context.Context, err error) error {
	var why *url.Error
	if errors.As(err, &why) {
		err = why.Err
	}
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// passing reports whether an error may be over soon, so that it is worth to ask again.
func passing(err error) bool {
	var status *statusError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrGone), errors.Is(err, ErrSpace), errors.As(err, &certificate), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &status):
		return status.code >= 500 || status.code == http.StatusTooManyRequests || status.code == http.StatusRequestTimeout
	}
	return true
}

// body is one that gives up when nothing arrives. The time in which nobody reads does not count.
type body struct {
	io.ReadCloser
	ctx    context.Context // of the request, for the cause of its end
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = cause(b.ctx, err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// small fetches a file of at most limit bytes, with retries. Errors name the address.
func (w *Web) small(ctx context.Context, address string, limit int64) ([]byte, error) {
	client := w.client()
	defer client.CloseIdleConnections()
	var out []byte
	err := w.persist(ctx, nil, func() (bool, error) {
		resp, err := w.get(ctx, client, address, nil)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		out, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
		if err == nil && int64(len(out)) > limit {
			return false, fmt.Errorf("%w: it has more than %d bytes", ErrGone, limit)
		}
		return false, err
	})
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", address, err)
	}
	return out, nil
}

// persist calls try until it succeeds, fails for good, or failed too often in a row without progress. trouble, unless it is
// nil, hears of each failure that is not the last.
func (w *Web) persist(ctx context.Context, trouble func(error), try func() (progress bool, err error)) error {
	retries, pause := w.Retries, w.Pause
	if retries == 0 {
		retries = defaultRetries
	}
	if pause == 0 {
		pause = defaultPause
	}
	first := pause
	for failed := 0; ; {
		progress, err := try()
		if err == nil || ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		if progress {
			failed, pause = 0, first
		}
		if failed++; failed > retries || !passing(err) {
			return err
		}
		if trouble != nil {
			trouble(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}
