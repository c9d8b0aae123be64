package ignite

import (
	"path"
	"slices"

	"github.com/coreos/ignition/v2/config/v3_6/types"

	"github.com/racker-project/racker/pkg/api"
)

// directories compares directories, parents first. As Ignition does, a directory that is there keeps what the config leaves open.
func (c *comparer) directories() {
	key := func(d types.Directory) string { return d.Path }
	before, after := byKey(c.before.config.Storage.Directories, key), byKey(c.after.config.Storage.Directories, key)
	names := keysOf(before, after)
	for _, name := range names {
		from, had := before[name]
		to, has := after[name]
		cost, why := directory(name, from, to, had, has)
		if why == "" {
			continue
		}
		c.change("directory "+name, cost, why)
		if has && cost == api.CostLive {
			c.act(Action{Kind: MakeDir, Path: name, Mode: dirMode(to), Owner: declaredOwner(to.Node)})
		}
	}
	slices.Reverse(names)
	for _, name := range names { // children first, and after the files in them
		if _, has := after[name]; !has && !ofTheImage(name) {
			c.late = append(c.late, Action{Kind: RemoveDir, Path: name})
		}
	}
}

// directory prices one directory; why is empty where nothing differs.
func directory(name string, from, to types.Directory, had, has bool) (cost, why string) {
	if !has {
		return directoryGoes(name, from)
	}
	owned, owns := declaredOwner(from.Node), declaredOwner(to.Node)
	same := had && sameJSON(from.Mode, to.Mode) && owned == owns
	switch {
	case same:
		return api.CostNothing, ""
	case ownLogin(name), name == ownHome && (to.Mode != nil || owns != ""): // the SSH server wants them its user's alone
		return api.CostWipeRoot, whyOwnLogin
	case !had:
		return api.CostLive, "new"
	case from.Mode != nil && to.Mode == nil, narrower(from.Node, to.Node):
		return api.CostWipeRoot, whyOpen
	}
	return api.CostLive, "mode or owner changed"
}

// directoryGoes prices one that is no longer declared.
func directoryGoes(name string, from types.Directory) (cost, why string) {
	switch {
	case ownLogin(name):
		return api.CostWipeRoot, whyOwnLogin
	case !ofTheImage(name):
		return api.CostLive, "no longer declared; removed if it is empty"
	case from.Mode != nil, declaredOwner(from.Node) != "":
		return api.CostWipeRoot, whyOpen
	}
	return api.CostNothing, "no longer declared; it stays"
}

const (
	ownHome = "/home/" + api.SystemUser
	whyOpen = "a mode or an owner is no longer declared: only a fresh start brings the image's back"
)

// narrower reports whether to leaves open a user or a group that from declares.
func narrower(from, to types.Node) bool {
	open := func(a types.NodeUser) bool { return a.ID == nil && deref(a.Name) == "" }
	return !open(from.User) && open(to.User) || !open(types.NodeUser(from.Group)) && open(types.NodeUser(to.Group))
}

// dirMode gives the declared mode, or KeepMode.
func dirMode(d types.Directory) int {
	if d.Mode == nil {
		return KeepMode
	}
	return *d.Mode
}

// ofTheImage reports whether a directory is likely to be the image's, so that it stays even when it is empty: those at the top,
// and homes.
func ofTheImage(name string) bool { return path.Dir(name) == "/" || path.Dir(name) == "/home" }
