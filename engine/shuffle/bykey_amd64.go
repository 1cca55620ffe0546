//go:build amd64 && !race && !purego

package shuffle

import "unsafe"

// reducersOf is reducersOfWords with its constants in registers, two thirds of
// the instructions.
//
//go:noescape
func reducersOf(dst *int32, keys unsafe.Pointer, stride uintptr, n, reducers int)
