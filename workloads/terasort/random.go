package terasort

import "math/bits"

// u128 is an unsigned number modulo 2^128.
type u128 struct{ hi, lo uint64 }

func (x u128) add(y u128) u128 {
	lo, carry := bits.Add64(x.lo, y.lo, 0)
	hi, _ := bits.Add64(x.hi, y.hi, carry)
	return u128{hi, lo}
}

func (x u128) mul(y u128) u128 {
	hi, lo := bits.Mul64(x.lo, y.lo)
	return u128{hi + x.hi*y.lo + x.lo*y.hi, lo}
}

// step is the function x → a·x + c modulo 2^128.
type step struct{ a, c u128 }

// The sort benchmark's generator: the multiplier is L'Ecuyer's (Tables of
// linear congruential generators, Math. Comp. 68, 1999), the increment is
// gensort's choice.
var oneStep = step{
	a: u128{0x2360ed051fc65da4, 0x4385df649fccf645},
	c: u128{0x4a696d4772617952, 0x4950202020202001},
}

func (s step) apply(x u128) u128 { return s.a.mul(x).add(s.c) }

// then returns the function that applies s first and t after it.
func (s step) then(t step) step {
	return step{a: t.a.mul(s.a), c: t.a.mul(s.c).add(t.c)}
}

// steps returns the function that steps n times: the steps by powers of two
// that n is made of, at most 128 squarings.
func steps(n u128) step {
	all, power := step{a: u128{lo: 1}}, oneStep
	for n != (u128{}) {
		if n.lo&1 == 1 {
			all = all.then(power)
		}
		power = power.then(power)
		n = u128{n.hi >> 1, n.lo>>1 | n.hi<<63}
	}
	return all
}

// numberOf returns the random number that record n begins with. Numbering
// starts at 0, whose number is one step from 0.
func numberOf(n u128) u128 {
	return oneStep.apply(steps(n).apply(u128{}))
}
