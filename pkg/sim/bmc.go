package sim

import "context"

// bmcUnit is a server's virtual BMC in its own network namespace.
type bmcUnit struct{ server *server }

func newBMC(s *server, _ *namespace, _, _ string) (*bmcUnit, error) { return &bmcUnit{server: s}, nil }

func (b *bmcUnit) run(ctx context.Context) error { <-ctx.Done(); return nil }
