package cli

import "time"

// notAfter reads when the last server may start: a time by RFC 3339, a time of day (today, or tomorrow when that is over
// today), or how long from now. relative tells that the same words mean another time a moment later.
func notAfter(word string, now time.Time) (at time.Time, relative bool, err error) {
	if d, err := time.ParseDuration(word); err == nil {
		at, relative = now.Add(d), true
	} else if of, err := time.Parse("15:04", word); err == nil {
		at = time.Date(now.Year(), now.Month(), now.Day(), of.Hour(), of.Minute(), 0, 0, now.Location())
		if !at.After(now) {
			at = time.Date(now.Year(), now.Month(), now.Day()+1, of.Hour(), of.Minute(), 0, 0, now.Location())
		}
	} else if at, err = time.Parse(time.RFC3339, word); err != nil {
		return time.Time{}, false, usageError("--not-after %q: want a time such as 22:30, 2h or %s",
			word, now.Add(time.Hour).Format(time.RFC3339))
	}
	if !at.After(now) {
		return time.Time{}, false, usageError("--not-after %q: that is over", word)
	}
	return at.UTC().Truncate(time.Second), relative, nil
}
