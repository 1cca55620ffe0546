package machine

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCache asks the kernel to forget f's pages, which must be synced.
func dropCache(f *os.File) bool {
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) == nil
}
