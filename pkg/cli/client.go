package cli

import "github.com/racker-project/racker/pkg/api"

// client gives a client of the daemon at the socket that the settings name; its orders carry the command line. It dials
// nothing yet.
func (e *Env) client() (*api.Client, error) {
	s, err := e.Settings()
	if err != nil {
		return nil, err
	}
	return api.NewClient(s.Socket).WithCaller(e.words, e.sudoUser), nil
}
