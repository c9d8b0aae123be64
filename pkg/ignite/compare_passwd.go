package ignite

import (
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_6/types"

	"github.com/racker-project/racker/pkg/api"
)

// passwd compares users and groups. Keys, groups, shells and passwords change on a running system; whoever is to be another
// user altogether needs a fresh start.
func (c *comparer) passwd() {
	c.groups()
	name := func(u types.PasswdUser) string { return u.Name }
	before, after := byKey(c.before.config.Passwd.Users, name), byKey(c.after.config.Passwd.Users, name)
	for _, user := range keysOf(before, after) {
		from, had := before[user]
		to, has := after[user]
		if !has {
			to = types.PasswdUser{Name: user}
		}
		switch {
		case had && !has && !sameJSON(withoutKeys(from), types.PasswdUser{Name: user}):
			c.change("user "+user, api.CostWipeRoot, "no longer declared: only a fresh start takes a user away")
		case !had && user == imageUser, had && user == imageUser && !has: // the image has it
		case !had:
			c.newUser(to)
		case has:
			c.user(from, to)
		}
		c.keys(user, from, to)
	}
}

// imageUser is the user that Flatcar, and what is laid out like it, brings along.
const imageUser = "core"

func withoutKeys(u types.PasswdUser) types.PasswdUser {
	u.SSHAuthorizedKeys = nil
	return u
}

// keys compares the SSH keys of a user.
func (c *comparer) keys(user string, from, to types.PasswdUser) {
	before, after := keyLines(from), keyLines(to)
	if slices.Equal(before, after) {
		return
	}
	gone := slices.DeleteFunc(slices.Clone(before), func(k string) bool { return slices.Contains(after, k) })
	fresh := slices.DeleteFunc(slices.Clone(after), func(k string) bool { return slices.Contains(before, k) })
	if len(gone)+len(fresh) == 0 {
		return // another order
	}
	var did []string
	if len(fresh) > 0 {
		did = append(did, plural(len(fresh), "key")+" added")
	}
	if len(gone) > 0 {
		did = append(did, plural(len(gone), "key")+" removed")
	}
	c.change("SSH keys of "+user, api.CostLive, strings.Join(did, ", "))
	c.act(Action{Kind: ChangeKeys, Path: user, Add: fresh, Remove: gone})
}

func keyLines(u types.PasswdUser) []string {
	var out []string
	for _, k := range u.SSHAuthorizedKeys {
		if line := strings.TrimSpace(string(k)); line != "" && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

// newUser has a user made as Ignition makes it.
func (c *comparer) newUser(to types.PasswdUser) {
	if to.ShouldExist != nil && !*to.ShouldExist {
		c.change("user "+to.Name, api.CostWipeRoot, "only a fresh start takes a user away")
		return
	}
	var words []string
	option := func(flag string, value *string) {
		if value != nil && *value != "" {
			words = append(words, flag, *value)
		}
	}
	option("--comment", to.Gecos)
	option("--home-dir", to.HomeDir)
	option("--gid", to.PrimaryGroup)
	option("--shell", to.Shell)
	if to.UID != nil {
		words = append(words, "--uid", strconv.Itoa(*to.UID))
	}
	if len(to.Groups) > 0 {
		words = append(words, "--groups", strings.Join(groupNames(to), ","))
	}
	for _, f := range []struct {
		flag string
		on   *bool
	}{{"--no-user-group", to.NoUserGroup}, {"--no-log-init", to.NoLogInit}, {"--system", to.System}} {
		if deref(f.on) {
			words = append(words, f.flag)
		}
	}
	if deref(to.NoCreateHome) {
		words = append(words, "--no-create-home")
	} else {
		words = append(words, "--create-home")
	}
	c.change("user "+to.Name, api.CostLive, "new")
	// Before its keys and files, which are its own.
	c.early = append(c.early, Action{Kind: AddUser, Path: to.Name, Add: words})
	c.password(types.PasswdUser{}, to)
}

// user compares what both configs say of a user.
func (c *comparer) user(from, to types.PasswdUser) {
	rest := func(u types.PasswdUser) types.PasswdUser {
		u = withoutKeys(u)
		u.Groups, u.Shell, u.PasswordHash = nil, nil, nil
		return u
	}
	if !sameJSON(rest(from), rest(to)) {
		c.change("user "+to.Name, api.CostWipeRoot, "who it is changed: files and programs may be another's then")
		return
	}
	var did []string
	before, after := groupNames(from), groupNames(to)
	in := slices.DeleteFunc(slices.Clone(after), func(g string) bool { return slices.Contains(before, g) })
	out := slices.DeleteFunc(slices.Clone(before), func(g string) bool { return slices.Contains(after, g) })
	if len(in)+len(out) > 0 {
		did = append(did, "groups changed")
		c.act(Action{Kind: JoinGroups, Path: to.Name, Add: in, Remove: out})
	}
	if deref(from.Shell) != deref(to.Shell) {
		if deref(to.Shell) == "" {
			c.change("user "+to.Name, api.CostWipeRoot, "only a fresh start brings the image's shell back")
			return
		}
		did = append(did, "shell changed")
		c.act(Action{Kind: SetShell, Path: to.Name, Target: *to.Shell})
	}
	if c.password(from, to) {
		did = append(did, "password changed")
	}
	if len(did) > 0 {
		c.change("user "+to.Name, api.CostLive, strings.Join(did, ", "))
	}
}

// password has the password set if it differs; none locks it.
func (c *comparer) password(from, to types.PasswdUser) bool {
	if deref(from.PasswordHash) == deref(to.PasswordHash) {
		return false
	}
	hash := deref(to.PasswordHash)
	if hash == "" {
		hash = "*"
	}
	c.act(Action{Kind: SetPassword, Path: to.Name, Content: []byte(hash)})
	return true
}

func groupNames(u types.PasswdUser) []string {
	out := make([]string, 0, len(u.Groups))
	for _, g := range u.Groups {
		out = append(out, string(g))
	}
	return out
}

func (c *comparer) groups() {
	name := func(g types.PasswdGroup) string { return g.Name }
	before, after := byKey(c.before.config.Passwd.Groups, name), byKey(c.after.config.Passwd.Groups, name)
	for _, group := range keysOf(before, after) {
		from, had := before[group]
		to, has := after[group]
		switch {
		case had && has && sameJSON(from, to):
		case had || to.ShouldExist != nil && !*to.ShouldExist:
			c.change("group "+group, api.CostWipeRoot, "files may belong to it: only a fresh start changes a group, or takes it away")
		default:
			var words []string
			if to.Gid != nil {
				words = append(words, "--gid", strconv.Itoa(*to.Gid))
			}
			if deref(to.System) {
				words = append(words, "--system")
			}
			c.change("group "+group, api.CostLive, "new")
			c.early = append(c.early, Action{Kind: AddGroup, Path: group, Add: words})
		}
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
