package daemon

import (
	"context"
	"io"
	"iter"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/event"
)

// Operator answers the operator API. Its errors reach the caller through API.Explain.
type Operator interface {
	Rack(ctx context.Context) (api.RackView, error)
	Nodes(ctx context.Context, refresh bool) ([]api.NodeView, error)
	Node(ctx context.Context, word string) (api.NodeView, error)
	Submit(ctx context.Context, req api.RunRequest) (api.RunView, error)
	Runs() []api.RunView
	RunView(id string) (api.RunView, error)
	Cancel(ctx context.Context, id string) (api.RunView, error)
	Leases(ctx context.Context) ([]api.LeaseView, error)
}

// Orders carries out the orders at single nodes, and takes answers to the questions of runs.
type Orders interface {
	Answer(ctx context.Context, run string, a api.Answer) (api.RunView, error)
	ConfirmErase(ctx context.Context, run string, a api.EraseAnswer) (api.RunView, error)
	// PlanErase only looks.
	PlanErase(ctx context.Context, p api.ErasePlan) (api.EraseView, error)
	Reprovision(ctx context.Context, node string, r api.Reprovision) (api.RunView, error)
	Boot(ctx context.Context, node string, o api.BootOrder) (api.RunView, error)
	Power(ctx context.Context, node string, o api.PowerOrder) (api.OrderView, error)
	Exclude(ctx context.Context, node string) (api.OrderView, error)
	Include(ctx context.Context, node string) (api.OrderView, error)
	Adopt(ctx context.Context, node string) (api.OrderView, error)
	Replace(ctx context.Context, node string, r api.Replace) (api.OrderView, error)
	// Reread reads nodes.csv again.
	Reread(ctx context.Context) (api.ReloadView, error)
}

// Configs keeps what is declared of the nodes.
type Configs interface {
	PutConfig(ctx context.Context, node string, c api.NodeConfig) (api.ConfigView, error)
	Config(ctx context.Context, node string) (api.ConfigView, error)
}

// Keys tells how installed nodes are reached, and keeps racker's own SSH key.
type Keys interface {
	Hosts(ctx context.Context) ([]api.HostView, error)
	Key(ctx context.Context) (api.KeyView, error)
	RotateKey(ctx context.Context) (api.KeyRotation, error)
}

// Images is the library of OS images behind the API.
type Images interface {
	List(ctx context.Context) ([]api.ImageView, error)
	// Add reads a file of any supported compression.
	Add(ctx context.Context, add api.ImageAdd, r io.Reader, progress func(read int64)) (api.ImageView, error)
	// AddSigned reads a file and takes nothing of it before its signature is verified.
	AddSigned(ctx context.Context, add api.ImageAdd, parts api.ImageParts, r io.Reader, progress func(stage string, done int64)) (api.ImageView, error)
	// Verify compares all of an image with its digests.
	Verify(ctx context.Context, id string, progress func(read int64)) (api.ImageView, error)
	Change(ctx context.Context, id string, c api.ImageChange) (api.ImageView, error)
	// Remove deletes an image that no order needs; with unused only one that nothing needs.
	Remove(ctx context.Context, id string, unused bool) error
}

// Pulls fetches images.
type Pulls interface {
	Order(ctx context.Context, o api.ImagePull) (api.PullView, error)
	List(ctx context.Context) ([]api.PullView, error)
	Get(ctx context.Context, id string) (api.PullView, error)
	Cancel(ctx context.Context, id string) (api.PullView, error)
}

// Events is the stream of what happens.
type Events interface {
	// Subscribe gives what is kept with an ID above after, then what comes, until ctx is done. The channel may be closed
	// early on a reader that is too slow.
	Subscribe(ctx context.Context, after uint64) <-chan event.Event
	// Replay gives what is kept, and ends.
	Replay(after uint64) iter.Seq[event.Event]
	// Last is the ID of the newest event.
	Last() uint64
	// Oldest is the ID of the oldest event that is kept; what came before is gone.
	Oldest() uint64
}

// Auditor keeps the orders. Append numbers, dates and chains an entry, and returns once it is on disk.
type Auditor interface {
	Append(e api.AuditEntry) (api.AuditEntry, error)
	// View gives all entries that are kept and says where the chain does not hold.
	View(ctx context.Context) (api.AuditView, error)
}
