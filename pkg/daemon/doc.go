// Package daemon is the frame of `racker serve`: it binds every socket before it says ready, runs all components in one
// group, tells systemd, and serves the operator API on a unix socket.
//
// It knows components and the operator's interface only, not what they do.
package daemon
