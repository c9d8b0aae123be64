package sntpd

import (
	"time"

	"golang.org/x/sys/unix"
)

// What the server says of a clock that nobody disciplines: the rack shall agree on one time, be it the right one or not.
const (
	localStratum    = 10
	syncedStratum   = 4
	localDispersion = time.Second
	// maxDispersion keeps clients from refusing the time: systemd-timesyncd does from 5 s on.
	maxDispersion = 2 * time.Second
	precision     = -20 // a microsecond
)

// clock asks the kernel how good its time is (adjtimex(2)).
func clock() Clock {
	local := Clock{Stratum: localStratum, Precision: precision, Dispersion: localDispersion, RefID: [4]byte{'L', 'O', 'C', 'L'}}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil || state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0 {
		return local
	}
	off := time.Duration(t.Maxerror) * time.Microsecond
	return Clock{Stratum: syncedStratum, Precision: precision, Dispersion: min(off, maxDispersion), RefID: [4]byte{127, 127, 1, 0}}
}
