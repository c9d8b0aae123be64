package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/rack"
)

// key is one setting: how it is called and how its text becomes a value.
type key struct {
	name string // as in the file, sections before dots
	list bool   // takes a list of words
	get  func(*Settings) string
	set  func(*Settings, []string) error
	also []string // variables of the environment that give its default, the first that is set
}

// env is the key's name in the environment: RACKER_INTERNAL_INTERFACE for internal.interface.
func (k key) env() string {
	return "RACKER_" + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// keys lists every setting in the order in which `racker config show` prints them.
func keys() []key {
	return append(coreKeys(), imageKeys()...)
}

func coreKeys() []key {
	return []key{
		text("oem_dir", func(s *Settings) *string { return &s.OEMDir }),
		text("state_dir", func(s *Settings) *string { return &s.StateDir }),
		text("socket", func(s *Settings) *string { return &s.Socket }),
		text("payload_dir", func(s *Settings) *string { return &s.PayloadDir }),
		text("internal.interface", func(s *Settings) *string { return &s.Internal.Interface }),
		{name: "internal.prefix", get: func(s *Settings) string { return showPrefix(s.Internal.Prefix) }, set: setInternalPrefix},
		{name: "management_mac", get: func(s *Settings) string { return s.ManagementMAC.String() }, set: setManagementMAC},
		choice("dhcp", func(s *Settings) *DHCPMode { return &s.DHCP }, DHCPFull, DHCPProxy, DHCPOff),
		choice("bmc.mode", func(s *Settings) *BMCMode { return &s.BMC.Mode }, BMCLeased, BMCStatic),
		{name: "bmc.network", get: func(s *Settings) string { return showPrefix(s.BMC.Network) }, set: setBMCNetwork},
		port("ports.dhcp", func(s *Settings) *int { return &s.Ports.DHCP }),
		port("ports.tftp", func(s *Settings) *int { return &s.Ports.TFTP }),
		port("ports.http", func(s *Settings) *int { return &s.Ports.HTTP }),
		port("ports.https", func(s *Settings) *int { return &s.Ports.HTTPS }),
		choice("chain_ipxe", func(s *Settings) *ChainMode { return &s.ChainIPXE }, ChainAuto, ChainAlways),
		{name: "microkernel.args", list: true,
			get: func(s *Settings) string { return strings.Join(s.Microkernel.Args, " ") },
			set: func(s *Settings, words []string) error { s.Microkernel.Args = slices.Clone(words); return nil }},
		text("microkernel.default", func(s *Settings) *string { return &s.Microkernel.Default }),
		text("console", func(s *Settings) *string { return &s.Console }),
		limit("deadlines.check_bmc", func(s *Settings) *time.Duration { return &s.Deadlines.CheckBMC }),
		limit("deadlines.power", func(s *Settings) *time.Duration { return &s.Deadlines.Power }),
		limit("deadlines.netboot", func(s *Settings) *time.Duration { return &s.Deadlines.Netboot }),
		limit("deadlines.agent", func(s *Settings) *time.Duration { return &s.Deadlines.Agent }),
		limit("deadlines.disks", func(s *Settings) *time.Duration { return &s.Deadlines.Disks }),
		limit("deadlines.stalled", func(s *Settings) *time.Duration { return &s.Deadlines.Stalled }),
		limit("deadlines.boot", func(s *Settings) *time.Duration { return &s.Deadlines.Boot }),
		span("deadlines.retry", 0, time.Hour, func(s *Settings) *time.Duration { return &s.Deadlines.Retry }),
		span("limits.power_interval", 0, time.Minute, func(s *Settings) *time.Duration { return &s.Limits.PowerInterval }),
		count("limits.image_streams", 10000, func(s *Settings) *int { return &s.Limits.ImageStreams }),
		choice("sntp", func(s *Settings) *SNTPMode { return &s.SNTP }, SNTPAuto, SNTPOff),
		text("names.hosts", func(s *Settings) *string { return &s.Names.Hosts }),
		text("names.known_hosts", func(s *Settings) *string { return &s.Names.KnownHosts }),
		choice("log.level", func(s *Settings) *LogLevel { return &s.Log.Level }, LogDebug, LogInfo, LogWarn, LogError),
		choice("log.format", func(s *Settings) *LogFormat { return &s.Log.Format }, LogAuto, LogText, LogJSON),
	}
}

func text(name string, field func(*Settings) *string) key {
	return key{
		name: name,
		get:  func(s *Settings) string { return *field(s) },
		set:  func(s *Settings, v []string) error { *field(s) = v[0]; return nil },
	}
}

func choice[T ~string](name string, field func(*Settings) *T, allowed ...T) key {
	return key{
		name: name,
		get:  func(s *Settings) string { return string(*field(s)) },
		set: func(s *Settings, v []string) error {
			if !slices.Contains(allowed, T(v[0])) {
				return fmt.Errorf("%q: want %s", v[0], either(allowed))
			}
			*field(s) = T(v[0])
			return nil
		},
	}
}

func port(name string, field func(*Settings) *int) key {
	return key{
		name: name,
		get:  func(s *Settings) string { return strconv.Itoa(*field(s)) },
		set: func(s *Settings, v []string) error {
			n, err := strconv.ParseUint(v[0], 10, 16)
			if err != nil || n == 0 {
				return fmt.Errorf("%q: want a port from 1 to 65535", v[0])
			}
			*field(s) = int(n)
			return nil
		},
	}
}

// limit is a deadline: a time from a second to a day.
func limit(name string, field func(*Settings) *time.Duration) key {
	return span(name, time.Second, 24*time.Hour, field)
}

func span(name string, least, most time.Duration, field func(*Settings) *time.Duration) key {
	return key{
		name: name,
		get:  func(s *Settings) string { return field(s).String() },
		set: func(s *Settings, v []string) error {
			d, err := time.ParseDuration(v[0])
			if err != nil || d < least || d > most {
				return fmt.Errorf("%q: want a time from %s to %s, such as %s", v[0], short(least), short(most), short((least+most)/2))
			}
			*field(s) = d
			return nil
		},
	}
}

// short gives a duration without units that are zero: 24h instead of 24h0m0s.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// count is a number from 0 to most.
func count(name string, most int, field func(*Settings) *int) key {
	return key{
		name: name,
		get:  func(s *Settings) string { return strconv.Itoa(*field(s)) },
		set: func(s *Settings, v []string) error {
			n, err := strconv.Atoi(v[0])
			if err != nil || n < 0 || n > most {
				return fmt.Errorf("%q: want a number from 0 to %d", v[0], most)
			}
			*field(s) = n
			return nil
		},
	}
}

func setInternalPrefix(s *Settings, v []string) error {
	p, err := rack.ParsePrefix(v[0])
	if err == nil {
		s.Internal.Prefix = p
	}
	return err
}

func setBMCNetwork(s *Settings, v []string) error {
	if v[0] == "" {
		s.BMC.Network = netip.Prefix{}
		return nil
	}
	p, err := netip.ParsePrefix(v[0])
	if err != nil {
		return fmt.Errorf("%q: want a CIDR such as 10.1.0.0/24", v[0])
	}
	s.BMC.Network = p.Masked()
	return nil
}

func setManagementMAC(s *Settings, v []string) error {
	return s.ManagementMAC.UnmarshalText([]byte(v[0]))
}

func showPrefix(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// either gives "a, b or c".
func either[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}
