package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// DefaultStall is HTTPFetcher.Stall when that is 0.
const DefaultStall = 30 * time.Second

// ErrStalled says that a stream gave no byte for the time of HTTPFetcher.Stall.
var ErrStalled = errors.New("no data arrives")

// HTTPFetcher fetches by HTTP ranges (RFC 9110, 14). A server that ignores ranges is tolerated: what comes before the
// offset is skipped.
type HTTPFetcher struct {
	Client *http.Client // nil means http.DefaultClient
	URL    string
	Stall  time.Duration // how long a request may go without a byte; 0 means DefaultStall
}

// Fetch implements Fetcher.
func (h *HTTPFetcher) Fetch(ctx context.Context, offset int64) (io.ReadCloser, error) {
	stall := h.Stall
	if stall == 0 {
		stall = DefaultStall
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &httpStream{ctx: ctx, cancel: cancel, stall: stall}
	s.timer = time.AfterFunc(stall, func() { cancel(ErrStalled) })
	if err := h.open(ctx, s, offset); err != nil {
		err = s.cause(err)
		return nil, errors.Join(fmt.Errorf("fetch %s from byte %d: %w", h.URL, offset, err), s.Close())
	}
	s.timer.Stop()
	return s, nil
}

func (h *HTTPFetcher) open(ctx context.Context, s *httpStream, offset int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	req.Header.Set("Accept-Encoding", "identity")
	client := h.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req) //nolint:bodyclose // httpStream.Close closes it
	if err != nil {
		return err
	}
	s.body = resp.Body
	switch resp.StatusCode {
	case http.StatusPartialContent:
		return checkContentRange(resp.Header.Get("Content-Range"), offset)
	case http.StatusOK:
		_, err := io.CopyN(io.Discard, s, offset)
		return err
	}
	return fmt.Errorf("the server answers %s", resp.Status)
}

// checkContentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110, 14.4).
func checkContentRange(header string, offset int64) error {
	spec, ok := strings.CutPrefix(header, "bytes ")
	first, _, dash := strings.Cut(spec, "-")
	n, err := strconv.ParseInt(first, 10, 64)
	if !ok || !dash || err != nil || n != offset {
		return fmt.Errorf("the server answers with range %q", header)
	}
	return nil
}

// httpStream is a response body that gives up when nothing arrives.
type httpStream struct {
	ctx    context.Context // of the request, for the cause of its end
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
	body   io.ReadCloser
}

// Read implements io.Reader. The time in which nobody reads does not count as stalling.
func (s *httpStream) Read(p []byte) (int, error) {
	s.timer.Reset(s.stall)
	n, err := s.body.Read(p)
	s.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = s.cause(err)
	}
	return n, err
}

func (s *httpStream) cause(err error) error {
	if errors.Is(context.Cause(s.ctx), ErrStalled) {
		return fmt.Errorf("%w for %v", ErrStalled, s.stall)
	}
	return err
}

// Close implements io.Closer.
func (s *httpStream) Close() error {
	s.timer.Stop()
	s.cancel(nil)
	if s.body == nil {
		return nil
	}
	return s.body.Close()
}
