package rack

import (
	"encoding/json"
	"errors"
	"net"
	"testing"
)

func TestParseMAC(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"52:54:00:12:34:56", "52:54:00:12:34:56"}, {" 52-54-00-AB-CD-EF\t", "52:54:00:ab:cd:ef"},
		{"", ""}, {"52:54:00:12:34", ""}, {"52:54:00:12:34:56:78", ""}, {"52:54:00:12:34:5", ""}, {"52:54:00:12:34:5g", ""},
		{"52-54:00:12:34:56", ""}, {"525400123456", ""}, {"00:00:00:00:00:00", ""}, {"ff:ff:ff:ff:ff:ff", ""}, {"01:00:5e:00:00:01", ""},
		{"52:54:00:12:34:+5", ""}, {"52::00:12:34:56", ""},
	}
	for _, tt := range tests {
		got, err := ParseMAC(tt.in)
		if got.String() != tt.want || (err == nil) != (tt.want != "") || (err != nil && !errors.Is(err, ErrMAC)) {
			t.Errorf("ParseMAC(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestMACText(t *testing.T) {
	t.Parallel()
	var m MAC
	if err := json.Unmarshal([]byte(`"52-54-00-12-34-56"`), &m); err != nil || m.Hardware().String() != "52:54:00:12:34:56" {
		t.Errorf("unmarshal gives %s, %v", m, err)
	}
	if got := MACFrom(m.Hardware()); got != m {
		t.Errorf("MACFrom gives %s", got)
	}
	if got := MACFrom(net.HardwareAddr{1, 2}); !got.IsZero() {
		t.Errorf("MACFrom of two bytes gives %s", got)
	}
	if err := json.Unmarshal([]byte(`"nonsense"`), &m); !errors.Is(err, ErrMAC) || m.IsZero() {
		t.Errorf("nonsense gives %s, %v", m, err)
	}
	if err := json.Unmarshal([]byte(`""`), &m); err != nil || !m.IsZero() {
		t.Errorf("empty text gives %s, %v", m, err)
	}
}
