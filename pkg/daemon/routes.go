package daemon

import (
	"context"
	"net/http"

	"github.com/racker-project/racker/pkg/api"
)

// route is one path of the API with one method.
type route struct {
	method, path string
	serve        http.HandlerFunc
	// streams is set for an order whose body is no JSON, and too big to be held.
	streams bool
	// secret is set for what only root may see, which is audited like an order.
	secret bool
}

// order tells whether the route is more than looking.
func (rt *route) order() bool { return rt.secret || rt.method != http.MethodGet }

// routes are all there is; openapi.yaml describes every one of them.
func (a *API) routes(m *meter) []route {
	return append(a.lookRoutes(m), a.orderRoutes()...)
}

func (a *API) lookRoutes(m *meter) []route {
	get := func(path string, find func(r *http.Request) (any, error)) route {
		return route{method: http.MethodGet, path: path, serve: func(w http.ResponseWriter, r *http.Request) {
			reply(a, w, r, func() (any, error) { return find(r) })
		}}
	}
	return []route{
		get("/v1/rack", func(r *http.Request) (any, error) { return a.Operator.Rack(r.Context()) }),
		get("/v1/nodes", func(r *http.Request) (any, error) {
			refresh, err := flag(r, "refresh")
			if err != nil {
				return nil, err
			}
			return a.Operator.Nodes(r.Context(), refresh)
		}),
		get("/v1/nodes/{node}", func(r *http.Request) (any, error) { return a.Operator.Node(r.Context(), r.PathValue("node")) }),
		{method: http.MethodGet, path: "/v1/nodes/{node}/config", serve: plain(a, a.configs, "node", Configs.Config)},
		get("/v1/runs", func(*http.Request) (any, error) { return a.Operator.Runs(), nil }),
		get("/v1/runs/{run}", func(r *http.Request) (any, error) { return a.Operator.RunView(r.PathValue("run")) }),
		get("/v1/updates", a.listUpdates),
		get("/v1/leases", func(r *http.Request) (any, error) { return a.Operator.Leases(r.Context()) }),
		{method: http.MethodGet, path: "/v1/hosts", serve: plain(a, a.keys, "", func(k Keys, ctx context.Context, _ string) ([]api.HostView, error) {
			return k.Hosts(ctx)
		})},
		{method: http.MethodGet, path: "/v1/key", serve: plain(a, a.keys, "", func(k Keys, ctx context.Context, _ string) (api.KeyView, error) {
			return k.Key(ctx)
		})},
		get("/v1/images", func(r *http.Request) (any, error) { return a.Images.List(r.Context()) }),
		{method: http.MethodGet, path: "/v1/images/{image}/verify", serve: a.verifyImage},
		get("/v1/pulls", func(r *http.Request) (any, error) {
			p, err := a.pulls()
			if err != nil {
				return nil, err
			}
			return p.List(r.Context())
		}),
		get("/v1/pulls/{pull}", func(r *http.Request) (any, error) {
			p, err := a.pulls()
			if err != nil {
				return nil, err
			}
			return p.Get(r.Context(), r.PathValue("pull"))
		}),
		get("/v1/audit", func(r *http.Request) (any, error) {
			if a.Audit == nil {
				return api.AuditView{Entries: []api.AuditEntry{}}, nil
			}
			return a.Audit.View(r.Context())
		}),
		{method: http.MethodGet, path: "/v1/events", serve: m.streaming(a.events)},
		{method: http.MethodGet, path: "/v1/state", serve: a.state, secret: true},
		{method: http.MethodGet, path: "/v1/openapi.json", serve: a.openAPI()},
		{method: http.MethodGet, path: "/metrics", serve: m.serve()},
	}
}

func (a *API) orderRoutes() []route {
	post := func(path string, serve http.HandlerFunc) route {
		return route{method: http.MethodPost, path: path, serve: serve}
	}
	return []route{
		post("/v1/runs", bodied(a, a.operator, "", func(o Operator, ctx context.Context, _ string, r api.RunRequest) (api.RunView, error) {
			return o.Submit(ctx, r)
		})),
		post("/v1/runs/{run}/cancel", plain(a, a.operator, "run", Operator.Cancel)),
		post("/v1/runs/{run}/answer", bodied(a, a.takesOrders, "run", Orders.Answer)),
		post("/v1/runs/{run}/erase", bodied(a, a.takesOrders, "run", Orders.ConfirmErase)),
		post("/v1/plan", bodied(a, a.takesOrders, "", func(o Orders, ctx context.Context, _ string, p api.ErasePlan) (api.EraseView, error) {
			return o.PlanErase(ctx, p)
		})),
		post("/v1/nodes/{node}/reprovision", bodied(a, a.takesOrders, "node", Orders.Reprovision)),
		post("/v1/nodes/{node}/boot", bodied(a, a.takesOrders, "node", Orders.Boot)),
		{method: http.MethodPut, path: "/v1/updates/{version}", serve: a.putUpdate, streams: true},
		post("/v1/nodes/{node}/apply", bodied(a, a.changes, "node", Changes.Apply)),
		post("/v1/nodes/{node}/os-upgrade", bodied(a, a.changes, "node", Changes.UpgradeOS)),
		{method: http.MethodPut, path: "/v1/nodes/{node}/config", serve: bodied(a, a.configs, "node", Configs.PutConfig)},
		post("/v1/nodes/{node}/power", bodied(a, a.takesOrders, "node", Orders.Power)),
		post("/v1/nodes/{node}/replace", bodied(a, a.takesOrders, "node", Orders.Replace)),
		post("/v1/nodes/{node}/exclude", plain(a, a.takesOrders, "node", Orders.Exclude)),
		post("/v1/nodes/{node}/include", plain(a, a.takesOrders, "node", Orders.Include)),
		post("/v1/nodes/{node}/adopt", plain(a, a.takesOrders, "node", Orders.Adopt)),
		post("/v1/rack/reload", plain(a, a.takesOrders, "", func(o Orders, ctx context.Context, _ string) (api.ReloadView, error) {
			return o.Reread(ctx)
		})),
		post("/v1/key/rotate", plain(a, a.keys, "", func(k Keys, ctx context.Context, _ string) (api.KeyRotation, error) {
			return k.RotateKey(ctx)
		})),
		{method: http.MethodPost, path: "/v1/images", serve: a.addImage, streams: true},
		{method: http.MethodDelete, path: "/v1/images/{image}", serve: a.removeImage},
		{method: http.MethodPatch, path: "/v1/images/{image}", serve: bodied(a, a.library, "image", Images.Change)},
		post("/v1/pulls", bodied(a, a.pulls, "", func(p Pulls, ctx context.Context, _ string, o api.ImagePull) (api.PullView, error) {
			return p.Order(ctx, o)
		})),
		post("/v1/pulls/{pull}/cancel", plain(a, a.pulls, "pull", Pulls.Cancel)),
	}
}
