//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package memory

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// mapSource takes pages from anonymous private mappings.
type mapSource struct{}

func newMapSource() source { return mapSource{} }

func mmap(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("cannot map %d bytes: %w", n, err)
	}
	return b, nil
}

func (mapSource) slab(n int) ([]byte, error) {
	b, err := mmap(n)
	if err == nil {
		adviseSlab(b)
	}
	return b, err
}

func (mapSource) large(n int) ([]byte, error) {
	b, err := mmap(n)
	if err == nil {
		adviseLarge(b)
	}
	return b, err
}

func (mapSource) cool(b []byte) bool { return unix.Madvise(b, adviceCool) == nil }

// free ignores the error: it could only say that b is no mapping, which is
// not so.
func (mapSource) free(b []byte) { _ = unix.Munmap(b) }
