package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// maxCommand bounds the command line that goes with an order, in bytes before it is encoded.
const maxCommand = 4 << 10

// Audit gives the orders that were given, refused ones too.
func (c *Client) Audit(ctx context.Context) (AuditView, error) {
	return call[AuditView](ctx, c, http.MethodGet, "/v1/audit", nil)
}

// WithCaller gives a client of the same daemon whose orders say, for the audit, with which words the operator gave them
// and who called sudo. Both may be empty. It shares the connections of c.
func (c *Client) WithCaller(command []string, sudoUser string) *Client {
	with := *c
	with.header = http.Header{}
	if line := commandLine(command); line != "" {
		with.header.Set(CommandHeader, url.PathEscape(line))
	}
	if sudoUser != "" {
		with.header.Set(SudoUserHeader, url.PathEscape(sudoUser))
	}
	return &with
}

// commandLine joins the words so that a person can tell them apart; a very long line is cut.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsAny(w, " \t\r\n'\"\\$`|&;<>()*?[]#~!{}") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	line := strings.Join(quoted, " ")
	if len(line) > maxCommand {
		line = strings.ToValidUTF8(line[:maxCommand], "") + " ..."
	}
	return line
}
