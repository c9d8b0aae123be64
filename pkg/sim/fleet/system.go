package fleet

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/sim"
)

// Times of the installed system's callback (bootstrap/butane/callback.sh).
const (
	callbackTime  = 30 * time.Second
	callbackFirst = time.Second
	callbackMost  = 30 * time.Second
)

// system boots what is on the disk. It is up when it returns, unless its power went.
func (s *session) system(ctx context.Context) {
	d := s.held()
	s.port.configure(noAddress())
	s.say("booting image %s", d.image)
	if s.pause(ctx, s.node.hw.Boot) != nil {
		return
	}
	host := s.node.row.Name
	if d.config != nil && d.config.host != "" {
		host = d.config.host
	}
	s.become(sim.StateBooted)
	if _, err := s.lease(ctx, systemPatience(), asSystem(host, s.port.mac.Hardware())...); err != nil {
		return
	}
	s.say("%s login:", host)
	switch {
	case d.config == nil || d.config.callback == nil || s.fault().NoCallback:
	case d.config.token == "": // an earlier boot made the callback, and it was accepted
		s.become(sim.StateReady)
	default:
		s.callback(ctx, d.config, host)
	}
}

// callback tells racker that the system is up until it is heard or refused.
func (s *session) callback(ctx context.Context, c *installed, host string) {
	t := &http.Transport{DialContext: s.dial, TLSClientConfig: &tls.Config{RootCAs: c.ca, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	client := &http.Client{Transport: t, Timeout: callbackTime}
	body, err := json.Marshal(api.Callback{
		HostName: host, OS: "Fake Linux", Units: map[string]string{"systemd-networkd.service": "active"},
		HostKeys: []string{fmt.Sprintf("256 SHA256:%x (ED25519)", s.node.uuid())},
	})
	if err != nil {
		s.say("callback: %v", err)
		return
	}
	for delay := callbackFirst; ; delay = min(2*delay, callbackMost) {
		status, err := s.post(ctx, client, c, body)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && status/100 == 2:
			done := *c
			done.token = "" // the file is removed
			s.note(func(n *node) {
				n.disk.config = &done
				n.state = sim.StateReady
				n.count.Callbacks++
			})
			s.say("callback ready accepted")
			return
		case err == nil && status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusTooEarly && status != http.StatusTooManyRequests:
			s.say("callback ready refused: HTTP status %d", status)
			return
		}
		s.say("callback ready: HTTP status %d, %v; next try in %s", status, err, delay)
		if rest(ctx, delay) != nil {
			return
		}
	}
}

func (s *session) post(ctx context.Context, client *http.Client, c *installed, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.callback.String()+api.SignalReady, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(api.CallbackTokenHeader, c.token)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // the status says it all
	return res.StatusCode, nil
}
