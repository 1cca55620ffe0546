package fsys

import (
	"os"

	"golang.org/x/sys/unix"
)

func setDirect(f *os.File, on bool) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = conn.Control(func(fd uintptr) {
		var flags int
		if flags, set = unix.FcntlInt(fd, unix.F_GETFL, 0); set != nil {
			return
		}
		flags &^= unix.O_DIRECT
		if on {
			flags |= unix.O_DIRECT
		}
		_, set = unix.FcntlInt(fd, unix.F_SETFL, flags)
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("fcntl", set)
}
