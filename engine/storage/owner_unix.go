//go:build unix && !solaris && !illumos && !aix

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ownerFile is locked by the process that owns a session folder, and holds
// its pid for people. The lock goes with the process, however it ends, and
// is right also where pids are reused or seen through containers.
const ownerFile = "owner.lock"

type ownerLock struct{ f *os.File }

// lockOwner takes the lock of a new folder. It is the one file that does not
// pass through the file seam: a lock belongs to the operating system.
func lockOwner(dir string) (*ownerLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, ownerFile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", f.Name(), err)
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		f.Close()
		return nil, err
	}
	return &ownerLock{f}, nil
}

func (l *ownerLock) release() { l.f.Close() }

// stale reports whether nobody owns the folder any more. A folder without a
// lock file is just being made, unless its process is gone.
func stale(dir string, pid int) bool {
	f, err := os.OpenFile(filepath.Join(dir, ownerFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Is(unix.Kill(pid, 0), unix.ESRCH)
	}
	if err != nil {
		return false // somebody else's: not ours to judge
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}
