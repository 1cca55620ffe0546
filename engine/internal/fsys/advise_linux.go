package fsys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Advice tells the kernel how a file will be used.
type Advice int

// The advice there is. On systems without posix_fadvise it does nothing.
const (
	Sequential Advice = unix.FADV_SEQUENTIAL // read front to back: larger readahead
	WillNeed   Advice = unix.FADV_WILLNEED   // begin reading the range now, without waiting
	DontNeed   Advice = unix.FADV_DONTNEED   // the range's clean cached pages may go
)

// Advise gives the kernel advice on length bytes from offset (0: to the end
// of the file). It never fails: advice on a File that is not the operating
// system's, or that the kernel refuses, is lost without harm.
func Advise(f File, offset, length int64, a Advice) {
	c, ok := f.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.Fadvise(int(fd), offset, length, int(a)) })
}
