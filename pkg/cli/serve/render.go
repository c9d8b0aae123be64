package serve

import (
	"context"
	"errors"

	"github.com/racker-project/racker/pkg/provision"
)

func render(context.Context, provision.NodeConfig) ([]byte, error) { return nil, errors.ErrUnsupported }
