package memory

import "golang.org/x/sys/unix"

// adviceCool takes the bytes out of the resident set at once.
const adviceCool = unix.MADV_DONTNEED

// hugePage is what one huge page covers on the usual architectures.
const hugePage = 2 << 20

// adviseSlab keeps the kernel from backing a slab, of which a part may be
// cold, with a huge page: that would make untouched bytes resident. Kernels
// built without huge pages refuse the advice, and need none.
func adviseSlab(b []byte) { _ = unix.Madvise(b, unix.MADV_NOHUGEPAGE) }

// adviseLarge asks for huge pages where one fits: half the cost of a first
// touch, and fewer misses in the address tables on random access. All of a
// large page is accounted for, so nothing unaccounted becomes resident.
func adviseLarge(b []byte) {
	if len(b) >= hugePage {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	}
}
