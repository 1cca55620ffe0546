package wordcount

import (
	"fmt"
	"io"
	"os"

	"github.com/execbench/execbench/workloads"
)

// scanBytes is how much of an input file the verifier reads at a time.
const scanBytes = 1 << 20

// separators are the bytes that stand between words.
const separators = " \t\n\v\f\r"

// separates tells of each byte whether it is a separator.
var separates = func() (table [256]bool) {
	for _, c := range []byte(separators) {
		table[c] = true
	}
	return table
}()

// batchWords is how many words are counted together. Their places in a large
// table are mostly not in a cache; fetched together they take hardly longer
// than one. Measured over a Zipf text of 100,000 words: 57 ns a word, 94 one
// by one.
const batchWords = 64

// batch collects the words of a scan. emit gets them; they are valid until
// it returns.
type batch struct {
	emit  func(words [][]byte)
	n     int
	words [batchWords][]byte
}

func (b *batch) add(word []byte) {
	b.words[b.n] = word
	if b.n++; b.n == batchWords {
		b.flush()
	}
}

// flush hands on what is there. A scan flushes before its buffer changes.
func (b *batch) flush() {
	if b.n > 0 {
		b.emit(b.words[:b.n])
		b.n = 0
	}
}

// scanRange adds every word that begins in a range of a file, whose bytes
// data are, to out, and flushes it. A word that runs on beyond the range is
// read to its end from f, into carry, which is returned for the next call.
func scanRange(f *os.File, r workloads.Range, data, carry []byte, out *batch) ([]byte, error) {
	defer out.flush()
	at := 0
	if r.Offset > 0 {
		// A word that began before the range belongs to the range before.
		var before [1]byte
		if _, err := f.ReadAt(before[:], r.Offset-1); err != nil {
			return carry, fmt.Errorf("cannot read %s at offset %d: %w", r.File.Path, r.Offset-1, workloads.Cause(err))
		}
		if !separates[before[0]] {
			for at < len(data) && !separates[data[at]] {
				at++
			}
		}
	}
	for at < len(data) {
		if separates[data[at]] {
			at++
			continue
		}
		end := at + 1
		for end < len(data) && !separates[data[end]] {
			end++
		}
		if end == len(data) {
			var err error
			if carry, err = readOn(f, r, append(carry[:0], data[at:]...)); err != nil {
				return carry, err
			}
			out.add(carry)
			break
		}
		out.add(data[at:end])
		at = end
	}
	return carry, nil
}

// scanStream adds every word that r holds to out, and flushes it, reading
// into buf, which grows to the longest word and is returned.
func scanStream(r io.Reader, buf []byte, out *batch) ([]byte, error) {
	kept := 0 // bytes at the front of buf: a word begun
	for {
		if kept == len(buf) {
			buf = append(buf, make([]byte, max(1<<16, len(buf)))...)
		}
		n, err := r.Read(buf[kept:])
		start := 0
		for i := kept; i < kept+n; i++ {
			if separates[buf[i]] {
				if i > start {
					out.add(buf[start:i])
				}
				start = i + 1
			}
		}
		out.flush()
		kept = copy(buf, buf[start:kept+n])
		if err == io.EOF {
			if kept > 0 {
				out.add(buf[:kept])
				out.flush()
			}
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// readOn appends to word what follows the range up to the next separator or
// the end of the file.
func readOn(f *os.File, r workloads.Range, word []byte) ([]byte, error) {
	const step = 4096
	for from := r.Offset + r.Bytes; ; from += step {
		n := len(word)
		word = append(word, make([]byte, step)...)
		got, err := f.ReadAt(word[n:], from)
		for i, c := range word[n : n+got] {
			if separates[c] {
				return word[:n+i], nil
			}
		}
		if err == io.EOF {
			return word[:n+got], nil
		}
		if err != nil {
			return word, fmt.Errorf("cannot read %s at offset %d: %w", r.File.Path, from, workloads.Cause(err))
		}
	}
}

// eachLine calls line with every line of a file, without its newline, and
// whole tells whether it had one. What line gets is valid until it returns.
// buf is used for reading and returned, grown to the longest line.
func eachLine(path string, buf []byte, line func(text []byte, whole bool) error) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return buf, fmt.Errorf("cannot open output: %w", err)
	}
	defer f.Close()
	kept := 0 // bytes at the front of buf: a line begun
	for {
		if kept == len(buf) {
			buf = append(buf, make([]byte, max(1<<16, len(buf)))...)
		}
		n, err := f.Read(buf[kept:])
		start, fresh := 0, buf[kept:kept+n]
		for i, c := range fresh {
			if c == '\n' {
				if err := line(buf[start:kept+i], true); err != nil {
					return buf, err
				}
				start = kept + i + 1
			}
		}
		kept = copy(buf, buf[start:kept+n])
		if err == io.EOF {
			if kept > 0 {
				return buf, line(buf[:kept], false)
			}
			return buf, nil
		}
		if err != nil {
			return buf, fmt.Errorf("cannot read %s: %w", path, workloads.Cause(err))
		}
	}
}
