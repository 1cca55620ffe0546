// Package invariant reports broken invariants: states that the engine's own
// code promises never to reach, whatever the data and the environment.
//
// It owns one noun, the Violation that [Violated] panics with. Errors of
// users, of data and of the machine are no violations: they are returned.
// Checks that cost something are guarded by [Enabled], which is true in
// builds with the tag "invariants" and in race builds:
//
//	if invariant.Enabled {
//		m.checkLocked()
//	}
package invariant

import "fmt"

// Violation is the value of the panic: what was promised and is not so.
type Violation struct{ Message string }

// Error makes a recovered Violation print as a sentence.
func (v *Violation) Error() string { return "broken invariant: " + v.Message }

// Violated panics with a *Violation. The text says what was found, with its
// values.
func Violated(format string, args ...any) {
	panic(&Violation{Message: fmt.Sprintf(format, args...)})
}

// Check panics with a *Violation unless ok. On paths where the arguments
// would be costly to pass, test first and call [Violated].
func Check(ok bool, format string, args ...any) {
	if !ok {
		Violated(format, args...)
	}
}
