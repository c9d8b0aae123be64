package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// atOnce is how many orders to nodes are under way together.
const atOnce = 16

// ordersOptions is what the commands have in common that give the same order to several nodes.
type ordersOptions struct {
	IO    *stdio.Streams
	Words []string // any names of nodes
	JSON  bool
}

// orderResult is what became of an order to one node; a list of them is the answer under --json.
type orderResult struct {
	Name string `json:"name"`
	MAC  string `json:"primary_mac"`
	// Result is there unless the order was refused or failed.
	Result *api.OrderView `json:"result,omitempty"`
	Error  *api.Error     `json:"error,omitempty"`
}

// nodeFinder finds nodes by their names.
type nodeFinder interface {
	nodeLister
	nodeGetter
}

// namedNodes finds the servers that the words name, each once, before any of them gets an order.
func namedNodes(ctx context.Context, d nodeFinder, words []string) ([]api.NodeView, error) {
	nodes, err := d.Nodes(ctx, false)
	if err != nil {
		return nil, err
	}
	var out []api.NodeView
	for _, w := range words {
		n, err := namedNode(ctx, d, nodes, w)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(have api.NodeView) bool { return have.PrimaryMAC == n.PrimaryMAC }) {
			out = append(out, n)
		}
	}
	return out, nil
}

// namedNode finds one server in a list. The daemon knows more of it than a list shows: its serial and its UUID.
func namedNode(ctx context.Context, d nodeGetter, nodes []api.NodeView, word string) (api.NodeView, error) {
	fits := slices.DeleteFunc(slices.Clone(nodes), func(n api.NodeView) bool { return !answersTo(&n, word) })
	if len(fits) == 0 {
		n, err := d.Node(ctx, word)
		if err != nil {
			if givenCode(err) == codeUsage {
				err = withHint(usageError("no node is called %q", word), "racker node list")
			}
			return n, err
		}
		fits = append(fits, n)
	}
	switch {
	case len(fits) > 1:
		return fits[0], withHint(usageError("%q names %s and %s", word, fits[0].Name, fits[1].Name), "racker node list")
	case fits[0].Management:
		return fits[0], usageError("%s is the management node, which no order may touch", fits[0].Name)
	}
	return fits[0], nil
}

// all gives the order to each node, some at once, and prints what became of it in the order of the words.
func (o *ordersOptions) all(ctx context.Context, d nodeFinder, what string, order func(context.Context, string) (api.OrderView, error)) error {
	nodes, err := namedNodes(ctx, d, o.Words)
	if err != nil {
		return err
	}
	return o.each(ctx, nodes, what, order)
}

func (o *ordersOptions) each(ctx context.Context, nodes []api.NodeView, what string, order func(context.Context, string) (api.OrderView, error)) error {
	results, errs := make([]orderResult, len(nodes)), make([]error, len(nodes))
	done := make(chan int, len(nodes))
	var g errgroup.Group
	g.SetLimit(atOnce)
	go func() { // SetLimit makes Go wait
		defer close(done)
		for i := range nodes {
			g.Go(func() error {
				results[i], errs[i] = orderOne(ctx, &nodes[i], order)
				done <- i
				return nil
			})
		}
		_ = g.Wait() // errors are in errs
	}()
	line := liveLine{io: o.IO}
	o.waiting(&line, what, 0, len(nodes))
	for n := 1; ; n++ {
		if _, more := <-done; !more {
			break
		}
		o.waiting(&line, what, n, len(nodes))
	}
	line.clear()
	if err := o.answer(results, errs); ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%s: %w", what, context.Cause(ctx))
}

// waiting says what is going on where that may take a while and somebody looks.
func (o *ordersOptions) waiting(line *liveLine, what string, done, all int) {
	if o.IO.ErrTTY && done < all {
		line.show(fmt.Sprintf("%s (%d/%d)", what, done, all), "")
	}
}

// orderOne gives one order.
func orderOne(ctx context.Context, n *api.NodeView, order func(context.Context, string) (api.OrderView, error)) (orderResult, error) {
	r := orderResult{Name: n.Name, MAC: n.PrimaryMAC}
	v, err := order(ctx, n.PrimaryMAC)
	if err != nil {
		r.Error = explained(err)
		return r, err
	}
	r.Result = &v
	switch {
	case v.NotFenced != "":
		err = withCode(codeSomeNodes, fmt.Errorf("%s may still be on", v.Node.Where))
	case v.Code != codeOK:
		err = withCode(v.Code, errors.New(v.Message))
	}
	return r, err
}

// explained is an error as a list has it.
func explained(err error) *api.Error {
	code := givenCode(err)
	if code == codeOK {
		code = codeFailed
	}
	return &api.Error{Message: err.Error(), Hint: strings.Join(hints(err), "; "), Code: code}
}

// answer prints all results, and gives the error that they deserve: that of a single node as it is, else code 3.
func (o *ordersOptions) answer(results []orderResult, errs []error) error {
	if err := o.print(results); err != nil {
		return err
	}
	failed := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	switch {
	case len(failed) == 0:
		return nil
	case len(errs) == 1:
		return failed[0]
	}
	return withCode(codeSomeNodes, errors.Join(failed...))
}

func (o *ordersOptions) print(results []orderResult) error {
	if o.JSON {
		return o.IO.JSON(results)
	}
	for _, r := range results {
		if r.Result == nil {
			continue // the error says it
		}
		if err := o.IO.Outf("%s\n", stdio.Clean(r.Result.Message)); err != nil {
			return err
		}
	}
	return nil
}

// someNodes sets up a command that takes nodes and nothing else.
func someNodes(env *Env, o *ordersOptions, cmd *cobra.Command, do func(context.Context) error) *cobra.Command {
	o.IO = env.IO
	cmd.Args = someWords("NODE")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.JSON, o.Words = env.JSON, args
		return do(cmd.Context())
	}
	return cmd
}
