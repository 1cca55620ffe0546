package pagerank

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/workloads"
)

// tolerance is how far a rank may be off, as a part of it.
const tolerance = 1e-9

// verify computes all ranks by a plain loop in floating point and compares
// them with the output, line by line.
func verify(ctx context.Context, g workloads.Gen, v workloads.Values, in workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
	c := &check{g: g, v: v, in: &in}
	verdict, err := c.run(ctx, a.Dir)
	if err != nil {
		return nil, err
	}
	verdict.Expect("lines as the job counted them", strconv.FormatInt(c.lines, 10), strconv.FormatInt(a.Records, 10))
	a.Checksum = fmt.Sprintf("%016x", c.checksum)
	return verdict, nil
}

// verifyDir is verify for a folder of which no run is known. Without an input
// it can only tell whether lines are well formed and nodes follow each other.
func verifyDir(ctx context.Context, g workloads.Gen, v workloads.Values, dir string, in *workloads.Input) (*workloads.Verdict, error) {
	return (&check{g: g, v: v, in: in}).run(ctx, dir)
}

// check is one verification at work.
type check struct {
	g  workloads.Gen
	v  workloads.Values
	in *workloads.Input // nil: there is none

	want     []float64 // ranks
	lines    int64
	checksum uint64 // sum of the XXH3 of every line
	worst    float64
	at       int64 // node of the worst rank

	malformed, foreign, wrong int64
	seen                      []uint64 // bit set of nodes
	twice                     int64
}

func (c *check) run(ctx context.Context, dir string) (*workloads.Verdict, error) {
	outputs, err := workloads.OutputFiles(dir)
	if err != nil {
		return nil, err
	}
	if c.in != nil {
		files, err := workloads.InputFiles(c.in.Paths)
		if err != nil {
			return nil, err
		}
		w := web{files: files, memory: c.g.Budget()}
		if err := w.survey(ctx); err != nil {
			return nil, err
		}
		n, err := nodeCount(c.v, c.in.Generated, int64(len(w.degrees)))
		if err != nil {
			return nil, err
		}
		if c.want, err = w.ranks(ctx, n, int(c.v.Int("rounds"))); err != nil {
			return nil, err
		}
	}
	for _, f := range outputs {
		if err := c.compare(ctx, f.Path); err != nil {
			return nil, err
		}
	}
	verdict := &workloads.Verdict{}
	none := func(name string, n int64) { verdict.Expect(name, "0", strconv.FormatInt(n, 10)) }
	none("lines that are not node,rank", c.malformed)
	none("nodes there twice", c.twice)
	if c.in == nil {
		none("nodes above the number of lines", c.beyond())
		verdict.Note("nodes", strconv.FormatInt(c.lines, 10))
		return verdict, nil
	}
	none("nodes that are not in the graph", c.foreign)
	verdict.Expect("nodes", strconv.Itoa(len(c.want)), strconv.FormatInt(c.lines-c.malformed-c.twice-c.foreign, 10))
	none("ranks off by more than 1e-9", c.wrong)
	verdict.Judge("largest difference of a rank, relative", c.worst <= tolerance, fmt.Sprintf("at most %.0e", tolerance), fmt.Sprintf("%.2g, of node %d", c.worst, c.at))
	return verdict, nil
}

// beyond counts the nodes seen whose number is not below that of lines.
func (c *check) beyond() (n int64) {
	for i, w := range c.seen {
		for b := range 64 {
			if w>>b&1 == 1 && int64(i*64+b) >= c.lines {
				n++
			}
		}
	}
	return n
}

// compare reads one file of the output.
func (c *check) compare(ctx context.Context, path string) error {
	return eachLine(ctx, path, func(line []byte) error {
		c.lines++
		c.checksum += xxh3.Hash(line)
		node, rank, found := bytes.Cut(line, []byte{','})
		i, err := strconv.ParseUint(string(node), 10, 32)
		r, rerr := strconv.ParseFloat(string(rank), 64)
		switch {
		case !found || err != nil || rerr != nil:
			c.malformed++
			return nil
		case c.in != nil && i >= uint64(len(c.want)):
			c.foreign++
			return nil
		}
		if word := int(i / 64); word >= len(c.seen) {
			c.seen = append(c.seen, make([]uint64, word+1-len(c.seen))...)
		}
		if c.seen[i/64]>>(i%64)&1 == 1 {
			c.twice++
		}
		c.seen[i/64] |= 1 << (i % 64)
		if c.in == nil {
			return nil
		}
		off := math.Abs(r-c.want[i]) / c.want[i]
		if math.IsNaN(off) {
			off = math.Inf(1)
		}
		if off > c.worst {
			c.worst, c.at = off, int64(i)
		}
		if off > tolerance {
			c.wrong++
		}
		return nil
	})
}

