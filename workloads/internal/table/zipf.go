package table

import (
	"math"
	"math/bits"
)

// Zipf draws ranks from 0 to n-1: rank r has a weight of (r+1)^-exponent.
// Ranks are drawn by stretches: each of the first 4096 ranks is a stretch of
// its own, further ones hold about a 4096th of the ranks before them and
// give all their ranks one weight, which is that of the middle one. That is
// less than one part in a thousand off, and keeps a billion ranks in about a
// megabyte. Stretches are drawn by Walker's alias method, in integers. It
// may be used by several goroutines.
type Zipf struct {
	n     uint64
	from  []uint64 // [stretches+1]; nil: all ranks weigh the same
	keep  []uint64 // chance of 2^64 that a drawn column means its own stretch
	alias []uint32 // the stretch that it means otherwise
}

// fineRanks is how many ranks have stretches of their own.
const fineRanks = 4096

// NewZipf returns the distribution over n ranks, at least 1.
func NewZipf(n int64, exponent float64) *Zipf {
	z := &Zipf{n: uint64(n)}
	if exponent == 0 {
		return z
	}
	z.from = append(z.from, 0)
	var weights []float64
	total := 0.0
	for at := uint64(0); at < z.n; {
		width := min(max(1, at/fineRanks), z.n-at)
		middle := float64(at) + float64(width+1)/2
		w := math.Pow(middle, -exponent) * float64(width)
		weights = append(weights, w)
		total += w
		at += width
		z.from = append(z.from, at)
	}
	z.weigh(weights, total)
	return z
}

// Held returns how many bytes the distribution holds.
func (z *Zipf) Held() int64 { return int64(len(z.from)*8 + len(z.keep)*8 + len(z.alias)*4) }

// weigh builds the alias table. Every column holds the same weight, of its
// own stretch as far as that goes and of one heavier stretch for the rest.
func (z *Zipf) weigh(weights []float64, total float64) {
	n := len(weights)
	z.keep, z.alias = make([]uint64, n), make([]uint32, n)
	whole := make([]uint64, n) // weights as whole numbers, of 2^62 in all
	left := uint64(1) << 62
	for i, w := range weights {
		whole[i] = min(uint64(w/total*(1<<62)), left)
		left -= whole[i]
	}
	whole[0] += left // what rounding left over
	column := (uint64(1)<<62 + uint64(n) - 1) / uint64(n)
	whole[0] += column*uint64(n) - 1<<62
	light := make([]uint32, 0, n) // a stack
	for i := range n {
		z.keep[i], z.alias[i] = math.MaxUint64, uint32(i)
		if j := n - 1 - i; whole[j] < column {
			light = append(light, uint32(j))
		}
	}
	for heavy := 0; len(light) > 0; {
		l := light[len(light)-1]
		light = light[:len(light)-1]
		for whole[heavy] < column {
			heavy++ // there is one: all columns together weigh what is left
		}
		z.keep[l], _ = bits.Div64(whole[l], 0, column)
		z.alias[l] = uint32(heavy)
		whole[heavy] -= column - whole[l]
		whole[l] = 0 // its column is full
		if whole[heavy] < column {
			light = append(light, uint32(heavy))
		}
	}
}

// Draw returns a rank.
func (z *Zipf) Draw(r *Random) int64 {
	if z.from == nil {
		rank, _ := bits.Mul64(r.Next(), z.n)
		return int64(rank)
	}
	column, chance := bits.Mul64(r.Next(), uint64(len(z.keep)))
	if chance >= z.keep[column] {
		column = uint64(z.alias[column])
	}
	from := z.from[column]
	width := z.from[column+1] - from
	if width == 1 {
		return int64(from)
	}
	within, _ := bits.Mul64(r.Next(), width)
	return int64(from + within)
}

// Keys spells the keys of ranks 0 to n-1, all in one width: a prefix and a
// number. Dense keys follow each other; sparse ones are spread over about
// 2^60 numbers, so that nothing can be looked up by position.
type Keys struct {
	Prefix string
	Sparse bool
	first  uint64
	digits int
}

// NewKeys returns the spelling of n keys.
func NewKeys(n int64, prefix string, sparse bool) Keys {
	k := Keys{Prefix: prefix, Sparse: sparse, digits: 19, first: 1e18}
	if !sparse { // one digit more than needed, so that none begins with 0
		k.digits, k.first = Digits(n)+1, 1
		for range k.digits - 1 {
			k.first *= 10
		}
	}
	return k
}

// Width returns the bytes of a key.
func (k Keys) Width() int { return len(k.Prefix) + k.digits }

// Put writes the key of a rank to dst, Width bytes.
func (k Keys) Put(dst []byte, rank int64) {
	copy(dst, k.Prefix)
	n := uint64(rank)
	if k.Sparse {
		n = Mix(n) >> 4
	}
	PutDigits(dst[len(k.Prefix):], k.first+n)
}

// Stride visits 0 to n-1 in an order that looks shuffled, each once.
type Stride struct{ n, step uint64 }

// NewStride returns an order of n numbers.
func NewStride(n int64) Stride {
	step := uint64(float64(n) * 0.6180339887498949)
	for step = max(step, 1); gcd(step, uint64(n)) != 1; step++ {
	}
	return Stride{uint64(n), step}
}

// At returns the number at position i, from 0.
func (s Stride) At(i int64) int64 {
	hi, lo := bits.Mul64(uint64(i), s.step)
	_, rest := bits.Div64(hi, lo, s.n)
	return int64(rest)
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
