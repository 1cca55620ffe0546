// Package table is what the workloads over keyed tables share: generating
// CSV tables in blocks that depend on their numbers alone, drawing keys by
// Zipf's law, and the verifiers' own reading and tallying.
//
//   - [Write] makes a file of rows of one width;
//   - [Zipf] and [Keys] draw keys and spell them;
//   - [Scan] reads CSV without the engine;
//   - [Tally] adds up by key in bounded memory, in as many passes as it takes.
package table
