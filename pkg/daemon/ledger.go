package daemon

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"log/slog"
	"strings"

	"github.com/racker-project/racker/pkg/api"
)

// ledger writes one order into the audit: the intent before anything is done, and the result before the caller gets to
// know it. An intent without a result is an order that a crash cut short. A nil ledger keeps nothing.
type ledger struct {
	audit  Auditor
	log    *slog.Logger
	entry  api.AuditEntry
	sum    hash.Hash // of a body that is read while the order is carried out, or nil
	closed bool
}

// open writes the intent. An order that cannot be audited is not carried out.
func (l *ledger) open() error {
	if l.audit == nil {
		return nil
	}
	e := l.entry
	e.Result = api.AuditBegun
	kept, err := l.audit.Append(e)
	if err != nil {
		return &api.Error{Message: fmt.Sprintf("nothing was done, since the audit cannot be written: %v", err), Code: 1}
	}
	l.entry.Of = kept.Seq
	return nil
}

// close writes the result, once.
func (l *ledger) close(ctx context.Context, result, run string) {
	if l == nil || l.audit == nil || l.closed {
		return
	}
	l.closed = true
	l.entry.Result = cut(result)
	if l.sum != nil && l.entry.Of != 0 {
		l.entry.Plan = hex.EncodeToString(l.sum.Sum(nil))
	}
	if run != "" {
		l.entry.Run = run
	}
	if _, err := l.audit.Append(l.entry); err != nil {
		// The order is done: its caller must hear that, not this.
		l.log.ErrorContext(ctx, "result of an order not audited", "file", l.entry.Order, "state", l.entry.Result, "err", err)
	}
}

type ledgerKey struct{}

// ledgerOf gives the ledger of an order; nil for a request that only looks.
func ledgerOf(ctx context.Context) *ledger {
	l, _ := ctx.Value(ledgerKey{}).(*ledger)
	return l
}

// outcome says in the audit's words what became of an order that was carried out, and which run it made.
func outcome(answer any) (result, run string) {
	switch v := answer.(type) {
	case api.RunView:
		return api.AuditOK, v.ID
	case api.OrderView:
		if v.NotFenced != "" {
			return "not fenced: " + v.NotFenced, ""
		}
	}
	return api.AuditOK, ""
}

// cut bounds a text that comes from outside.
func cut(text string) string {
	if len(text) > maxWord {
		text = strings.ToValidUTF8(text[:maxWord], "") + " ..."
	}
	return text
}
