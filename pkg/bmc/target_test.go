package bmc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/racker-project/racker/pkg/bmc"
)

func TestSecret(t *testing.T) {
	const password = "correct horse"
	target := bmc.At("node-1", netip.MustParseAddrPort("10.0.0.1:623"), "ADMIN", password)
	encoded, err := json.Marshal(target)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "bmc", target, "password", target.Password)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "bmc", target, "password", target.Password)
	texts := []string{string(encoded), logged.String()}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(format, target.Password), fmt.Sprintf(format, target))
	}
	for _, text := range texts {
		if strings.Contains(text, password) || strings.Contains(text, fmt.Sprintf("%x", password)) {
			t.Errorf("the password shows in %s", text)
		}
	}
	if got := target.Password.Reveal(); got != password {
		t.Errorf("Reveal gives %q", got)
	}
}

func TestTargetString(t *testing.T) {
	for want, target := range map[string]bmc.Target{
		"BMC of node-2 at 172.24.213.6":      {Node: "node-2", Host: "172.24.213.6"},
		"BMC of node-2 at 172.24.213.7":      bmc.At("node-2", netip.MustParseAddrPort("172.24.213.7:623"), "u", "p"),
		"BMC of node-2 at 172.24.213.6:6230": {Node: "node-2", Host: "172.24.213.6", Port: 6230},
		"BMC at fe80::1":                     {Host: "fe80::1"},
		"BMC of node-2 at [fe80::1]:6230":    {Node: "node-2", Host: "fe80::1", Port: 6230},
	} {
		if got := target.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestBadTarget(t *testing.T) {
	ctx, c := testContext(t), bmc.New(bmc.Config{})
	for want, target := range map[string]bmc.Target{
		"BMC of node-1: no address":            {Node: "node-1"},
		"port 70000 is out of range":           {Host: "127.0.0.1", Port: 70000},
		"is longer than the 16 bytes of IPMI":  {Host: "127.0.0.1", User: strings.Repeat("u", 17)},
		"password is longer than the 20 bytes": {Host: "127.0.0.1", Password: bmc.Secret(strings.Repeat("p", 21))},
		"must not hold a NUL byte":             {Host: "127.0.0.1", User: "a\x00"},
		"has no address: lookup no such name":  {Host: "no such name", User: "u"},
	} {
		if _, err := c.Power(ctx, target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
