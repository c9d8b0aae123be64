package release

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/racker-project/racker/pkg/internal/releasetest"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 12, 0, 0, 0, time.UTC) }

// vendorKey has three sub-keys, each valid for a year: one of 2020, one of 2024, and one of 2026, which is revoked.
func vendorKey(t testing.TB) *releasetest.Key {
	return releasetest.NewKey(t, date(2018, 1, 1)).Rotate(date(2020, 1, 1), year).Rotate(date(2024, 1, 1), year).
		Rotate(date(2026, 1, 1), year).Revoke(2, date(2026, 3, 1))
}

func TestVerify(t *testing.T) {
	t.Parallel()
	k, other := vendorKey(t), releasetest.NewKey(t, date(2018, 1, 1)).Rotate(date(2020, 1, 1), 0)
	key, err := ParseKey(k.Public(), k.Fingerprint(), "test")
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("a release")
	now := date(2026, 11, 21)
	for name, tt := range map[string]struct {
		sig  []byte
		data string
		now  time.Time
		want string // empty: it is good
	}{
		"valid now":                       {k.Sign(1, date(2024, 6, 1), data), "", date(2024, 6, 2), ""},
		"expired since":                   {k.Sign(1, date(2024, 6, 1), data), "", now, ""},
		"of an old sub-key, long expired": {k.Sign(0, date(2020, 6, 1), data), "", now, ""},
		"made after expiry":               {k.Sign(1, date(2025, 6, 1), data), "", now, "made on 2025-06-01 by the key"},
		"made before the sub-key":         {k.Sign(1, date(2023, 6, 1), data), "", now, "made on 2023-06-01"},
		"of a revoked sub-key":            {k.Sign(2, date(2026, 2, 1), data), "", now, "was revoked"},
		"of another key":                  {other.Sign(0, date(2024, 6, 1), data), "", now, "not the pinned key " + k.Fingerprint()},
		"of another file":                 {k.Sign(1, date(2024, 6, 1), data), "another release", now, "the file is not the one that was signed"},
		"cut off":                         {k.Sign(1, date(2024, 6, 1), data)[:60], "", now, "not an OpenPGP signature"},
		"none":                            {nil, "", now, "there is none in the file"},
		"a page of HTML":                  {[]byte("<html>please log in</html>"), "", now, ""},
		"of tomorrow":                     {k.Sign(1, date(2024, 6, 2), data), "", date(2024, 6, 1), "the clock of this machine says 2024-06-01"},
		"a minute ahead of the clock":     {k.Sign(1, date(2024, 6, 1).Add(time.Minute), data), "", date(2024, 6, 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed := data
			if tt.data != "" {
				signed = []byte(tt.data)
			}
			got, err := key.Verify(t.Context(), bytes.NewReader(signed), tt.sig, tt.now)
			good := tt.want == "" && name != "a page of HTML"
			if good && (err != nil || got.Primary != k.Fingerprint() || !strings.HasPrefix(name, "of an old") && got.Key != k.SubFingerprint(1)) {
				t.Errorf("%+v, %v", got, err)
			}
			if !good && (!errors.Is(err, ErrSignature) || !strings.Contains(err.Error(), tt.want) || got != (Signature{})) {
				t.Errorf("%+v, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	k, other := vendorKey(t), releasetest.NewKey(t, date(2018, 1, 1))
	both := append(other.Public(), k.Public()...)
	for name, tt := range map[string]struct {
		data  []byte
		print string
		want  string
	}{
		"the one":     {k.Public(), k.Fingerprint(), ""},
		"another":     {other.Public(), k.Fingerprint(), "it holds " + other.Fingerprint() + ", and not the pinned " + k.Fingerprint()},
		"a sub-key's": {k.Public(), k.SubFingerprint(0), "and not the pinned"},
		"nothing":     {nil, k.Fingerprint(), "in test: it"},
		"text":        {[]byte("hello"), k.Fingerprint(), "in test: it"},
		"a signature": {[]byte("-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"), k.Fingerprint(), "PGP SIGNATURE"},
		"too much":    {make([]byte, maxKey+1), k.Fingerprint(), "more than"},
	} {
		key, err := ParseKey(tt.data, tt.print, "test")
		if tt.want == "" && (err != nil || key.Fingerprint != tt.print) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
		if tt.want != "" && (!errors.Is(err, ErrKey) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if key, err := ParseKey(both, k.Fingerprint(), "test"); err == nil && key.Fingerprint != k.Fingerprint() {
		t.Error("of two keys the wrong one was taken")
	}
}

// What GnuPG, which the vendor uses, makes of a key and its sub-keys is understood.
func TestGnuPG(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	gpg := func(at string, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "gpg", append([]string{"--homedir", home, "--batch", "--quiet",
			"--passphrase", "", "--pinentry-mode", "loopback", "--faked-system-time", at + "T120000"}, args...)...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("gpg %v: %v\n%s", args, err, &errs)
		}
		return out.Bytes()
	}
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() }) // its agent may have gone
	gpg("20180101", "--quick-generate-key", "Buildbot <buildbot@example.com>", "rsa2048", "cert,sign", "never")
	var print string
	for line := range strings.Lines(string(gpg("20180101", "--with-colons", "--list-keys"))) {
		if f := strings.Split(line, ":"); f[0] == "fpr" && print == "" {
			print = f[9]
		}
	}
	gpg("20230101", "--quick-add-key", print, "rsa2048", "sign", "1y")
	file := filepath.Join(home, "file")
	if err := os.WriteFile(file, []byte("a release"), 0o600); err != nil {
		t.Fatal(err)
	}
	sig := gpg("20230601", "--detach-sign", "--output", "-", file)
	armored := gpg("20230601", "--armor", "--detach-sign", "--output", "-", file)
	gpg("20240601", "--quick-add-key", print, "ed25519", "sign", "1y")
	newer := gpg("20240701", "--detach-sign", "--output", "-", file)
	key, err := ParseKey(gpg("20240701", "--export"), print, "gpg")
	if err != nil {
		t.Fatal(err)
	}
	for name, sig := range map[string][]byte{"expired sub-key": sig, "armored": armored, "rotated": newer} {
		got, err := key.Verify(t.Context(), strings.NewReader("a release"), sig, date(2026, 11, 21))
		if err != nil || got.Primary != print || got.Key == print {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, err := key.Verify(t.Context(), strings.NewReader("another"), sig, date(2026, 11, 21)); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	k := vendorKey(f)
	f.Add(k.Public(), k.Fingerprint())
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n"), "x")
	f.Fuzz(func(t *testing.T, data []byte, print string) {
		if key, err := ParseKey(data, print, "f"); err == nil && key.Fingerprint != print {
			t.Errorf("%s, asked for %s", key.Fingerprint, print)
		}
	})
}

func FuzzVerify(f *testing.F) {
	k := vendorKey(f)
	key, err := ParseKey(k.Public(), k.Fingerprint(), "f")
	if err != nil {
		f.Fatal(err)
	}
	good := k.Sign(1, date(2024, 6, 1), []byte("a release"))
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, sig []byte) {
		if _, err := key.Verify(t.Context(), strings.NewReader("another release"), sig, date(2026, 11, 21)); err == nil {
			t.Error("a signature of nothing is good")
		}
	})
}
