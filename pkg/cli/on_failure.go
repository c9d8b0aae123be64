package cli

import (
	"errors"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

const (
	// maxRetries is the most that the daemon takes.
	maxRetries     = 100
	defaultRetries = 3
)

func checkRetries(n int) error {
	if n < 0 || n > maxRetries {
		return usageError("--retries %d: want 0 to %d", n, maxRetries)
	}
	return nil
}

// failurePolicy gives the policy that --onfailure means: none is "ask". Without a terminal nobody could ever be asked.
func failurePolicy(io *stdio.Streams, word string) (string, error) {
	switch word {
	case api.OnFailureRetry, api.OnFailureExclude, api.OnFailureCancel:
		return word, nil
	case "", api.OnFailureAsk:
	default:
		return "", usageError("--onfailure %q: want ask, retry, exclude or cancel", word)
	}
	if io.CanPrompt() {
		return api.OnFailureAsk, nil
	}
	return "", withHint(withCode(codeNotConfirmed, errors.New("there is no terminal to ask on when a server fails")),
		"say what to do then: --onfailure retry, exclude or cancel")
}
