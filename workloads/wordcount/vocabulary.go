package wordcount

import (
	"math"
	"math/bits"
)

// The words of the generated text are made up: consonants and vowels in
// turn, so that they can be told apart from real text and need no list. They
// are as long as English ones: frequent words short, rare ones long, about
// five letters on average in running text. All have at most wordMax letters.
const (
	consonants = "bcdfghjklmnpqrstvwxz"
	vowels     = "aeiou"
	wordMin    = 2
	wordMax    = 11
	slotBytes  = 16 // a word, a space behind it, and its length in the last byte
)

// vocabulary draws words by Zipf's law: the word of rank r, from 1, has the
// weight r^-exponent. Drawing costs the same for every word: Walker's alias
// method, in integers.
type vocabulary struct {
	slots []byte   // words by rank, slotBytes each
	keep  []uint32 // chance of 2^32 that a drawn column means its own word
	alias []uint32 // the word that it means otherwise
}

// vocabularyBytes is what a vocabulary of n words holds, and while it is
// made.
func vocabularyBytes(n int64) int64 { return n * (slotBytes + 4 + 4 + 8 + 4) }

func newVocabulary(n int, exponent float64) *vocabulary {
	v := &vocabulary{slots: make([]byte, n*slotBytes), keep: make([]uint32, n), alias: make([]uint32, n)}
	v.spell(n)
	v.weigh(n, exponent)
	return v
}

// spell gives every rank its word. Words of one length are numbered, and a
// number's digits are the letters; numbers are taken in strides that share no
// factor with how many there are, so that neighbours do not look alike.
func (v *vocabulary) spell(n int) {
	var used, count [wordMax + 1]uint64
	for length := wordMin; length <= wordMax; length++ {
		count[length] = 1
		for i := range length {
			count[length] *= uint64(len(letters(i)))
		}
	}
	for rank := range n {
		length := wordLength(rank)
		for used[length] == count[length] { // all taken: longer ones
			length++
		}
		// 1000003 is a prime; the counts have no prime factors but 2 and 5.
		number := used[length] % count[length] * 1000003 % count[length]
		used[length]++
		slot := v.slots[rank*slotBytes:][:slotBytes]
		for i := range length {
			set := letters(i)
			slot[i] = set[number%uint64(len(set))]
			number /= uint64(len(set))
		}
		slot[length] = ' '
		slot[slotBytes-1] = byte(length)
	}
}

// letters returns the letters that may stand at position i of a word.
func letters(i int) string {
	if i%2 == 0 {
		return consonants
	}
	return vowels
}

// wordLength spreads lengths over a range that grows with the rank.
func wordLength(rank int) int {
	spread := int(mix(uint64(rank)) >> 33)
	switch {
	case rank < 100:
		return 2 + spread%3
	case rank < 1000:
		return 3 + spread%4
	case rank < 10000:
		return 4 + spread%6
	default:
		return 5 + spread%7
	}
}

// weigh builds the alias table. Every column holds the same weight, of its
// own word as far as that goes and of one heavier word for the rest. Weights
// are whole numbers, so nothing is lost to rounding on the way.
func (v *vocabulary) weigh(n int, exponent float64) {
	weight := make([]uint64, n)
	total := uint64(0)
	for i := range weight {
		// At most 2^40 each and 2^20 of them. Single precision makes the
		// weights independent of how a processor rounds a power.
		w := float32(math.Pow(float64(i+1), -exponent))
		weight[i] = max(1, uint64(math.Ldexp(float64(w), 40)))
		total += weight[i]
	}
	column := (total + uint64(n) - 1) / uint64(n)
	weight[0] += column*uint64(n) - total // so that it divides: less than n of 2^40
	light := make([]uint32, 0, n)         // a stack of ranks that weigh less than a column
	for i := range v.keep {
		v.keep[i], v.alias[i] = math.MaxUint32, uint32(i)
		if j := n - 1 - i; weight[j] < column {
			light = append(light, uint32(j))
		}
	}
	for heavy := 0; len(light) > 0; {
		l := light[len(light)-1]
		light = light[:len(light)-1]
		for weight[heavy] < column {
			heavy++ // there is one: all columns together weigh what is left
		}
		share, _ := bits.Div64(weight[l], 0, column)
		v.keep[l], v.alias[l] = uint32(share>>32), uint32(heavy)
		weight[heavy] -= column - weight[l]
		weight[l] = 0 // its column is full
		if weight[heavy] < column {
			light = append(light, uint32(heavy))
		}
	}
}

// draw returns the slot of the word that 64 random bits mean.
func (v *vocabulary) draw(random uint64) []byte {
	rank := uint32(random >> 32 * uint64(len(v.keep)) >> 32)
	if uint32(random) >= v.keep[rank] {
		rank = v.alias[rank]
	}
	return v.slots[int(rank)*slotBytes:][:slotBytes]
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood, Fast splittable
// pseudorandom number generators, 2014): every bit of x changes half the
// bits of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// golden is 2^64 divided by the golden ratio: SplitMix64's step.
const golden = 0x9e3779b97f4a7c15
