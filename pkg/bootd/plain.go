package bootd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/rack"
)

// AreaImages is the area below /assets/ whose streams are cut when the server stops.
const AreaImages = "images"

func (s *Server) plainHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /boot.ipxe", s.bootScript)
	mux.HandleFunc("GET /ipxe", s.nodeScript)
	mux.HandleFunc("GET /grub/{esp}/{file}", s.grub)
	mux.HandleFunc("GET /assets/{area}/{path...}", s.asset)
	for _, path := range []string{"/ignition", "/ignition/{rest...}", "/generic", "/metadata", "/cloud"} {
		mux.HandleFunc(path, s.stray)
	}
	return mux
}

// stray answers a request for a config by the paths of other provisioning servers: here no secret goes in clear.
func (s *Server) stray(w http.ResponseWriter, r *http.Request) {
	if s.h.Strays != nil {
		s.h.Strays.Stray(r.Context(), peerAddr(r), r.URL.Path)
	}
	s.refuse(w, r, fmt.Errorf("no config is served in clear: %w", ErrUnknown))
}

func (s *Server) bootScript(w http.ResponseWriter, r *http.Request) {
	writeScript(w, r, bootScriptText)
}

func (s *Server) nodeScript(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		// A boot token is given once: not to a question that cannot take it.
		http.Error(w, "", http.StatusMethodNotAllowed)
		return
	}
	q := r.URL.Query()
	mac, err := rack.ParseMAC(q.Get("mac"))
	if err != nil {
		http.Error(w, "mac: "+err.Error(), http.StatusBadRequest)
		return
	}
	text, err := s.h.Boots.BootScript(r.Context(), BootQuery{
		From: peerAddr(r), MAC: mac, UUID: q.Get("uuid"), Platform: q.Get("platform"), Arch: q.Get("arch"),
	})
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	writeScript(w, r, text)
}

func writeScript(w http.ResponseWriter, r *http.Request, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

// grub gives the EFI program whose embedded script looks for the partition with this GUID. The answer depends on the
// path alone and holds no secret.
func (s *Server) grub(w http.ResponseWriter, r *http.Request) {
	if s.cfg.GRUB == nil {
		http.Error(w, "no GRUB image in the payload", http.StatusNotFound)
		return
	}
	image, err := s.cfg.GRUB(r.PathValue("esp"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/efi")
	c := &counted{ResponseWriter: w}
	http.ServeContent(c, r, r.PathValue("file"), time.Time{}, bytes.NewReader(image))
	s.served(r, "grub/"+r.PathValue("file"), int64(len(image)), c)
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	area, name := r.PathValue("area"), r.PathValue("path")
	folder, ok := s.cfg.Assets[area]
	if !ok {
		http.NotFound(w, r)
		return
	}
	f, err := folder.Open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer func() { _ = f.Close() }() // read only
	info, err := f.Stat()
	content, seeks := f.(io.ReadSeeker)
	if err != nil || !seeks || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if area == AreaImages {
		// An image stream does not hold up a stop: the agent resumes it by Range.
		cut := context.AfterFunc(r.Context(), func() {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now()) // a closed connection is as good
		})
		defer cut()
	}
	c := &counted{ResponseWriter: w}
	http.ServeContent(c, r, "", info.ModTime(), content)
	s.served(r, area+"/"+name, info.Size(), c)
}

func (s *Server) served(r *http.Request, file string, size int64, c *counted) {
	if r.Method == http.MethodHead {
		return
	}
	s.h.Observer.Asset(r.Context(), Served{From: peerAddr(r), File: file, Bytes: c.bytes, Size: size, Err: c.err})
}

// counted counts what was sent and keeps the way to sendfile open.
type counted struct {
	http.ResponseWriter
	bytes int64
	err   error
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.add(int64(n), err)
	return n, err
}

// ReadFrom lets io.Copy reach the connection's own ReadFrom, and with it sendfile(2).
func (c *counted) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	c.add(n, err)
	return n, err
}

func (c *counted) add(n int64, err error) {
	c.bytes += n
	if err != nil && c.err == nil {
		c.err = err
	}
}

// refuse answers an error of the deciding side; the log says why, the machine learns only the kind.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrUnknown):
		code = http.StatusNotFound
	case errors.Is(err, ErrRefused):
		code = http.StatusForbidden
	case errors.Is(err, ErrSession):
		code = http.StatusUnauthorized
	}
	s.log.InfoContext(r.Context(), "request refused", "ip", peerAddr(r), "file", r.URL.Path, "state", code, "err", err)
	http.Error(w, http.StatusText(code), code)
}

func peerAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
