//go:build !race && (amd64 || arm64)

package codec

import "unsafe"

// pageBytes is the smallest page of the machines we run on: a load that does
// not cross a multiple of it cannot fault if one of its bytes is readable.
const pageBytes = 4096

// loadShort returns the bytes of a text of at most 15 bytes, little endian,
// zeros behind. The length of short keys is random, so a branch on it would
// be mispredicted: it loads 16 bytes and masks, which is safe as long as they
// lie in one page; one text in 256 takes the other way. Machines that load
// words from any address, low byte first, do this; see load_other.go.
//
//go:nocheckptr
func loadShort(s string) (a, b uint64) {
	n := uint(len(s))
	if n == 0 {
		return 0, 0
	}
	p := unsafe.Pointer(unsafe.StringData(s))
	if uintptr(p)&(pageBytes-1) > pageBytes-16 {
		return loadBytes(s)
	}
	m := &shortMasks[n&15]
	return *(*uint64)(p) & m[0], *(*uint64)(unsafe.Add(p, 8)) & m[1]
}

// TextTokens makes the tokens of texts, as many as texts are, with HashText as
// their hash or, half, MixWords. It makes no call for a short text.
//
//go:nocheckptr
func TextTokens(dst []TextToken, texts []string, half bool) {
	dst = dst[:len(texts)]
	for i, s := range texts {
		n, p := uint(len(s)), unsafe.Pointer(unsafe.StringData(s))
		if n-1 >= ShortText || uintptr(p)&(pageBytes-1) > pageBytes-16 {
			dst[i] = tokenOf(s, half)
			continue
		}
		m := &shortMasks[n&15]
		a := *(*uint64)(p) & m[0]
		b := *(*uint64)(unsafe.Add(p, 8))&m[1] | uint64(n+1)<<56
		h := fold(a^hashA, b^hashB)
		if !half {
			h = fold(h^hashC, a^hashD)
		}
		dst[i] = TextToken{a, b, h}
	}
}

// shortMasks keep the first n of 16 bytes.
var shortMasks = func() (m [16][2]uint64) {
	for n := range m {
		for i := range n {
			m[n][i/8] |= 0xff << (8 * (i % 8))
		}
	}
	return m
}()
