package config

import (
	"strings"
	"testing"
)

// What the environment tells every program is the least of all sources.
func TestProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "image: {proxy: 'http://file:1'}\n")
	for name, tt := range map[string]struct {
		env           map[string]string
		proxy, origin string
	}{
		"none":           {nil, "", ""},
		"upper case":     {map[string]string{"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1"}, "http://a:1", "HTTPS_PROXY"},
		"lower case":     {map[string]string{"HTTPS_PROXY": " ", "https_proxy": "http://b:1"}, "http://b:1", "https_proxy"},
		"a password":     {map[string]string{"HTTPS_PROXY": "http://me:hush@a:1"}, "", ""},
		"the file":       {map[string]string{"HTTPS_PROXY": "http://a:1", "RACKER_CONFIG": file}, "http://file:1", file + ":1"},
		"our own":        {map[string]string{"RACKER_IMAGE_PROXY": "http://c:1", "RACKER_CONFIG": file}, "http://c:1", "RACKER_IMAGE_PROXY"},
		"none after all": {map[string]string{"HTTPS_PROXY": "http://a:1", "RACKER_IMAGE_PROXY": ""}, "", "RACKER_IMAGE_PROXY"},
	} {
		s, err := Load(Sources{File: tt.env["RACKER_CONFIG"], LookupEnv: environment(withConfig(t, tt.env))})
		if err != nil || s.Image.Proxy != tt.proxy || s.Origin["image.proxy"] != tt.origin {
			t.Errorf("%s: %q by %q, %v; want %q by %q", name, s.Image.Proxy, s.Origin["image.proxy"], err, tt.proxy, tt.origin)
		}
	}
}

// withConfig names an empty settings file, unless there is one.
func withConfig(t *testing.T, env map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{"RACKER_CONFIG": writeFile(t, "")}
	for k, v := range env {
		out[k] = v
	}
	return out
}

func TestImageSettingsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"mirror: ftp://x":                   `image.mirror: "ftp://x": want an address`,
		"mirror: /a/b":                      `image.mirror: "/a/b": want an address`,
		"mirror: 'http://x/?a=b'":           "want an address",
		"proxy: p:3128":                     `image.proxy: "p:3128": want an address`,
		"proxy: http://me:hush@p:3128":      "image.proxy: a user name or password has no place here",
		"proxy: 'http://me:hu%sh@p'":        "image.proxy: a user name or password has no place here",
		"key_fingerprint: E25D9AED0593B34A": `image.key_fingerprint: "E25D9AED0593B34A": want the 40`,
	} {
		_, err := Load(Sources{File: writeFile(t, "image:\n  "+text+"\n"), LookupEnv: environment(nil)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
