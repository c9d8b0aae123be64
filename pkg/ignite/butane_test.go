package ignite

import (
	"errors"
	"strings"
	"testing"
)

func TestTranslate(t *testing.T) {
	t.Parallel()
	config, warnings, err := Translate("hello.yaml", []byte("variant: flatcar\nversion: 1.0.0\n"+
		"storage:\n  files:\n    - path: /etc/motd\n      contents: {inline: hello}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings: %v", warnings)
	}
	for _, want := range []string{`"version":"3.3.0"`, `"path":"/etc/motd"`, `"source":"data:,hello"`} {
		if !strings.Contains(string(config), want) {
			t.Errorf("%s is not in %s", want, config)
		}
	}
}

func TestTranslateProblems(t *testing.T) {
	t.Parallel()
	const head = "variant: flatcar\nversion: 1.0.0\n"
	tests := []struct{ name, source, want string }{
		{"not YAML", "variant: [", "bad.yaml: "},
		{"no variant", "version: 1.0.0\n", "variant"},
		{"unknown variant", "variant: plan9\nversion: 1.0.0\n", "plan9"},
		{"relative path", head + "storage:\n  files:\n    - path: etc/motd\n",
			"bad.yaml line 5 column 13: $.storage.files.0.path: path not absolute"},
		{"two sources", head + "storage:\n  files:\n    - path: /a\n      contents: {inline: x, source: 'data:,y'}\n",
			"bad.yaml line 6 column 37: $.storage.files.0.contents.source"},
		{"local file", head + "storage:\n  files:\n    - path: /a\n      contents: {local: secret}\n", "line 6"},
		{"two problems", head + "storage:\n  files:\n    - path: a\n    - path: b\n", "; bad.yaml line 6 column 13"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Translate("bad.yaml", []byte(tt.source))
			var config *ConfigError
			if !errors.As(err, &config) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want a ConfigError with %q", err, tt.want)
			}
		})
	}
}

func TestTranslateWarnings(t *testing.T) {
	t.Parallel()
	_, warnings, err := Translate("odd.yaml", []byte("variant: flatcar\nversion: 1.0.0\nstorrage: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || warnings[0].Line != 3 || warnings[0].Fatal || !strings.Contains(warnings[0].Message, "storrage") {
		t.Errorf("warnings %+v, want one about line 3", warnings)
	}
}
