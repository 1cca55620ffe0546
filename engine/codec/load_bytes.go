package codec

import "unsafe"

// loadBytes is loadShort byte by byte.
func loadBytes(s string) (a, b uint64) {
	for i := range min(len(s), 8) {
		a |= uint64(s[i]) << (8 * i)
	}
	for i := 8; i < len(s); i++ {
		b |= uint64(s[i]) << (8 * (i - 8))
	}
	return a, b
}

// bigEndian: the machine's words do not start with their low byte.
var bigEndian = func() bool {
	w := uint16(1)
	return *(*byte)(unsafe.Pointer(&w)) == 0
}()
