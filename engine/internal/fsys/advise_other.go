//go:build !linux

package fsys

// Advice tells the kernel how a file will be used.
type Advice int

// The advice there is. On systems without posix_fadvise it does nothing.
const (
	Sequential Advice = iota // read front to back: larger readahead
	WillNeed                 // begin reading the range now, without waiting
	DontNeed                 // the range's clean cached pages may go
)

// Advise does nothing on this system.
func Advise(f File, offset, length int64, a Advice) {}
