package agent

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setClock sets the system's clock, and the battery-backed one in UTC, so that the installed system starts with the right
// time, too. A machine without an RTC is fine.
func setClock(t time.Time) error {
	tv := unix.NsecToTimeval(t.UnixNano())
	if err := unix.Settimeofday(&tv); err != nil {
		return fmt.Errorf("set the system's clock: %w", err)
	}
	f, err := os.OpenFile("/dev/rtc0", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the RTC: %w", err)
	}
	rtc := rtcTime(t)
	err = unix.IoctlSetRTCTime(int(f.Fd()), &rtc)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("set the RTC: %w", err)
	}
	return nil
}

// rtcTime converts to struct rtc_time of linux/rtc.h: months from 0, years from 1900.
func rtcTime(t time.Time) unix.RTCTime {
	t = t.UTC()
	return unix.RTCTime{
		Sec: int32(t.Second()), Min: int32(t.Minute()), Hour: int32(t.Hour()),
		Mday: int32(t.Day()), Mon: int32(t.Month()) - 1, Year: int32(t.Year()) - 1900,
	}
}
