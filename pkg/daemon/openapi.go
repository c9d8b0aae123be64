package daemon

import (
	_ "embed" // the description
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"go.yaml.in/yaml/v3"
)

// description is the OpenAPI 3.1 description of all routes.
//
//go:embed openapi.yaml
var description []byte

// openAPI serves the description as JSON, which is made at the first request.
func (a *API) openAPI() http.HandlerFunc {
	made := sync.OnceValues(descriptionJSON)
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := made()
		if err != nil {
			a.fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b) // the caller has gone
	}
}

func descriptionJSON() ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(description, &doc); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return b, nil
}
