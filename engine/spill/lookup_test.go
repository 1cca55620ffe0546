package spill

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
)

// What looks words up on this machine finds what the loop in Go does, and
// misses the same.
func TestLookUpIsOfOneKind(t *testing.T) {
	if !hasLookUpLines {
		t.Skip("there is only the loop in Go here")
	}
	rng := rand.New(rand.NewPCG(4, 4))
	for range 300 {
		buckets := make([][bucket]wordSlot[int64], 1+rng.IntN(40))
		rows := make([]pair[int64, [2]int64], rng.IntN(tableBatch+1))
		for i := range rows {
			rows[i].Key = int64(rng.Uint64N(100) * 0x9e3779b97f4a7c15) // zero among them
		}
		for i := range buckets { // in their buckets, in others, and with states like words
			for j := range buckets[i] {
				if len(rows) > 0 && rng.IntN(3) > 0 {
					w := rows[rng.IntN(len(rows))].Key
					buckets[i][j] = wordSlot[int64]{0, w}
					if b := &buckets[place(mixWord(uint64(w)), len(buckets))]; !slices.ContainsFunc(b[:], func(s wordSlot[int64]) bool { return s.word == uint64(w) }) {
						b[rng.IntN(bucket)].word = uint64(w)
					}
				}
			}
		}
		var lists [2][tableBatch]Found
		var missed [2][tableBatch]uint32
		var found [2]int
		if len(rows) > 0 {
			keys := codec.KeyColumn(rows)
			found[0] = lookUpSlots(&lists[0], &missed[0], buckets, keys, len(rows))
			found[1] = lookUpLines(&lists[1][0], &missed[1][0], unsafe.Pointer(&buckets[0]), len(buckets), keys.First, keys.Stride, len(rows))
		}
		a, b := lists[0][:found[0]], lists[1][:found[1]]
		c, d := missed[0][:len(rows)-found[0]], missed[1][:len(rows)-found[1]]
		if !slices.Equal(a, b) || !slices.Equal(c, d) {
			t.Fatalf("of %d rows and %d buckets found\n%v and missed %v, want\n%v and %v", len(rows), len(buckets), b, d, a, c)
		}
	}
}
