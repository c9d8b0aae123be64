package daemon

import (
	"context"
	"net/http"

	"github.com/racker-project/racker/pkg/api"
)

// Changes changes systems that run.
type Changes interface {
	Apply(ctx context.Context, node string, o api.ApplyOrder) (api.RunView, error)
	UpgradeOS(ctx context.Context, node string, o api.OSUpgrade) (api.RunView, error)
}

func (a *API) changes() (Changes, error) {
	if a.Changes == nil {
		return nil, &api.Error{Message: "this daemon changes no running systems", Code: 1, Status: http.StatusServiceUnavailable}
	}
	return a.Changes, nil
}
