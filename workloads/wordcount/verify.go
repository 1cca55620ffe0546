package wordcount

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/workloads"
)

// verify counts the words of the input by a scanner and a table of its own
// and compares them with the output.
//
//  1. Survey: read the output once; every line must be a word, a tab and a
//     count. This says how much memory its words take, and so how many hash
//     ranges they must be divided into for the budget.
//  2. For every range: enter the words that the output claims, each once;
//     read the whole input and count each word of the range in the table;
//     a word that is not there is missing from the output.
//  3. Compare the count of every entry with the claim.
//
// Nothing depends on hashes being free of collisions: words are compared.
func verify(ctx context.Context, g workloads.Gen, v workloads.Values, in workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
	c, err := newCheck(g, a.Dir, &in)
	if err != nil {
		return nil, err
	}
	verdict, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	verdict.Expect("lines as the job counted them", strconv.FormatInt(c.lines, 10), strconv.FormatInt(a.Records, 10))
	a.Checksum = fmt.Sprintf("%016x", c.checksum)
	return verdict, nil
}

// verifyDir is verify for a folder of which no run is known. Without an
// input it can only tell whether the lines are well formed and no word stands
// in two of them.
func verifyDir(ctx context.Context, g workloads.Gen, v workloads.Values, dir string, in *workloads.Input) (*workloads.Verdict, error) {
	c, err := newCheck(g, dir, in)
	if err != nil {
		return nil, err
	}
	return c.run(ctx)
}

// check is one verification at work.
type check struct {
	g       workloads.Gen
	outputs []workloads.File
	inputs  []workloads.Range
	packed  []workloads.File // compressed inputs, which cannot be cut
	against bool             // there is an input
	workers int
	line    []byte   // for reading the output
	carry   [][]byte // by worker, for words across ranges
	tallies []tally  // by worker

	// What the survey found.
	lines, letters, claimed int64
	checksum                uint64 // sum of the XXH3 of every line
	malformed               finding

	// What the ranges found.
	words    int64 // occurrences in the input
	repeated finding
	invented finding // claimed and not in the input
	missing  finding // occurrences in the input, not claimed
	wrong    finding
}

func newCheck(g workloads.Gen, dir string, in *workloads.Input) (*check, error) {
	c := &check{g: g, against: in != nil, workers: g.Workers(scanBytes)}
	c.carry, c.tallies = make([][]byte, c.workers), make([]tally, c.workers)
	var err error
	if c.outputs, err = workloads.OutputFiles(dir); err != nil {
		return nil, err
	}
	if in != nil {
		files, err := workloads.InputFiles(in.Paths)
		if err != nil {
			return nil, err
		}
		var plain []workloads.File
		for _, f := range files {
			if compressed(f.Path) {
				c.packed = append(c.packed, f)
			} else {
				plain = append(plain, f)
			}
		}
		c.inputs = workloads.SplitFiles(plain, scanBytes)
	}
	return c, nil
}

func (c *check) run(ctx context.Context) (*workloads.Verdict, error) {
	if err := c.survey(ctx); err != nil {
		return nil, err
	}
	budget := max(c.g.Budget()-int64(c.workers)*scanBytes, scanBytes)
	ranges := c.ranges(budget)
	var l ledger
	for r := range ranges {
		if err := c.enter(ctx, &l, r, ranges); err != nil {
			return nil, err
		}
		if !c.against {
			continue
		}
		if err := c.count(ctx, &l, r, ranges); err != nil {
			return nil, err
		}
		c.compare(&l)
	}
	return c.verdict(), nil
}

// ranges returns into how many hash ranges the words of the output must be
// divided to fit into budget, with a quarter to spare for uneven ranges.
func (c *check) ranges(budget int64) uint64 {
	need := c.letters + c.lines*entryBytes(c.workers)
	return uint64(max(1, (need+need/4+budget-1)/budget))
}

// rangeOf returns the range of a hash, by its upper bits; the table uses the
// lower ones.
func rangeOf(hash, ranges uint64) uint64 { return hash >> 32 * ranges >> 32 }

// survey reads the output for the first time.
func (c *check) survey(ctx context.Context) error {
	return c.eachClaim(ctx, func(text []byte, word []byte, count int64) {
		c.lines++
		c.checksum += xxh3.Hash(text)
		if count == 0 {
			c.malformed.add(text, 1, "")
			return
		}
		c.letters += int64(len(word))
		c.claimed += count
	})
}

// eachClaim calls claim with every line of the output and what it says; the
// count is 0 for a line that is not a word, a tab, a count and a newline.
func (c *check) eachClaim(ctx context.Context, claim func(text, word []byte, count int64)) error {
	for _, f := range c.outputs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		c.line, err = eachLine(f.Path, c.line, func(text []byte, whole bool) error {
			word, count := parseLine(text)
			if !whole {
				count = 0
			}
			claim(text, word, count)
			return nil
		})
		if err != nil {
			return fmt.Errorf("cannot verify the word counts: %w", err)
		}
	}
	return nil
}

