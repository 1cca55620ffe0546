// Package source reads input files and writes output files, as plain
// functions over push batches.
//
// Its nouns: a [File] found by [List]; a [Split], which is one partition's
// share of the input as a list of [Piece]s of files, made by [Cut]; a
// [Reader], which reads splits as text lines, as chunks cut at delimiter
// bytes, as rows of CSV or as records of fixed width; an [Output] folder,
// which tasks fill through a [PartWriter] each and which becomes visible
// only when the whole job commits.
//
// Everything streams through one buffer from the caller's [Buffers], so that
// the engine can account for it. Batches handed to an emit function are
// views into that buffer and valid until the function returns. Nothing here
// starts a goroutine, knows of datasets or decides where a task runs.
//
// How it reads and writes, and how far that is from what the machine allows, is
// in engine/docs/decisions/input-reading.md and output-writing.md.
//
// # Who owns an item that spans a cut
//
// Let b(x) be x when x is 0, the end of the file, or follows a delimiter,
// and otherwise the offset after the first delimiter at or behind x. The
// piece [o, e) yields the bytes [b(o), b(e)). Since b never decreases, the
// pieces of a file tile it: each item belongs to the piece in which it
// starts, and is read exactly once, wherever the cuts are. No item joins two
// files.
package source
