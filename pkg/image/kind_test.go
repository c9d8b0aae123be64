package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// kinds are two profiles for tests; package profile, which has the real ones, imports this one.
type kinds []*Profile

func (k kinds) Get(name string) (*Profile, error) {
	for _, p := range k {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w %q", ErrProfile, name)
}

func (k kinds) Guess(parts []Partition) *Profile {
	if p := Guess(k, parts); p != nil {
		return p
	}
	return k[0]
}

func knowing(t *testing.T) *Library {
	t.Helper()
	known := kinds{
		{Name: "bare", Ignition: IgnitionNone},
		{Name: "labelled", Ignition: IgnitionOEMFile, SpecVersion: "3.4.0", OEMLabel: "OEM", MinDisk: 1 << 30, Partitions: []string{"OEM", "ROOT"}},
	}
	l, err := Open(filepath.Join(t.TempDir(), "images"), WithProfiles(func() Profiles { return known }))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAddRecognises(t *testing.T) {
	t.Parallel()
	raw, l := gptImage(t, 2, nil, "bootx64.efi"), knowing(t)
	for name, tt := range map[string]struct {
		data    []byte
		o       AddOptions
		profile string
		arch    string
		disk    int64
		want    error
	}{
		"partitions tell":      {raw, AddOptions{}, "labelled", "amd64", 1 << 30, nil},
		"right arch":           {raw, AddOptions{Arch: "amd64"}, "labelled", "amd64", 1 << 30, nil},
		"wrong arch":           {raw, AddOptions{Arch: "arm64"}, "", "", 0, ErrArch},
		"said otherwise":       {raw, AddOptions{Profile: "bare"}, "bare", "amd64", int64(len(raw)), nil},
		"no such profile":      {raw, AddOptions{Profile: "other"}, "", "", 0, ErrProfile},
		"no partitions":        {rawImage(), AddOptions{}, "bare", "", int64(len(rawImage())), nil},
		"arch only by promise": {rawImage(), AddOptions{Arch: "arm64"}, "bare", "arm64", int64(len(rawImage())), nil},
	} {
		m, err := l.Add(t.Context(), bytes.NewReader(tt.data), tt.o)
		if tt.want != nil {
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.Profile(t.Context(), m)
		if err != nil || m.Profile != tt.profile || p.Name != tt.profile || m.Arch != tt.arch || m.MinDisk != tt.disk {
			t.Errorf("%s: %q, arch %q, disk %d, %+v, %v", name, m.Profile, m.Arch, m.MinDisk, p, err)
		}
		if err := l.Remove(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := l.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// An image of an older racker has no profile in its manifest: its partitions tell.
func TestProfileOfAnOldImage(t *testing.T) {
	t.Parallel()
	l := knowing(t)
	m, err := l.Add(t.Context(), bytes.NewReader(gptImage(t, 2, nil)), AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Profile = ""
	if p, err := l.Profile(t.Context(), m); err != nil || p.Name != "labelled" {
		t.Errorf("%+v, %v", p, err)
	}
	m.Profile = "gone"
	if _, err := l.Profile(t.Context(), m); !errors.Is(err, ErrProfile) {
		t.Errorf("%v", err)
	}
	if _, err := openLibrary(t).Profile(t.Context(), m); !errors.Is(err, ErrProfile) {
		t.Errorf("without profiles: %v", err)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	l := knowing(t)
	m, err := l.Add(t.Context(), bytes.NewReader(rawImage()), AddOptions{Name: "os"})
	if err != nil {
		t.Fatal(err)
	}
	signed := &Signed{Key: "A", Primary: "B"}
	c := Change{Profile: "labelled", Version: "1.2.3", Channel: "stable", Source: "there", Signed: signed}
	if _, err := l.Change(t.Context(), "os", c); err != nil {
		t.Fatal(err)
	}
	want := *m
	want.Profile, want.MinDisk, want.Version, want.Channel, want.Source, want.Signed = "labelled", 1<<30, "1.2.3", "stable", "there", signed
	got, err := l.Get(t.Context(), m.ID)
	if d := cmp.Diff(&want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if _, err := l.Change(t.Context(), "os", Change{Profile: "other"}); !errors.Is(err, ErrProfile) {
		t.Errorf("%v", err)
	}
	if _, err := l.Change(t.Context(), "none", Change{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	entries, err := os.ReadDir(l.Dir(m.ID))
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the image: %v, %v", entries, err)
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	raw, l := rawImage(), openLibrary(t)
	m, err := l.Add(t.Context(), bytes.NewReader(raw), AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.OpenRaw(m)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || !bytes.Equal(whole, raw) {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		at, n := random.Int64N(int64(len(raw))), random.IntN(200<<10)
		buf := bytes.Repeat([]byte{0xff}, n)
		got, err := r.ReadAt(buf, at)
		want := raw[at:min(int64(len(raw)), at+int64(n))]
		if got != len(want) || !bytes.Equal(buf[:got], want) || (got < n) != errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes at %d: %d, %v", n, at, got, err)
		}
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("read before the beginning")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	data := filepath.Join(l.Dir(m.ID), DataFile)
	b, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	b[m.Chunks[1].Stored+m.Chunks[1].Size/2] ^= 1
	if err := os.WriteFile(data, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err = l.OpenRaw(m); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(make([]byte, 1), m.Chunks[1].Offset); !errors.Is(err, ErrDigest) || !strings.Contains(err.Error(), "chunk 1") {
		t.Errorf("damaged: %v", err)
	}
	if _, err := r.ReadAt(make([]byte, 1), m.Chunks[0].Offset); err != nil {
		t.Errorf("beside the damage: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
