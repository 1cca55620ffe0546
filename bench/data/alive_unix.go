//go:build unix

package data

import "golang.org/x/sys/unix"

// alive reports whether a process exists; one that we may not signal does.
func alive(pid int) bool {
	return pid > 0 && unix.Kill(pid, 0) != unix.ESRCH
}
