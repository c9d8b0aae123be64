package rack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeOEM(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadCredentials(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		files          map[string]string
		user, password string
		errs           []string // parts, each with the file's name
	}{
		{"plain", map[string]string{UserFile: "admin\n", PasswordFile: "s3cret\r\n"}, "admin", "s3cret", nil},
		{"no newline, blanks in it", map[string]string{UserFile: "admin", PasswordFile: " a b "}, "admin", " a b ", nil},
		{"nothing there", nil, "", "", []string{UserFile + ": no such file", PasswordFile + ": no such file"}},
		{"empty", map[string]string{UserFile: "", PasswordFile: " \n\n"}, "", "", []string{UserFile + ": is empty", PasswordFile + ": is empty"}},
		{"two lines", map[string]string{UserFile: "admin\nroot\n", PasswordFile: "x"}, "", "", []string{UserFile + ": has more than one line"}},
		{"zero byte", map[string]string{UserFile: "admin", PasswordFile: "x\x00y"}, "", "", []string{PasswordFile + ": holds a zero byte"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := writeOEM(t, tt.files)
			c, err := ReadCredentials(dir)
			if len(tt.errs) == 0 {
				if err != nil || c.User != tt.user || c.Password.Reveal() != tt.password || len(c.Warnings) > 0 {
					t.Errorf("got %q, %q, warnings %q, error %v", c.User, c.Password.Reveal(), c.Warnings, err)
				}
				return
			}
			if _, ok := errors.AsType[*fs.PathError](err); !ok {
				t.Fatalf("error is no *fs.PathError: %v", err)
			}
			for _, part := range tt.errs {
				if !strings.Contains(err.Error(), filepath.Join(dir, part)) {
					t.Errorf("error %v does not say %q", err, part)
				}
			}
		})
	}
}

func TestWorldReadablePassword(t *testing.T) {
	t.Parallel()
	dir := writeOEM(t, map[string]string{UserFile: "admin", PasswordFile: "x"})
	name := filepath.Join(dir, PasswordFile)
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := ReadCredentials(dir)
	if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], name) || !strings.Contains(c.Warnings[0], "0644") {
		t.Errorf("warnings %q, error %v", c.Warnings, err)
	}
}

func TestCredentialsFor(t *testing.T) {
	t.Parallel()
	dir := writeOEM(t, map[string]string{"node7": "other\n"})
	common := Credentials{User: "admin", Password: NewPassword("common"), Warnings: []string{"w"}}
	tests := []struct {
		name           string
		node           Node
		user, password string
		err            string
	}{
		{"common", Node{}, "admin", "common", ""},
		{"own user", Node{BMCUser: "root"}, "root", "common", ""},
		{"own password, relative", Node{BMCPasswordFile: "node7"}, "admin", "other", ""},
		{"both, absolute", Node{BMCUser: "root", BMCPasswordFile: filepath.Join(dir, "node7")}, "root", "other", ""},
		{"no such file", Node{Name: "node-7", Location: "U17", BMCPasswordFile: "gone"}, "", "", "credentials of node-7 (U17): "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := common.For(&tt.node, dir)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), "gone") {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || c.User != tt.user || c.Password.Reveal() != tt.password || len(c.Warnings) > 0 {
				t.Errorf("got %q, %q, warnings %q, error %v", c.User, c.Password.Reveal(), c.Warnings, err)
			}
		})
	}
}

func TestPasswordHides(t *testing.T) {
	t.Parallel()
	c := Credentials{User: "admin", Password: NewPassword("s3cret")}
	var b bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, format+"\n", c)
		fmt.Fprintf(&b, format+"\n", &c)
		fmt.Fprintf(&b, format+"\n", c.Password)
		fmt.Fprintf(&b, format+"\n", struct{ p Password }{c.Password})
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "password", c.Password, "all", c)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", "password", c.Password, "all", c)
	if err := json.NewEncoder(&b).Encode(c); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "s3cret") || strings.Contains(b.String(), fmt.Sprintf("%x", "s3cret")) {
		t.Errorf("the password is shown:\n%s", b.String())
	}
	if !strings.Contains(b.String(), hidden) {
		t.Errorf("nothing stands for the password:\n%s", b.String())
	}
}
