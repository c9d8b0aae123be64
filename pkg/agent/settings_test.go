package agent

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSettings(t *testing.T) {
	t.Parallel()
	pin := strings.Repeat("0a", 32)
	full := "initrd=initrd.img quiet racker.server=https://172.24.213.1:8443 racker.assets=http://172.24.213.1:8080/assets/ " +
		"racker.token=abc racker.pin=" + pin + " racker.mac=52:54:00:12:34:56"
	s, err := ParseSettings(full + "\n")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{s.Server.String(), s.Assets.String(), s.Token, s.Pin, s.MAC.String()}
	want := []string{"https://172.24.213.1:8443/", "http://172.24.213.1:8080/assets/", "abc", pin, "52:54:00:12:34:56"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if s, err := ParseSettings(strings.Replace(full, " racker.mac=52:54:00:12:34:56", "", 1)); err != nil || !s.MAC.IsZero() {
		t.Errorf("without a MAC: %v, %v", s.MAC, err)
	}
	for name, c := range map[string]struct {
		old, new string
		want     []string
	}{
		"nothing":      {full, "quiet", []string{"racker.server", "racker.assets", "racker.pin"}},
		"plain server": {"https://", "http://", []string{"racker.server"}},
		"TLS assets":   {"http://172", "https://172", []string{"racker.assets"}},
		"short pin":    {pin, "0a0a", []string{"racker.pin"}},
		"upper pin":    {pin, strings.ToUpper(pin), []string{"racker.pin"}},
		"bad MAC":      {"52:54:00:12:34:56", "ff:ff:ff:ff:ff:ff", []string{"racker.mac"}},
		"no host":      {"https://172.24.213.1:8443", "https:", []string{"racker.server"}},
	} {
		_, err := ParseSettings(strings.Replace(full, c.old, c.new, 1))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v does not name %s", name, err, w)
			}
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add("racker.server=https://1.2.3.4:8443 racker.assets=http://1.2.3.4/a racker.pin=" + strings.Repeat("00", 32))
	f.Add("racker.server=%zz racker.assets== racker.mac=::")
	f.Fuzz(func(t *testing.T, line string) {
		s, err := ParseSettings(line)
		if err == nil && (s.Server == nil || s.Assets == nil || !strings.HasSuffix(s.Assets.Path, "/") || len(s.Pin) != 64) {
			t.Errorf("%q gave %+v", line, s)
		}
	})
}
