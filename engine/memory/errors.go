package memory

import (
	"errors"
	"fmt"
	"strings"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/units"
)

// ErrNoMemory is what every refusal of memory is, for errors.Is. The error
// itself is a *[NoMemoryError].
var ErrNoMemory = errors.New("not enough managed memory")

// NoMemoryError says who asked for how much, and where the memory is.
type NoMemoryError struct {
	Asker   string          // consumer, holder or reservation, with its attempt
	Asked   int64           // bytes
	Free    int64           // bytes nobody had reserved when it was refused
	Cap     int64           // an attempt's share, bytes; 0 when no share was involved
	Held    int64           // what the asking attempt held; 0 when none asked
	Largest []event.Account // the largest holders, largest first, at most three
	Cause   error           // the system's refusal, when it was that; else nil
}

// Error tells all of it in one sentence.
func (e *NoMemoryError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cannot reserve %s for %s: ", units.Bytes(e.Asked), e.Asker)
	if e.Cause != nil {
		b.WriteString(e.Cause.Error())
		return b.String()
	}
	fmt.Fprintf(&b, "%s free", units.Bytes(max(0, e.Free)))
	if e.Cap > 0 {
		fmt.Fprintf(&b, ", %s of a share of %s already held", units.Bytes(e.Held), units.Bytes(e.Cap))
	}
	for i, a := range e.Largest {
		sep := ", "
		if i == 0 {
			sep = "; largest holders: "
		}
		fmt.Fprintf(&b, "%s%s %s", sep, a.Name, units.Bytes(a.Bytes))
	}
	return b.String()
}

// Is reports that the error is an [ErrNoMemory].
func (e *NoMemoryError) Is(target error) bool { return target == ErrNoMemory }

// Unwrap returns the system's refusal, if it was that.
func (e *NoMemoryError) Unwrap() error { return e.Cause }
