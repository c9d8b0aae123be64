package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// auditSource gives the orders that were given.
type auditSource interface {
	Audit(ctx context.Context) (api.AuditView, error)
}

type auditOptions struct {
	IO     *stdio.Streams
	Source func() (auditSource, error)
	Now    func() time.Time
	Since  string
	Verify bool
	JSON   bool
}

func newAuditCmd(env *Env) *cobra.Command {
	o := &auditOptions{IO: env.IO, Now: time.Now, Source: func() (auditSource, error) { return env.client() }}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Print who ordered what",
		Long: `audit prints every order that the daemon was given, refused ones too, the newest last: who gave it, with which words, and what
became of it. An order that was begun and has no result was cut short by the daemon's end, or is under way. In a pipe: number, time,
uid, SUDO_USER, method and path, run, result and command line, separated by tabs.

Each entry has the SHA-256 of the one before. A place where that does not hold is an error. --verify prints the number of entries and
the hash of the newest: written down elsewhere, it shows later that nothing before it was changed.

Exit codes: 0 ok; 1 the chain is broken, or no daemon answers; 2 usage.`,
		Example: "  racker audit --since 24h\n  racker audit --since 2026-11-21 --json\n  racker audit --verify",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON = env.JSON
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Since, "since", "", "only orders since then: an age such as 90m, 24h or 7d, a date, or an RFC 3339 time")
	f.BoolVar(&o.Verify, "verify", false, "print whether the chain holds, and its newest hash, instead of the orders")
	return cmd
}

func (o *auditOptions) run(ctx context.Context) error {
	since, err := sinceTime(o.Since, o.Now())
	if err != nil {
		return err
	}
	src, err := o.Source()
	if err != nil {
		return err
	}
	view, err := src.Audit(ctx)
	if err != nil {
		return err
	}
	if o.Verify {
		err = o.verdict(view)
	} else {
		err = o.print(view, since)
	}
	if view.Broken != "" {
		err = errors.Join(err, withHint(errors.New("the audit is broken: "+view.Broken),
			"compare audit.jsonl in the state directory with a backup; orders are still taken, and audited"))
	}
	return err
}

// auditVerdict is the answer of audit --verify.
type auditVerdict struct {
	Holds  bool      `json:"holds"`
	Broken string    `json:"broken,omitempty"`
	First  uint64    `json:"first"` // number of the oldest entry that the daemon gave; the chain before it is checked too
	Last   uint64    `json:"last"`  // number of the newest entry
	Time   time.Time `json:"time,omitzero"`
	Hash   string    `json:"hash,omitempty"`
}

func (o *auditOptions) verdict(view api.AuditView) error {
	v := auditVerdict{Holds: view.Broken == "", Broken: view.Broken}
	if n := len(view.Entries); n > 0 {
		last := view.Entries[n-1]
		v.First, v.Last, v.Time, v.Hash = view.Entries[0].Seq, last.Seq, last.Time, last.Hash
	}
	switch {
	case o.JSON:
		return o.IO.JSON(v)
	case !v.Holds:
		return nil // the error says it
	case v.Last == 0:
		return o.IO.Outf("The chain holds: there is no entry yet.\n")
	}
	return o.IO.Outf("The chain holds over %d entries.\nNewest: %s, SHA-256 %s\n", v.Last, v.Time.Local().Format(time.DateTime), v.Hash)
}

func (o *auditOptions) print(view api.AuditView, since time.Time) error {
	older := 0
	for older < len(view.Entries) && view.Entries[older].Time.Before(since) {
		older++
	}
	entries := view.Entries[older:]
	if o.JSON {
		view.Entries = append([]api.AuditEntry{}, entries...) // [] when there is none, never null
		return o.IO.JSON(view)
	}
	if len(entries) == 0 {
		if o.IO.OutTTY {
			o.IO.Errf("There was no order yet%s.\n", map[bool]string{true: " since then"}[o.Since != ""])
		}
		return nil
	}
	if first := view.Entries[0].Seq; older == 0 && first > 1 {
		o.IO.Errf("The entries before number %d are in the files audit.jsonl.* of the state directory.\n", first)
	}
	return o.table(auditRows(entries))
}
