// Package spill owns the wide kernels that work on more than fits in memory:
// the external [Sorter], the external hash [Aggregator], and the [Grouper]
// and [CoGrouper] built on sorting by hash; and the files they spill to, the
// [Run]s.
//
// All of them take batches and push batches. They hold records as bytes in
// managed pages, never as Go values; what the memory manager refuses they
// write to disk as sorted runs and merge later, through a loser tree, as many
// at once as memory allows and at least two. Close frees everything at any
// moment, also after an error; it is safe to call twice.
//
// A kernel is used on its attempt's goroutine alone. A batch it pushes is
// valid until the function it was pushed to returns.
//
// The layout of runs is drawn in engine/docs/format/run.md. The steps of each
// hot path, the figure of its limit and the distance to it are in
// engine/docs/decisions: sorting.md, aggregation.md, text-keys.md.
package spill
