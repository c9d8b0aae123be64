package rack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files in the OEM directory.
const (
	NodesFile    = "nodes.csv"
	UserFile     = "ipmi_user"
	PasswordFile = "ipmi_password"
)

// hidden is what a Password shows.
const hidden = "***"

// Password is a secret that no print, log line or JSON shows. Reveal gives it. The zero value is empty.
type Password struct {
	// A pointer, since fmt goes around methods where a Password is in an unexported field, and shows an address then.
	text *string
}

// NewPassword makes a Password of its text.
func NewPassword(text string) Password { return Password{&text} }

// Reveal gives the password itself, for the BMC's session alone.
func (p Password) Reveal() string {
	if p.text == nil {
		return ""
	}
	return *p.text
}

// String hides the password.
func (p Password) String() string { return hidden }

// Format hides the password from every verb of package fmt.
func (p Password) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the password from package slog.
func (p Password) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON hides the password.
func (p Password) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// Credentials are what racker logs in to a BMC with.
type Credentials struct {
	User     string   `json:"user"`
	Password Password `json:"password"`
	// Warnings are for the operator: a password file that everybody may read.
	Warnings []string `json:"warnings,omitempty"`
}

// ReadCredentials reads ipmi_user and ipmi_password of the OEM directory. A file that cannot be read, is empty or has
// more than one line is an error that wraps a *fs.PathError; both files' errors are joined.
func ReadCredentials(dir string) (Credentials, error) {
	user, userErr := readLine(filepath.Join(dir, UserFile))
	password, warning, passwordErr := readPassword(filepath.Join(dir, PasswordFile))
	if err := errors.Join(userErr, passwordErr); err != nil {
		return Credentials{}, err
	}
	c := Credentials{User: user, Password: password}
	if warning != "" {
		c.Warnings = append(c.Warnings, warning)
	}
	return c, nil
}

// For gives the credentials of one node: those of its BMC User and BMC Password File columns, the common ones where
// they are empty. A relative file is in oemDir.
func (c Credentials) For(n *Node, oemDir string) (Credentials, error) {
	out := Credentials{User: c.User, Password: c.Password}
	if n.BMCUser != "" {
		out.User = n.BMCUser
	}
	if n.BMCPasswordFile == "" {
		return out, nil
	}
	name := n.BMCPasswordFile
	if !filepath.IsAbs(name) {
		name = filepath.Join(oemDir, name)
	}
	password, warning, err := readPassword(name)
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials of %s: %w", n.Where(), err)
	}
	out.Password = password
	if warning != "" {
		out.Warnings = []string{warning}
	}
	return out, nil
}

func readPassword(name string) (p Password, warning string, err error) {
	text, err := readLine(name)
	if err != nil {
		return Password{}, "", err
	}
	info, err := os.Stat(name)
	if err != nil {
		return Password{}, "", fmt.Errorf("credentials: %w", err)
	}
	if info.Mode().Perm()&othersMayRead != 0 {
		warning = fmt.Sprintf("%s may be read by everybody on this machine (mode %04o): chmod 0640 %s",
			name, info.Mode().Perm(), name)
	}
	return NewPassword(text), warning, nil
}

// othersMayRead is the permission bit of a world-readable file.
const othersMayRead fs.FileMode = 0o004

// readLine reads a file of one line without its line ending.
func readLine(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("credentials: %w", err)
	}
	text := strings.TrimRight(strings.TrimPrefix(string(data), byteOrderMark), "\r\n")
	var wrong error
	switch {
	case strings.TrimSpace(text) == "":
		wrong = errEmpty
	case strings.ContainsAny(text, "\r\n"):
		wrong = errLines
	case strings.ContainsRune(text, 0):
		wrong = errZero
	}
	if wrong != nil {
		return "", fmt.Errorf("credentials: %w", &fs.PathError{Op: "read", Path: name, Err: wrong})
	}
	return text, nil
}

var (
	errEmpty = errors.New("is empty")
	errLines = errors.New("has more than one line")
	errZero  = errors.New("holds a zero byte")
)
