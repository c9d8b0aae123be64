package api

import (
	"context"
	"net/http"
	"net/url"
)

// SubmitRun orders a run; it goes on without its client.
func (c *Client) SubmitRun(ctx context.Context, req RunRequest) (RunView, error) {
	return call[RunView](ctx, c, http.MethodPost, "/v1/runs", req)
}

// Runs lists all runs.
func (c *Client) Runs(ctx context.Context) ([]RunView, error) {
	return call[[]RunView](ctx, c, http.MethodGet, "/v1/runs", nil)
}

// Run gives one run.
func (c *Client) Run(ctx context.Context, id string) (RunView, error) {
	return call[RunView](ctx, c, http.MethodGet, "/v1/runs/"+url.PathEscape(id), nil)
}

// CancelRun stops a run; nodes that are being written are left in the microkernel.
func (c *Client) CancelRun(ctx context.Context, id string) (RunView, error) {
	return call[RunView](ctx, c, http.MethodPost, "/v1/runs/"+url.PathEscape(id)+"/cancel", nil)
}

// Answer answers the questions of a run.
func (c *Client) Answer(ctx context.Context, run string, a Answer) (RunView, error) {
	return call[RunView](ctx, c, http.MethodPost, "/v1/runs/"+url.PathEscape(run)+"/answer", a)
}

// ConfirmErase confirms the table of disks that a run waits to erase.
func (c *Client) ConfirmErase(ctx context.Context, run string, a EraseAnswer) (RunView, error) {
	return call[RunView](ctx, c, http.MethodPost, "/v1/runs/"+url.PathEscape(run)+"/erase", a)
}

// PlanErase gives the disks that a run would erase, as far as the nodes' hardware is known. It changes nothing.
func (c *Client) PlanErase(ctx context.Context, p ErasePlan) (EraseView, error) {
	return call[EraseView](ctx, c, http.MethodPost, "/v1/plan", p)
}
