package ignite

import (
	"cmp"
	"slices"
	"strings"
)

// And joins what has to be done from two configs to the same third one, for a node of which nobody knows where between the two
// it is.
func (c Comparison) And(o Comparison) Comparison {
	out := Comparison{Cost: c.Cost, Changes: slices.Clone(c.Changes), Actions: slices.Clone(c.Actions), Erases: o.Erases}
	if Dearer(o.Cost, c.Cost) {
		out.Cost = o.Cost
	}
	for _, ch := range o.Changes {
		at := slices.IndexFunc(out.Changes, func(have Change) bool { return have.What == ch.What })
		switch {
		case at < 0:
			out.Changes = append(out.Changes, ch)
		case Dearer(ch.Cost, out.Changes[at].Cost):
			out.Changes[at] = ch
		}
	}
	for _, a := range o.Actions {
		same := func(have Action) bool { return sameJSON(have, a) }
		if !slices.ContainsFunc(out.Actions, same) {
			out.Actions = append(out.Actions, a)
		}
	}
	sortChanges(out.Changes)
	slices.SortStableFunc(out.Actions, inOrder)
	return out
}

// order lists the kinds as one comparison orders them, so that what reads files comes after all files of a joined one, too.
func order() []ActionKind {
	return []ActionKind{
		AddGroup, DisableUnit, AddUser, SetPassword, JoinGroups, SetShell, ChangeKeys, MakeDir, RemoveFile, WriteFile, MakeLink,
		ReloadUnits, ApplySysctls, LoadModules, CheckSSH, RestartUnit, MaskUnit, UnmaskUnit, ForgetUnit, EnableUnit, ReenableUnit, StartUnit,
		RemoveDir, ReloadNetwork,
	}
}

// inOrder compares actions by their place; directories go children first.
func inOrder(a, b Action) int {
	kinds := order()
	if a.Kind == RemoveDir && b.Kind == RemoveDir {
		return strings.Compare(b.Path, a.Path)
	}
	return cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind))
}
