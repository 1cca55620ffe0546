package engine

// The compiler inlines a small function of package codec, spill or shuffle
// into the kernels that a program's own types make (in the program's package,
// which imports this one) only if it was inlined somewhere in this package,
// too: see exportBody in cmd/compile/internal/noder. So some types make
// kernels here that nobody calls, and the linker drops them. Without them a
// row's hash, its place in a table and its reducer are calls each;
// TestKernelsCallNothingForARow looks into the kernels for such calls.

type inlined struct {
	Text   string
	Number float64
}

var (
	_ = AggregateByKey[int64, int64, [2]int64]
	_ = AggregateByKey[string, string, []string]
	_ = AggregateByKey[inlined, int64, []string]
	_ = ReduceByKey[string, int64]
	_ = GroupByKey[string, inlined]
	_ = CoGroup[int64, inlined, string]
	_ = Join[int64, int64, int64]
	_ = Join[string, inlined, string]
	_ = SortBy[[100]byte, [10]byte]
	_ = SortBy[inlined, float64]
	_ = SortBy[string, string]
	_ = PartitionAndSortBy[[100]byte, [10]byte]
	_ = CSV[inlined]
	_ = NewTable[int64]
	_ = Repartition[inlined]
)
