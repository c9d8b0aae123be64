package daemon

import (
	"context"
	"io"
	"net/http"

	"github.com/racker-project/racker/pkg/api"
)

// Changes changes systems that run.
type Changes interface {
	Apply(ctx context.Context, node string, o api.ApplyOrder) (api.RunView, error)
	UpgradeOS(ctx context.Context, node string, o api.OSUpgrade) (api.RunView, error)
}

// Updates keeps the payloads of OS updates.
type Updates interface {
	Updates(ctx context.Context) ([]api.UpdateView, error)
	// PutUpdate reads a payload to its end; sha256 is the digest that it must have.
	PutUpdate(ctx context.Context, version, sha256 string, r io.Reader) (api.UpdateView, error)
}

func (a *API) updates() (Updates, error) {
	if a.Updates == nil {
		return nil, &api.Error{Message: "this daemon keeps no updates", Code: 1, Status: http.StatusServiceUnavailable}
	}
	return a.Updates, nil
}

func (a *API) listUpdates(r *http.Request) (any, error) {
	u, err := a.updates()
	if err != nil {
		return nil, err
	}
	return u.Updates(r.Context())
}

func (a *API) putUpdate(w http.ResponseWriter, r *http.Request) {
	reply(a, w, r, func() (any, error) {
		u, err := a.updates()
		if err != nil {
			return nil, err
		}
		body := &patient{from: r.Body, ctl: http.NewResponseController(w)}
		return u.PutUpdate(r.Context(), r.PathValue("version"), r.URL.Query().Get("sha256"), body)
	})
}

func (a *API) changes() (Changes, error) {
	if a.Changes == nil {
		return nil, &api.Error{Message: "this daemon changes no running systems", Code: 1, Status: http.StatusServiceUnavailable}
	}
	return a.Changes, nil
}
