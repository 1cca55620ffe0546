package engine_test

import "golang.org/x/sys/unix"

// threadID returns the calling thread's id.
func threadID() int { return unix.Gettid() }
