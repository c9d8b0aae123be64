package audit

import (
	"fmt"

	"github.com/racker-project/racker/pkg/api"
)

// chain follows entries from the first one.
type chain struct {
	seq    uint64 // of the newest entry
	hash   string // of the newest entry
	broken string // the first place where the chain does not hold
}

// follow takes the next line, which file and number name.
func (c *chain) follow(file string, number int, line []byte) (api.AuditEntry, bool) {
	e, err := open(line)
	switch {
	case err != nil:
		c.breaks(fmt.Sprintf("%s line %d: %v", file, number, err))
		if e.Hash == "" {
			return e, false // nothing in it can be gone on from
		}
	case e.Seq != c.seq+1 && c.hash == "":
		c.breaks(fmt.Sprintf("%s line %d: the entries before %d are missing", file, number, e.Seq))
	case e.Seq != c.seq+1:
		c.breaks(fmt.Sprintf("%s line %d: entry %d comes after entry %d", file, number, e.Seq, c.seq))
	case e.Prev != c.hash:
		c.breaks(fmt.Sprintf("%s line %d: entry %d does not go on from the entry before", file, number, e.Seq))
	}
	c.seq, c.hash = e.Seq, e.Hash
	return e, true
}

func (c *chain) breaks(where string) {
	if c.broken == "" {
		c.broken = where
	}
}
