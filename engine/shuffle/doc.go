// Package shuffle owns what passes from map tasks to reduce tasks: the
// [Writer] that cuts a map task's rows by reducer, the [CombineWriter] that
// aggregates them first, the [Manager] that keeps committed map outputs in
// memory pages or in files, and the [Reader] that hands a reducer its frames.
//
// A map output is a list of frames for each reducer. While memory allows, the
// pages that a Writer filled become the output as they are; a reader gets the
// frames in place. When execution wants the memory, whole outputs are written
// to files, in Spark's names and layout: data, index and checksums. The
// layouts are drawn in engine/docs/format/shuffle.md.
//
// The package decides nothing about stages, retries or where statuses are
// kept: what it cannot read it reports as a *task.Failure of kind
// FetchFailed.
package shuffle
