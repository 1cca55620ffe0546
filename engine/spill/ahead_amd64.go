//go:build amd64 && !race && !purego

package spill

import "unsafe"

// askFor asks for the bytes that begin ahead of p, which are soon to be read. If
// they are nobody's, nothing happens.
//
//go:noescape
func askFor(p unsafe.Pointer, ahead, bytes uintptr)