// web is a graph as the verifier holds it: links by destination, one row
// after another (compressed sparse rows), or, where there is no room for
// them, in their files.
type web struct {
	files   []workloads.File
	memory  int64
	degrees []uint32 // links from each node, up to the highest number
	links   int64
}

// survey reads the links once.
func (w *web) survey(ctx context.Context) error {
	return w.each(ctx, func(from, to uint32) {
		if n := int(max(from, to)) + 1; n > len(w.degrees) {
			w.degrees = append(w.degrees, make([]uint32, n-len(w.degrees))...)
		}
		w.degrees[from]++
		w.links++
	})
}

// ranks iterates over n nodes.
func (w *web) ranks(ctx context.Context, n int64, iterations int) ([]float64, error) {
	w.degrees = append(w.degrees, make([]uint32, n-int64(len(w.degrees)))...)
	add := func(next, gifts []float64) error {
		return w.each(ctx, func(from, to uint32) { next[to] += gifts[from] })
	}
	if w.links*4+n*(20+8) <= w.memory {
		starts, sources, err := w.rows(ctx, n)
		if err != nil {
			return nil, err
		}
		add = func(next, gifts []float64) error {
			for i := range next {
				for _, from := range sources[starts[i]:starts[i+1]] {
					next[i] += gifts[from]
				}
			}
			return ctx.Err()
		}
	}
	ranks, gifts := make([]float64, n), make([]float64, n)
	for i := range ranks {
		ranks[i] = 1 / float64(n)
	}
	for range iterations {
		for i, r := range ranks {
			gifts[i] = r / float64(max(w.degrees[i], 1))
			ranks[i] = 0
		}
		if err := add(ranks, gifts); err != nil {
			return nil, err
		}
		for i, given := range ranks {
			ranks[i] = 0.15/float64(n) + 0.85*given
		}
	}
	return ranks, nil
}

// rows reads the links into rows by destination.
func (w *web) rows(ctx context.Context, n int64) (starts []int64, sources []uint32, err error) {
	starts, sources = make([]int64, n+1), make([]uint32, w.links)
	if err := w.each(ctx, func(_, to uint32) { starts[to+1]++ }); err != nil {
		return nil, nil, err
	}
	for i := range n {
		starts[i+1] += starts[i]
	}
	err = w.each(ctx, func(from, to uint32) { // starts[i] moves to where row i ends
		sources[starts[to]] = from
		starts[to]++
	})
	copy(starts[1:], starts)
	starts[0] = 0
	return starts, sources, err
}

// each reads all links.
func (w *web) each(ctx context.Context, link func(from, to uint32)) error {
	for _, f := range w.files {
		first := true
		err := eachLine(ctx, f.Path, func(line []byte) error {
			head := first
			first = false
			if len(line) == 0 {
				return nil
			}
			a, b, _ := bytes.Cut(line, []byte{','})
			from, err := strconv.ParseUint(string(a), 10, 32)
			to, err2 := strconv.ParseUint(string(b), 10, 32)
			if err := errors.Join(err, err2); err != nil {
				if head && (line[0] < '0' || line[0] > '9') {
					return nil
				}
				return fmt.Errorf("cannot verify against %s: line %.80q is no link", f.Path, line)
			}
			link(uint32(from), uint32(to))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachLine reads a file line by line, decompressed if its name says so.
func eachLine(ctx context.Context, path string, each func(line []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot verify: %w", err)
	}
	defer f.Close()
	var text io.Reader = f
	switch strings.ToLower(filepath.Ext(path)) {
	case ".gz":
		text, err = gzip.NewReader(f)
	case ".zst", ".zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true)); err == nil {
			defer d.Close()
			text = d
		}
	}
	if err != nil {
		return fmt.Errorf("cannot decompress %s: %w", path, err)
	}
	lines := bufio.NewReaderSize(text, 256<<10)
	for n := 0; ; n++ {
		line, err := lines.ReadSlice('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("cannot verify %s: %w", path, err)
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(line) > 0 {
			if eerr := each(bytes.TrimRight(line, "\r\n")); eerr != nil {
				return eerr
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}
