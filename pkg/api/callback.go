package api

// CallbackPath is followed by NODE/SIGNAL; POST, with the token in CallbackTokenHeader, over TLS. Idempotent.
const CallbackPath = "/callback/v1/"

// CallbackTokenHeader carries the callback's token.
const CallbackTokenHeader = "Racker-Token"

// Signals of an installed system.
const (
	SignalReady = "ready"
	SignalFail  = "fail"
)

// Callback is the body of a callback.
type Callback struct {
	HostName string `json:"host_name"`
	// HostKeys are SSH host key fingerprints as ssh-keygen -l prints them: "256 SHA256:... (ED25519)".
	HostKeys []string `json:"host_keys,omitempty"`
	// Units are systemd units with their active state.
	Units   map[string]string `json:"units,omitempty"`
	OS      string            `json:"os,omitempty"`
	Reason  string            `json:"reason,omitempty"`   // of SignalFail
	LogTail string            `json:"log_tail,omitempty"` // of SignalFail
}
