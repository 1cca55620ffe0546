// Package codec owns the binary forms of records: how a batch of Go values
// becomes bytes in a page or a file and comes back, how keys are hashed and
// ordered by a machine word, and how bytes are compressed.
//
// Its nouns: the [Codec] of a record type, found by [For] when the graph is
// built; the [Key], which orders and hashes a key type; the [Binary] form of
// a key (a word, two words or a text), by which hash tables compare; and the
// [Compression]. The package does no I/O, starts no goroutine, and keeps no
// record.
//
// A record type is plain when it holds no pointer: numbers, booleans, and
// arrays and structs of those. Plain rows are moved with memmove, in the
// machine's own byte order: they never leave the machine. Strings and slices
// are stored with their length in front. What has neither form (maps,
// pointers, interfaces, channels, functions) needs a Codec of the user's own
// ([Register]).
//
//	c, err := codec.For[Pair[string, int64]]()
//	page = c.Append(page, rows)
//	rows, rest, err := c.Decode(rows[:0], page, len(rows)) // strings are views into page
package codec
