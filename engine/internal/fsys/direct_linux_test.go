package fsys

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// SetDirect sets the file's flag and takes it off, and leaves the others.
func TestSetDirect(t *testing.T) {
	for name, disk := range map[string]FS{"system": OS, "faulty": NewFaulty(OS, Fault{})} {
		f, err := disk.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		h := f
		if x, ok := f.(*faultyFile); ok {
			h = x.File
		}
		flags := func() int {
			n, err := unix.FcntlInt(h.(*os.File).Fd(), unix.F_GETFL, 0)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := flags()
		if err := SetDirect(f, true); err != nil {
			t.Skipf("the file system has no direct writes: %v", err)
		}
		if got := flags(); got != before|unix.O_DIRECT {
			t.Errorf("%s: flags %#x, were %#x", name, got, before)
		}
		if err := SetDirect(f, false); err != nil || flags() != before {
			t.Errorf("%s: %v, flags %#x, were %#x", name, err, flags(), before)
		}
	}
}
