package rack

import (
	"fmt"
	"strconv"
	"strings"
)

// nameNodes names every server: by its Name column, else by the node-N it was given before, else by node-N with the
// lowest free N. A removed server keeps its node-N unless a Name column takes it.
func (b *builder) nameNodes() error {
	used := map[string]bool{} // lower case
	byMAC := map[MAC]*Node{}
	for _, n := range b.servers {
		byMAC[n.Primary] = n
		used[strings.ToLower(n.Name)] = true
	}
	at := b.index()
	if i := b.managementAt(at); i >= 0 {
		a := &b.plan.Assignments[i]
		a.Name = b.management.Name
		if a.Name == "" && !used[managementName] {
			a.Name = managementName
		}
		used[strings.ToLower(a.Name)] = true
	}
	for i := range b.plan.Assignments {
		if a := &b.plan.Assignments[i]; a.Role != RoleManagement {
			if err := keepName(a, byMAC[a.MAC], used); err != nil {
				return err
			}
		}
	}
	number := 1
	for _, n := range b.servers {
		i, ok := at[n.Primary]
		if !ok || b.plan.Assignments[i].Name != "" {
			continue
		}
		for used[generated(number)] {
			number++
		}
		b.plan.Assignments[i].Name = generated(number)
		number++
	}
	return nil
}

func (b *builder) managementAt(at map[MAC]int) int {
	if b.management == nil || b.management.Secondary.IsZero() {
		return -1
	}
	return at[b.management.Secondary]
}

// keepName decides on the name that an assignment had. n is the server's row, nil for a BMC or a removed server.
func keepName(a *Assignment, n *Node, used map[string]bool) error {
	switch {
	case a.Role == RoleBMC:
		a.Name = ""
	case n != nil && n.Name != "":
		a.Name = n.Name
	case !isGenerated(a.Name):
		a.Name = ""
	case used[a.Name] && n != nil:
		return fmt.Errorf("the name %s was given to %s on line %d: no other row can have it", a.Name, n.Primary, n.Line)
	case used[a.Name]:
		a.Name = ""
	default:
		used[a.Name] = true
	}
	return nil
}

// generated is the name of a server that its row does not name.
func generated(n int) string { return "node-" + strconv.Itoa(n) }

// isGenerated reports whether a name is one of generated's.
func isGenerated(name string) bool {
	digits, ok := strings.CutPrefix(name, "node-")
	n, err := strconv.Atoi(digits)
	return ok && err == nil && n > 0 && generated(n) == name
}
