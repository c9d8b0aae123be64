package release

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/internal/releasetest"
)

func flatcar() api.ImagePull { return api.ImagePull{OS: OS} }

func TestPull(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.site.Start()
		b.start()
		v := b.pull(flatcar())
		if v.State != api.PullDone || v.What != "flatcar stable 4593.2.5 amd64" || v.Held || v.Done != int64(len(b.image)) {
			t.Errorf("%+v", v)
		}
		got := b.keeps(b.image)
		got.Progress = nil
		sum := got.SHA256
		want := File{
			Name: "flatcar-4593.2.5", Profile: "flatcar", Source: b.site.URL("stable/amd64-usr/4593.2.5/flatcar_production_image.bin.bz2"), SHA256: sum,
			Arch: "amd64", Version: "4593.2.5", Channel: "stable",
			Signed: &Signature{At: date(2024, 6, 1), Key: b.key.SubFingerprint(1), Primary: b.key.Fingerprint()},
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(File{})); d != "" {
			t.Error(d)
		}
		if left := b.left(); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		// The same once more is not fetched again, by its number neither.
		for _, o := range []api.ImagePull{flatcar(), {OS: OS, Version: "4593.2.5", Arch: "amd64"}} {
			if v := b.pull(o); v.State != api.PullDone || !v.Held {
				t.Errorf("%+v", v)
			}
		}
		if n := b.asked(ImageFile + " "); n != 1 {
			t.Errorf("fetched %d times", n)
		}
	})
}

func TestPullOtherChannelAndArch(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.cfg.Source.Mirror = b.site.URL("") // without a place for the channel it is a directory
		b.site.Start()
		b.start()
		if v := b.pull(api.ImagePull{OS: OS, Channel: "lts", Arch: "arm64", Name: "mine"}); v.State != api.PullDone {
			t.Fatalf("%+v", v.Error)
		}
		if f := b.keeps(b.image[:1<<20]); f.Name != "mine" || f.Arch != "arm64" || f.Channel != "lts" || f.Version != "4081.3.10" {
			t.Errorf("%+v", f)
		}
	})
}

