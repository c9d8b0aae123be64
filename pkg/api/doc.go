// Package api has the types of racker's HTTP interfaces and their clients: the agent API on port 8443
// (/agent/v1/), the callbacks (/callback/v1/), and the operator API on the unix socket (/v1/).
//
// It holds no policy: the servers live in packages bootd and daemon.
package api
