package shuffle

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/execbench/execbench/engine/codec"
)

// What finds the reducers of words on this machine finds those that the loop in
// Go does.
func TestReducersAreOfOneKind(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, reducers := range []int{1, 2, 59, MaxReducers} {
		rows := make([]codec.Pair[int64, [3]byte], 1000)
		for i := range rows {
			rows[i].Key = int64(rng.Uint64())
		}
		rows[0].Key, rows[1].Key, rows[2].Key = 0, -1, math.MinInt64
		for _, n := range []int{1, 2, 999, 1000} {
			keys := codec.KeyColumn(rows)
			want, got := make([]int32, n), make([]int32, n+1)
			got[n] = -7
			reducersOfWords(want, keys.First, keys.Stride, reducers)
			reducersOf(&got[0], keys.First, keys.Stride, n, reducers)
			if !slices.Equal(got[:n], want) || got[n] != -7 {
				t.Fatalf("of %d keys to %d reducers %v, want %v", n, reducers, got, want)
			}
			for i, r := range want {
				if r != codec.Reducer(codec.HashWord(uint64(rows[i].Key)), reducers) {
					t.Fatalf("key %d goes to %d", rows[i].Key, r)
				}
			}
		}
	}
}