// What is not as it must be is not kept, and nothing of it stays.
func TestPullRefused(t *testing.T) {
	const dir = "stable/amd64-usr/4593.2.5/"
	old := date(2024, 6, 1)
	for name, tt := range map[string]struct {
		change func(b *bench)
		order  api.ImagePull
		want   string
	}{
		"image signed by another": {func(b *bench) {
			other := releasetest.NewKey(b.t, old).Rotate(old, 0)
			b.site.Put(dir+ImageFile+SignatureEnd, other.Sign(0, old, b.image))
		}, flatcar(), "not the pinned key"},
		"signed after the sub-key's expiry": {func(b *bench) {
			b.site.Put(dir+ImageFile+SignatureEnd, b.key.Sign(1, date(2026, 6, 1), b.image))
		}, flatcar(), "made on 2026-06-01"},
		"signature of another image": {func(b *bench) {
			b.site.Put(dir+ImageFile, b.image[1:])
		}, flatcar(), "not the one that was signed"},
		"truncated on the server": {func(b *bench) {
			b.site.Put(dir+ImageFile, b.image[:len(b.image)/2])
		}, flatcar(), "not the one that was signed"},
		"no signature": {func(b *bench) { b.site.Remove(dir + ImageFile + SignatureEnd) }, flatcar(), ".sig: there is no such file (404 Not Found)"},
		"version of another": {func(b *bench) {
			b.site.Put("stable/amd64-usr/current/version.txt", []byte("FLATCAR_VERSION=9999.9.9\n"))
		}, flatcar(), "version.txt: signature: the file is not the one"},
		"version in the wrong place": {func(b *bench) {
			text := []byte("FLATCAR_VERSION=4593.2.4\n")
			b.site.Put(dir+"version.txt", text)
			b.site.Put(dir+"version.txt.sig", b.key.Sign(1, old, text))
		}, api.ImagePull{OS: OS, Version: "4593.2.5"}, "is of version 4593.2.4, expected 4593.2.5"},
		"another board": {func(b *bench) {
			text := []byte("FLATCAR_VERSION=4593.2.5\nFLATCAR_BOARD=\"arm64-usr\"\n")
			b.site.Put("stable/amd64-usr/current/version.txt", text)
			b.site.Put("stable/amd64-usr/current/version.txt.sig", b.key.Sign(1, old, text))
		}, flatcar(), "is of board arm64-usr, expected amd64-usr"},
		"no such version": {func(*bench) {}, api.ImagePull{OS: OS, Version: "1.2.3"}, "1.2.3/version.txt: there is no such file (404 Not Found)"},
		"no such arch":    {func(*bench) {}, api.ImagePull{OS: OS, Arch: "arm64"}, "arm64-usr/current/version.txt: there is no such file"},
		"another primary key": {func(b *bench) {
			b.site.Put("key.asc", releasetest.NewKey(b.t, old).Public())
		}, flatcar(), "and not the pinned"},
		"no key":             {func(b *bench) { b.site.Remove("key.asc") }, flatcar(), "key.asc: there is no such file"},
		"a file, and digest": {func(*bench) {}, api.ImagePull{URL: "http://" + server + "/key.asc", SHA256: strings.Repeat("0", 64)}, "expected 000"},
		"a file, and another's signature": {func(*bench) {}, api.ImagePull{
			URL: "http://" + server + "/" + dir + ImageFile, SignatureURL: "http://" + server + "/" + dir + "version.txt.sig",
		}, "not the one that was signed"},
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, func(t *testing.T, b *bench) {
				tt.change(b)
				b.site.Start()
				b.start()
				v := b.pull(tt.order)
				if v.State != api.PullFailed || !strings.Contains(v.Error.Message, tt.want) {
					t.Errorf("%s %+v, want %q", v.State, v.Error, tt.want)
				}
				if len(b.shelf.kept) > 0 || len(b.left()) > 0 {
					t.Errorf("kept %+v, left %q", b.shelf.kept, b.left())
				}
			})
		})
	}
}

// A sub-key that the kept key does not know comes with the vendor's newest.
func TestRotatedSubKey(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.site.Start()
		b.start()
		b.pull(flatcar())
		b.key.Rotate(date(2026, 10, 1), year)
		b.site.Release(b.key, 3, date(2026, 11, 1), "stable", "4700.2.0", "amd64", b.image)
		if v := b.pull(flatcar()); v.State != api.PullFailed || !strings.Contains(v.Error.Message, "no sub-key of it") {
			t.Errorf("by an unknown sub-key: %+v, %+v", v, v.Error)
		}
		b.site.Put("key.asc", b.key.Public())
		if v := b.pull(flatcar()); v.State != api.PullDone || v.What != "flatcar stable 4700.2.0 amd64" {
			t.Errorf("%+v, %+v", v, v.Error)
		}
		// The kept key serves when the vendor's server has none, or one with the wrong fingerprint.
		b.site.Release(b.key, 3, date(2026, 11, 2), "stable", "4700.2.1", "amd64", b.image)
		b.site.Put("key.asc", []byte("<html>"))
		if v := b.pull(flatcar()); v.State != api.PullDone {
			t.Errorf("with the kept key: %+v", v.Error)
		}
	})
}

func TestKeyOfAFile(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.site.Remove("key.asc")
		b.cfg.Source.KeyFile = t.TempDir() + "/key.asc"
		b.site.Start()
		b.start()
		if v := b.pull(flatcar()); v.State != api.PullFailed || !strings.Contains(v.Error.Message, "key.asc: no such file") {
			t.Errorf("%+v", v.Error)
		}
		if err := os.WriteFile(b.cfg.Source.KeyFile, b.key.Public(), 0o600); err != nil {
			t.Fatal(err)
		}
		if v := b.pull(flatcar()); v.State != api.PullDone {
			t.Errorf("%+v", v.Error)
		}
	})
}

