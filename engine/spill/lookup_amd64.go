//go:build amd64 && !race && !purego

package spill

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// hasLookUpLines says that the processor has what lookUpLines needs.
var hasLookUpLines = cpu.X86.HasAVX2 && cpu.X86.HasBMI1

// lookUpLines is lookUpSlots for buckets that are a line of the cache, four
// words with states of eight bytes: it compares a line's words at once, where
// the loop in Go takes more than twice as many instructions.
//
//go:noescape
func lookUpLines(list *Found, missed *uint32, slots unsafe.Pointer, buckets int, keys unsafe.Pointer, stride uintptr, rows int) (n int)

// The assembly knows the layout of Found and of a bucket.
var (
	_ [unsafe.Sizeof(Found{}) - 8]struct{}
	_ [4 - unsafe.Offsetof(Found{}.Row)]struct{}
	_ [unsafe.Offsetof(Found{}.Row) - 4]struct{}
	_ [bucket - 4]struct{}
	_ [4 - bucket]struct{}
)
