//go:build !amd64 || race || purego

package shuffle

import "unsafe"

func reducersOf(dst *int32, keys unsafe.Pointer, stride uintptr, n, reducers int) {
	reducersOfWords(unsafe.Slice(dst, n), keys, stride, reducers)
}
