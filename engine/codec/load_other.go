//go:build race || (!amd64 && !arm64)

package codec

// loadShort returns the bytes of a text of at most 15 bytes, little endian,
// zeros behind, one by one: the race detector would see a load beyond the
// text's end, and not every machine loads words from any address.
func loadShort(s string) (a, b uint64) { return loadBytes(s) }

// TextTokens makes the tokens of texts, as many as texts are, with HashText as
// their hash or, half, MixWords.
func TextTokens(dst []TextToken, texts []string, half bool) {
	for i, s := range texts {
		dst[i] = tokenOf(s, half)
	}
}