func TestPullURL(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.site.Put("os/disk.img.zst", b.image)
		b.site.Put("os/disk.sig", b.key.Sign(1, date(2024, 6, 1), b.image))
		b.site.Start()
		b.start()
		if v := b.pull(api.ImagePull{URL: b.site.URL("os/disk.img.zst"), SignatureURL: b.site.URL("os/disk.sig"), Profile: "plain"}); v.State != api.PullDone {
			t.Fatalf("%+v", v.Error)
		}
		if f := b.keeps(b.image); f.Name != "disk" || f.Signed == nil || f.Version != "" || f.Profile != "plain" {
			t.Errorf("%+v", f)
		}
	})
}

func TestProxy(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.site.Proxy = true
		b.cfg.Web.Proxy = "http://" + server + ":3128"
		b.site.Start()
		b.start()
		if v := b.pull(flatcar()); v.State != api.PullDone {
			t.Fatalf("%+v", v.Error)
		}
		if n := len(b.site.ProxyLog()); n != 5 { // the key, version.txt, the image, and the signatures of both
			t.Errorf("%d requests to the proxy: %q", n, b.site.ProxyLog())
		}
	})
}

func TestProxyLeftOut(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.cfg.Web.Proxy, b.cfg.Web.NoProxy = "http://10.9.0.77:3128", "10.9.0.0/24"
		b.site.Start()
		b.start()
		if v := b.pull(flatcar()); v.State != api.PullDone {
			t.Errorf("%+v", v.Error)
		}
	})
}

// Two orders at once: the same one joins, another one is refused with the name of the first.
func TestTwoPulls(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.site.Settings = "location ~ bz2$ { limit_rate 64k; }"
		b.site.Start()
		b.start()
		first, err := b.pulls.Order(t.Context(), flatcar())
		if err != nil {
			t.Fatal(err)
		}
		b.until(first.ID, func(v api.PullView) bool {
			return v.Stage == api.PullFetches && v.Done > 0 && v.Total == int64(len(b.image))
		})
		second, err := b.pulls.Order(t.Context(), api.ImagePull{OS: OS, Channel: "stable", Arch: "amd64"})
		if err != nil || second.ID != first.ID || !second.Joined {
			t.Errorf("%+v, %v", second, err)
		}
		_, err = b.pulls.Order(t.Context(), api.ImagePull{OS: OS, Channel: "lts", Arch: "arm64"})
		if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), first.ID+" (flatcar stable 4593.2.5 amd64) is under way") {
			t.Errorf("%v", err)
		}
		_, err = b.pulls.Receive(t.Context(), Upload{Signature: []byte("x"), Key: b.key.Public()}, strings.NewReader(""), nil)
		if !errors.Is(err, ErrBusy) {
			t.Errorf("an upload: %v", err)
		}
		if _, err := b.pulls.Cancel(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		if v := b.until(first.ID, over); v.State != api.PullCancelled || v.Error != nil {
			t.Errorf("%+v", v)
		}
		if len(b.shelf.kept) > 0 {
			t.Errorf("kept %+v", b.shelf.kept)
		}
		// What was fetched stays for the next one, for a week.
		b.part()
		past := date(2026, 11, 10)
		if err := errors.Join(os.Chtimes(b.part(), past, past), os.Chtimes(notesPath(b.part()), past, past)); err != nil {
			t.Fatal(err)
		}
		b.stop()
		b.start()
		if left := b.left(); len(left) > 0 {
			t.Errorf("left for ever: %q", left)
		}
		if _, err := b.pulls.Cancel(t.Context(), "pull-x"); !errors.Is(err, ErrNoPull) {
			t.Errorf("%v", err)
		}
	})
}

