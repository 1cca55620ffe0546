//go:build !amd64 || race || purego

package spill

import "unsafe"

func askFor(p unsafe.Pointer, ahead, bytes uintptr) {}
