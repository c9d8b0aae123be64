package bootd

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/racker-project/racker/pkg/api"
)

// Bounds of request bodies, in bytes.
const (
	maxJSON = 4 << 20
	maxLog  = 256 << 10
)

func (s *Server) secureHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.AgentTimePath, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, api.Time{Now: time.Now().UTC()})
	})
	mux.HandleFunc("POST "+api.AgentCheckInPath, s.checkIn)
	mux.HandleFunc("POST "+api.AgentLogPath, s.agentLog)
	mux.HandleFunc("POST "+api.AgentJobsPath+"{job}/steps/{step}", s.report)
	mux.HandleFunc("GET "+api.AgentJobsPath+"{job}/blobs/{name}", s.blob)
	mux.HandleFunc("POST "+api.CallbackPath+"{node}/{signal}", s.callback)
	return mux
}

// peer gives who speaks; false when there is no client certificate, and so no session key.
func peer(r *http.Request) (Peer, bool) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return Peer{}, false
	}
	key := sha256.Sum256(r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo)
	return Peer{Addr: peerAddr(r), Key: key}, true
}

func (s *Server) agent(w http.ResponseWriter, r *http.Request) (Peer, bool) {
	p, ok := peer(r)
	if !ok {
		s.refuse(w, r, fmt.Errorf("no client certificate: %w", ErrSession))
	}
	return p, ok
}

func (s *Server) checkIn(w http.ResponseWriter, r *http.Request) {
	p, ok := s.agent(w, r)
	var in api.CheckIn
	if !ok || !readJSON(w, r, &in) {
		return
	}
	out, err := s.h.Agents.CheckIn(r.Context(), p, in)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	writeJSON(w, out)
}

func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	p, ok := s.agent(w, r)
	var in api.StepReport
	if !ok || !readJSON(w, r, &in) {
		return
	}
	step, err := strconv.Atoi(r.PathValue("step"))
	if err != nil || step < 0 {
		http.Error(w, "step: want a number from 0", http.StatusBadRequest)
		return
	}
	out, err := s.h.Agents.Report(r.Context(), p, r.PathValue("job"), step, in)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	writeJSON(w, out)
}

func (s *Server) blob(w http.ResponseWriter, r *http.Request) {
	p, ok := peer(r)
	if !ok {
		p.Addr = peerAddr(r) // whoever has no key hears no; that it asked is worth knowing
	}
	b, err := s.h.Agents.Blob(r.Context(), p, r.PathValue("job"), r.PathValue("name"))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b) // a lost reply is asked for again
}

func (s *Server) agentLog(w http.ResponseWriter, r *http.Request) {
	p, ok := s.agent(w, r)
	if !ok {
		return
	}
	lines, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLog))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if err := s.h.Agents.Log(r.Context(), p, lines); err != nil {
		s.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) callback(w http.ResponseWriter, r *http.Request) {
	var in api.Callback
	if !readJSON(w, r, &in) {
		return
	}
	err := s.h.Callbacks.Callback(r.Context(), peerAddr(r), r.PathValue("node"), r.PathValue("signal"),
		r.Header.Get(api.CallbackTokenHeader), in)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJSON)).Decode(into)
	if err == nil {
		return true
	}
	code := http.StatusBadRequest
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		code = http.StatusRequestEntityTooLarge
	}
	http.Error(w, "body: "+err.Error(), code)
	return false
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a lost reply is asked for again
}