// parseLine splits a line into its word and count. The count is 0 when the
// line is malformed: no tab or more than one, no word or one with a
// separator in it, a count that is not a positive number in plain digits.
func parseLine(text []byte) (word []byte, count int64) {
	word, digits, ok := bytes.Cut(text, []byte{'\t'})
	if !ok || len(word) == 0 || len(digits) == 0 || len(digits) > 1 && digits[0] == '0' || bytes.ContainsAny(word, separators) {
		return word, 0
	}
	for _, d := range digits {
		if d < '0' || d > '9' || count > (math.MaxInt64-int64(d-'0'))/10 {
			return word, 0
		}
		count = 10*count + int64(d-'0')
	}
	return word, count
}

// enter fills l with the claimed words of one hash range.
func (c *check) enter(ctx context.Context, l *ledger, r, ranges uint64) error {
	share := func(n int64) int64 { return n/int64(ranges) + n/int64(ranges)/8 + 1024 }
	l.reset(min(c.lines, share(c.lines)), min(c.letters, share(c.letters)))
	return c.eachClaim(ctx, func(_, word []byte, count int64) {
		if count == 0 {
			return
		}
		if k := keyOf(word); rangeOf(k.hash, ranges) == r && !l.claim(k, count) {
			c.repeated.add(word, 1, "")
		}
	})
}

// count reads the input and counts the words of one hash range in l.
func (c *check) count(ctx context.Context, l *ledger, r, ranges uint64) error {
	for w := range c.tallies {
		c.tallies[w].open(l)
	}
	g := c.g
	g.Cores, g.Memory = c.workers, 0 // the workers' buffers are taken off the budget already
	if r > 0 {
		g.Progress = nil
	}
	batches := make([]*batch, c.workers)
	for w := range batches {
		batches[w] = &batch{emit: func(words [][]byte) { c.tallies[w].add(l, words, r, ranges) }}
	}
	err := workloads.EachRange(ctx, g, c.inputs, 0, func(w int, i int64, f *os.File, data []byte) (err error) {
		c.carry[w], err = scanRange(f, c.inputs[i], data, c.carry[w], batches[w])
		return err
	})
	if err == nil {
		err = workloads.Each(ctx, c.workers, int64(len(c.packed)), func(w int, i int64) (err error) {
			c.carry[w], err = scanCompressed(c.packed[i].Path, c.carry[w], batches[w])
			return err
		})
	}
	for w := range c.tallies {
		c.words += c.tallies[w].words
		c.missing.merge(c.tallies[w].missing)
	}
	return err
}

// compare looks at every entry of a counted ledger.
func (c *check) compare(l *ledger) {
	for i, e := range l.entries {
		n := int64(0)
		for w := range c.tallies {
			n += c.tallies[w].found[i]
		}
		switch {
		case n == 0:
			c.invented.add(l.word(i), 1, "")
		case n != e.claimed:
			c.wrong.add(l.word(i), 1, fmt.Sprintf(" counted %d, written %d", n, e.claimed))
		}
	}
}

func (c *check) verdict() *workloads.Verdict {
	v := &workloads.Verdict{}
	expectNone := func(name string, f finding) { v.Expect(name, "none", f.String()) }
	expectNone("lines that are not word, tab, count", c.malformed)
	expectNone("words written twice", c.repeated)
	if c.against {
		expectNone("words written that the input does not have", c.invented)
		expectNone("words of the input that are not written", c.missing)
		expectNone("words with a wrong count", c.wrong)
		v.Expect("words in all", strconv.FormatInt(c.words, 10), strconv.FormatInt(c.claimed, 10))
	} else {
		v.Note("words in all", strconv.FormatInt(c.claimed, 10))
	}
	v.Note("distinct words", strconv.FormatInt(c.lines, 10))
	v.Note("checksum", fmt.Sprintf("%016x", c.checksum))
	return v
}

// finding counts words that something is wrong with, and remembers the first
// of them in byte order, so that the message is the same for any cores.
type finding struct {
	n       int64
	example []byte
	note    string
}

// exampleBytes is how much of a word a finding keeps.
const exampleBytes = 60

func (f *finding) add(word []byte, n int64, note string) {
	if word = word[:min(len(word), exampleBytes)]; f.n == 0 || bytes.Compare(word, f.example) < 0 {
		f.example, f.note = append(f.example[:0], word...), note
	}
	f.n += n
}

func (f *finding) merge(o finding) {
	if o.n > 0 {
		f.add(o.example, o.n, o.note)
	}
}

// String says "none", or how many and the example.
func (f finding) String() string {
	if f.n == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, such as %q%s", f.n, f.example, f.note)
}
