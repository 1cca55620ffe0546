//go:build !amd64 || race || purego

package spill

import "unsafe"

const hasLookUpLines = false

func lookUpLines(list *Found, missed *uint32, slots unsafe.Pointer, buckets int, keys unsafe.Pointer, stride uintptr, rows int) (n int) {
	panic("spill: there is no lookUpLines here")
}