func TestReceive(t *testing.T) {
	text := []byte("FLATCAR_VERSION=4757.1.0\n")
	at := date(2024, 6, 1)
	onBench(t, func(t *testing.T, b *bench) {
		b.start() // no server answers: this is offline
		good := Upload{
			Signature: b.key.Sign(1, at, b.image), Version: text, VersionSignature: b.key.Sign(1, at, text), Key: b.key.Public(), Size: int64(len(b.image)),
		}
		for name, tt := range map[string]struct {
			change func(u *Upload)
			want   error
		}{
			"no signature":        {func(u *Upload) { u.Signature = nil }, ErrSignature},
			"another's signature": {func(u *Upload) { u.Signature = u.VersionSignature }, ErrSignature},
			"unsigned version":    {func(u *Upload) { u.VersionSignature = nil }, ErrSignature},
			"wrong version":       {func(u *Upload) { u.Version = []byte("FLATCAR_VERSION=9999.0.0\n") }, ErrSignature},
			"another key":         {func(u *Upload) { u.Key = releasetest.NewKey(t, at).Public() }, ErrKey},
			"no such channel":     {func(u *Upload) { u.Channel = "edge" }, ErrRelease},
			"no such arch":        {func(u *Upload) { u.Arch = "s390x" }, ErrRelease},
			"no room":             {func(u *Upload) { u.Size = 1 << 40 }, ErrSpace},
		} {
			u := good
			tt.change(&u)
			_, err := b.pulls.Receive(t.Context(), u, bytes.NewReader(b.image), nil)
			if !errors.Is(err, tt.want) || len(b.shelf.kept) > 0 || len(b.left()) > 0 {
				t.Errorf("%s: %v, want %v; kept %+v, left %q", name, err, tt.want, b.shelf.kept, b.left())
			}
		}
		var stages []string
		img, err := b.pulls.Receive(t.Context(), good, bytes.NewReader(b.image), func(stage string, _ int64) {
			if !contains(stages, stage) {
				stages = append(stages, stage)
			}
		})
		if err != nil || img.Name != "flatcar-4757.1.0" {
			t.Fatalf("%+v, %v", img, err)
		}
		if d := cmp.Diff([]string{api.PullFetches, api.PullVerifies, api.PullKeeps}, stages); d != "" {
			t.Error(d)
		}
		if f := b.keeps(b.image); f.Channel != "beta" || f.Version != "4757.1.0" || f.Arch != "amd64" || f.Profile != OS {
			t.Errorf("%+v", f)
		}
		if list, err := b.pulls.List(t.Context()); err != nil || len(list) == 0 || list[0].State != api.PullDone || list[0].What != "flatcar beta 4757.1.0 amd64" {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestOrderRefused(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0", 64)
	for want, o := range map[string]api.ImagePull{
		"neither a system nor a URL":            {},
		`not of "debian"`:                       {OS: "debian"},
		`channel "edge": want stable`:           {OS: OS, Channel: "edge"},
		`architecture "s390x"`:                  {OS: OS, Arch: "s390x"},
		`version "../x"`:                        {OS: OS, Version: "../x"},
		"takes no URL, digest or":               {OS: OS, SHA256: sum},
		"needs its SHA-256 or a signature":      {URL: "http://x/y"},
		`"file:///etc/passwd": want an address`: {URL: "file:///etc/passwd", SHA256: sum},
		"belong to a release":                   {URL: "http://x/y", SHA256: sum, Version: "1.2.3"},
		"is not 64 hex digits":                  {URL: "http://x/y", SHA256: "ABC"},
		"a user name or password is not taken":  {URL: "http://me:hush@x/y", SHA256: sum},
		"the signature is not base64":           {URL: "http://x/y", Signature: "%"},
		`"ftp://x/y.sig": want an address`:      {URL: "http://x/y", SignatureURL: "ftp://x/y.sig"},
	} {
		_, err := check(o)
		if !errors.Is(err, ErrRelease) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestSweepKeepsOthers(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), Now: func() time.Time { return date(2026, 11, 21) }}
	for _, name := range []string{"mine", uploadPrefix + "1", "key-X.asc", orderFile} {
		if err := os.WriteFile(cfg.Dir+"/"+name, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := NewPulls(cfg, &shelf{}, quiet()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != "key-X.asc" || entries[1].Name() != "mine" {
		t.Errorf("%v, %v", entries, err)
	}
}
