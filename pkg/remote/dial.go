package remote

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Defaults of Target.
const (
	DefaultPort    = 22
	DefaultTimeout = 15 * time.Second
)

// How often the node is asked whether it is still there, and how long it may take to answer.
const (
	aliveEvery = 15 * time.Second
	aliveWait  = 15 * time.Second
)

// Target says whom to log in to, and as whom.
type Target struct {
	// Name is the node's, for errors.
	Name string
	// Addr is where its sshd listens; port 0 means 22.
	Addr netip.AddrPort
	User string
	// Keys are offered in this order.
	Keys []ssh.Signer
	// HostKey is the only host key that is accepted; required.
	HostKey ssh.PublicKey
	// Timeout bounds connection and login together; 0 means 15 s. The context may end both earlier.
	Timeout time.Duration
}

// Client is a login on a node. Its methods may be called concurrently.
type Client struct {
	name string
	ssh  *ssh.Client
	stop context.CancelFunc
	own  sync.WaitGroup
	// over is set once the connection was closed: the library may wait for ever for a session that is opened after that.
	over atomic.Bool
}

// Dial connects and logs in. Errors match ErrHostKey, ErrAuth or ErrUnreachable, or are the context's, and name the node.
func Dial(ctx context.Context, t Target) (*Client, error) {
	if t.HostKey == nil || len(t.Keys) == 0 || !t.Addr.Addr().IsValid() {
		return nil, fmt.Errorf("log in to %s: address, host key or key is missing", t.Name)
	}
	if t.Addr.Port() == 0 {
		t.Addr = netip.AddrPortFrom(t.Addr.Addr(), DefaultPort)
	}
	within, cancel := context.WithTimeout(ctx, cmp.Or(t.Timeout, DefaultTimeout))
	defer cancel()
	conn, err := new(net.Dialer).DialContext(within, "tcp", t.Addr.String())
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("connect to %s: %w", t.Name, ctx.Err())
		}
		return nil, fmt.Errorf("connect to %s: %w: %w", t.Name, ErrUnreachable, err)
	}
	client, err := login(ctx, within, conn, t)
	if err != nil {
		return nil, fmt.Errorf("log in to %s at %s as %s: %w", t.Name, t.Addr, t.User, err)
	}
	return client, nil
}

// login does the handshake; within bounds it, and ctx tells whether the caller went away.
func login(ctx, within context.Context, conn net.Conn, t Target) (*Client, error) {
	cut := context.AfterFunc(within, func() { _ = conn.Close() })
	h := &handshake{}
	c, chans, reqs, err := ssh.NewClientConn(conn, t.Addr.String(), &ssh.ClientConfig{
		User: t.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			h.answered = true
			return t.Keys, nil
		})},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if !bytes.Equal(key.Marshal(), t.HostKey.Marshal()) {
				h.foreign = fmt.Errorf("it has %s %s, not %s: %w", key.Type(), ssh.FingerprintSHA256(key), ssh.FingerprintSHA256(t.HostKey), ErrHostKey)
				return h.foreign
			}
			h.trusted = true
			return nil
		},
		// The node has keys of other types, too, which racker does not know.
		HostKeyAlgorithms: []string{t.HostKey.Type()},
		ClientVersion:     "SSH-2.0-racker",
	})
	if !cut() && err == nil { // the time was over in the last moment
		err = errors.Join(net.ErrClosed, c.Close())
	}
	if err != nil {
		_ = conn.Close() // the library may have done so
		return nil, h.classify(ctx, err)
	}
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	client := &Client{name: t.Name, ssh: ssh.NewClient(c, chans, reqs), stop: stop}
	client.own.Go(func() { client.watch(alive) })
	return client, nil
}

// watch closes the connection when the node does not answer any more: TCP alone would wait for a quarter of an hour.
func (c *Client) watch(ctx context.Context) {
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		late := time.AfterFunc(aliveWait, func() { _ = c.ssh.Close() })
		_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil) // any answer will do, a refusal as well
		if !late.Stop() || err != nil {
			_ = c.ssh.Close()
			return
		}
	}
}

// Close ends the connection, and what runs over it.
func (c *Client) Close() error {
	c.stop()
	err := c.ssh.Close()
	c.own.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
