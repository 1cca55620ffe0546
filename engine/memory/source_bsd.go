//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package memory

import "golang.org/x/sys/unix"

// adviceCool lets the system take the bytes when it wants them.
const adviceCool = unix.MADV_FREE

func adviseSlab([]byte)  {}
func adviseLarge([]byte) {}
