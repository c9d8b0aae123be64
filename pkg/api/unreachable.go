package api

import "errors"

// unreachable is an Error of the client itself: it keeps its cause, so that a follower can tell a daemon that is
// being restarted from one that refused.
type unreachable struct {
	Err    error
	Answer *Error
}

// Error implements error.
func (u *unreachable) Error() string { return u.Answer.Message }

// Unwrap gives both the answer for the operator and the cause.
func (u *unreachable) Unwrap() []error { return []error{u.Answer, u.Err} }

// Unreachable reports whether err means that no daemon answered, or that it broke off: asking again may help.
func Unreachable(err error) bool {
	var u *unreachable
	return errors.As(err, &u)
}
