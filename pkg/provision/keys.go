package provision

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/racker-project/racker/pkg/rack"
	"github.com/racker-project/racker/pkg/store"
)

// Keys of the store. What is below secret/ is in no answer of the API but an export of the state.
const (
	hostKeyKeys = "secret/host-key/" // + MAC -> sshKey
	rackKeyKey  = "secret/rack-key"  // -> rackKeys
)

// sshKey is an ed25519 key for SSH.
type sshKey struct {
	PEM    string    `json:"pem"`    // private, OpenSSH's form
	Public string    `json:"public"` // one line of authorized_keys, without a comment
	Made   time.Time `json:"made"`
}

// rackKeys are racker's own: Current is what nodes have; during a rotation Next is what they are to have.
type rackKeys struct {
	Current sshKey  `json:"current"`
	Next    *sshKey `json:"next,omitempty"`
	// Running is set while nodes are being gone through: a daemon that is killed goes on.
	Running bool `json:"running,omitempty"`
}

// given is the key that a node gets which is installed now.
func (r rackKeys) given() sshKey {
	if r.Next != nil {
		return *r.Next
	}
	return r.Current
}

// Keys holds the SSH keys of a rack: one host key per node, which is kept over reinstalls and moves to new hardware of the node,
// and racker's own. Each is made when it is needed first. Its methods may be called concurrently.
type Keys struct {
	store store.Store

	mu    sync.Mutex
	rack  *rackKeys // nil until it was loaded or made
	hosts map[rack.MAC]sshKey
}

// NewKeys gives the keys in a store; nothing is read yet.
func NewKeys(st store.Store) *Keys { return &Keys{store: st, hosts: map[rack.MAC]sshKey{}} }

func newSSHKey() (sshKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return sshKey{}, fmt.Errorf("make an SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return sshKey{}, fmt.Errorf("make an SSH key: %w", err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return sshKey{}, fmt.Errorf("make an SSH key: %w", err)
	}
	return sshKey{
		PEM: string(pem.EncodeToMemory(block)), Public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))), Made: time.Now().UTC(),
	}, nil
}

// signer gives the private half. Its error holds nothing of the key.
func (k sshKey) signer() (ssh.Signer, error) {
	s, err := ssh.ParsePrivateKey([]byte(k.PEM))
	if err != nil {
		return nil, errors.New("a key in the state is damaged")
	}
	return s, nil
}

func (k sshKey) public() (ssh.PublicKey, error) {
	p, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k.Public))
	if err != nil {
		return nil, errors.New("a key in the state is damaged")
	}
	return p, nil
}

// line is the key as core's authorized_keys have it.
func (k sshKey) line() string { return k.Public + " racker" }

// fingerprint names a key; it is no secret.
func (k sshKey) fingerprint() string {
	p, err := k.public()
	if err != nil {
		return ""
	}
	return ssh.FingerprintSHA256(p)
}

// host gives a node's host key, and makes it at the first call.
func (k *Keys) host(ctx context.Context, mac rack.MAC) (sshKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.hosts[mac]; ok {
		return key, nil
	}
	key, _, err := store.GetJSON[sshKey](ctx, k.store, hostKeyKeys+mac.String())
	if errors.Is(err, store.ErrNotFound) {
		if key, err = newSSHKey(); err == nil {
			err = k.keep(ctx, hostKeyKeys+mac.String(), key)
		}
	}
	if err != nil {
		return sshKey{}, fmt.Errorf("host key of %s: %w", mac, err)
	}
	k.hosts[mac] = key
	return key, nil
}

// hostIfMade gives a node's host key; false when it has none yet.
func (k *Keys) hostIfMade(ctx context.Context, mac rack.MAC) (sshKey, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.hosts[mac]; ok {
		return key, true, nil
	}
	key, _, err := store.GetJSON[sshKey](ctx, k.store, hostKeyKeys+mac.String())
	if errors.Is(err, store.ErrNotFound) {
		return sshKey{}, false, nil
	}
	if err != nil {
		return sshKey{}, false, fmt.Errorf("host key of %s: %w", mac, err)
	}
	k.hosts[mac] = key
	return key, true, nil
}

// moves gives the writes by which a node's host key moves to its new hardware: its disks, and so the key on them, may come along.
func (k *Keys) moves(ctx context.Context, from, to rack.MAC) ([]store.Op, error) {
	key, made, err := k.hostIfMade(ctx, from)
	if err != nil || !made {
		return nil, err
	}
	op, err := put(hostKeyKeys+to.String(), key)
	return []store.Op{op, store.Delete(hostKeyKeys + from.String())}, err
}

// moved tells that the writes of moves were made.
func (k *Keys) moved(from, to rack.MAC) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.hosts[from]; ok {
		k.hosts[to] = key
		delete(k.hosts, from)
	}
}

// own gives racker's own keys, and makes the first one.
func (k *Keys) own(ctx context.Context) (rackKeys, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ownLocked(ctx)
}

func (k *Keys) ownLocked(ctx context.Context) (rackKeys, error) {
	if k.rack != nil {
		return *k.rack, nil
	}
	r, _, err := store.GetJSON[rackKeys](ctx, k.store, rackKeyKey)
	if errors.Is(err, store.ErrNotFound) {
		if r.Current, err = newSSHKey(); err == nil {
			err = k.keep(ctx, rackKeyKey, r)
		}
	}
	if err != nil {
		return rackKeys{}, fmt.Errorf("racker's SSH key: %w", err)
	}
	k.rack = &r
	return r, nil
}

// change changes racker's own keys, durably.
func (k *Keys) change(ctx context.Context, fn func(*rackKeys) error) (rackKeys, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, err := k.ownLocked(ctx)
	if err != nil {
		return r, err
	}
	if err := fn(&r); err != nil {
		return r, err
	}
	if err := k.keep(ctx, rackKeyKey, r); err != nil {
		return r, fmt.Errorf("racker's SSH key: %w", err)
	}
	k.rack = &r
	return r, nil
}

// keep stores a value; what is to be stored is, whoever goes away meanwhile.
func (k *Keys) keep(ctx context.Context, key string, v any) error {
	op, err := put(key, v)
	if err != nil {
		return err
	}
	_, err = k.store.Txn(context.WithoutCancel(ctx), nil, op)
	return err
}
