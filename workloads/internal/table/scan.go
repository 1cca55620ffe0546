package table

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/execbench/execbench/workloads"
)

// scanBytes is how much of a file is read at a time.
const scanBytes = 1 << 20

// lineMax is the longest line that is read: a row of a few numbers and a key.
const lineMax = 1 << 20

// ScanBytes is what one worker of Scan holds.
const ScanBytes = scanBytes + lineMax

// Row is one row of a table, the wanted columns in the order asked for. The
// fields are valid until the call returns.
type Row [][]byte

// Int reads a field as a whole number.
func (r Row) Int(i int) (int64, error) { return strconv.ParseInt(string(r[i]), 10, 64) }

// Float reads a field as a number.
func (r Row) Float(i int) (float64, error) { return strconv.ParseFloat(string(r[i]), 64) }

// Scan reads CSV files with headers, line by line and without the engine,
// and calls each with every row, from as many goroutines as workers says;
// those of one worker follow one another. Files whose names end in .gz, .zst
// or .zstd are decompressed. Empty lines have no row. A row that each
// refuses, or that has not as many fields as the header, is an error that
// names the file.
func Scan(ctx context.Context, g workloads.Gen, workers int, files []workloads.File, columns []string, each func(worker int, row Row) error) error {
	g.Cores, g.Memory = workers, 0 // the caller has divided its budget
	var plain, packed []workloads.File
	for _, f := range files {
		if f.Bytes == 0 {
			continue
		}
		if compressed(f.Path) {
			packed = append(packed, f)
		} else {
			plain = append(plain, f)
		}
	}
	heads, ends := make([]*header, len(plain)), make([]int64, len(plain))
	for i, f := range plain {
		var err error
		if heads[i], ends[i], err = headOf(f.Path, columns); err != nil {
			return err
		}
	}
	ranges := workloads.SplitFiles(plain, scanBytes)
	carries := make([][]byte, workers)
	parsers := make([]parser, workers)
	err := workloads.EachRange(ctx, g, ranges, 0, func(w int, i int64, f *os.File, data []byte) (err error) {
		r := ranges[i]
		p := &parsers[w]
		p.header, p.path = heads[r.Index], r.File.Path
		carries[w], err = scanRange(f, r, ends[r.Index], data, carries[w], func(line []byte) error {
			return p.parse(line, func(row Row) error { return each(w, row) })
		})
		return err
	})
	if err != nil {
		return err
	}
	return workloads.Each(ctx, workers, int64(len(packed)), func(w int, i int64) error {
		return scanCompressed(packed[i].Path, columns, &parsers[w], func(row Row) error { return each(w, row) })
	})
}

// header says where the wanted columns are.
type header struct {
	fields int
	wanted []int
}

func newHeader(path string, line []byte, columns []string) (*header, error) {
	names, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")))).Read()
	if err != nil {
		return nil, fmt.Errorf("cannot read the header of %s: %w", path, err)
	}
	h := &header{fields: len(names)}
	for _, c := range columns {
		i := slices.Index(names, c)
		if i < 0 {
			return nil, fmt.Errorf("cannot read %s: its header has no column %q, only %s", path, c, strings.Join(names, ", "))
		}
		h.wanted = append(h.wanted, i)
	}
	return h, nil
}

// headOf reads the header of a plain file and tells where it ends.
func headOf(path string, columns []string) (*header, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot open input: %w", err)
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadBytes('\n')
	if err != nil && err != io.EOF {
		return nil, 0, fmt.Errorf("cannot read the header of %s: %w", path, workloads.Cause(err))
	}
	h, err := newHeader(path, line, columns)
	return h, int64(len(line)), err
}

// scanRange calls each with the lines that begin in a range, the header
// excepted, which ends at head. carry is a buffer for lines that end behind
// the range.
func scanRange(f *os.File, r workloads.Range, head int64, data, carry []byte, each func(line []byte) error) ([]byte, error) {
	at := 0
	switch {
	case r.Offset < head:
		at = int(min(head-r.Offset, int64(len(data))))
	default: // a line belongs to the range of its first byte
		var before [1]byte
		if _, err := f.ReadAt(before[:], r.Offset-1); err != nil {
			return carry, fmt.Errorf("cannot read %s: %w", r.File.Path, workloads.Cause(err))
		}
		if before[0] != '\n' {
			i := bytes.IndexByte(data, '\n')
			if i < 0 {
				return carry, nil
			}
			at = i + 1
		}
	}
	for at < len(data) {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			break
		}
		if err := each(data[at : at+i]); err != nil {
			return carry, err
		}
		at += i + 1
	}
	if at >= len(data) {
		return carry, nil
	}
	carry = append(carry[:0], data[at:]...)
	for end := r.Offset + r.Bytes; end < r.File.Bytes; {
		if len(carry) > lineMax {
			return carry, fmt.Errorf("cannot verify %s: the line at byte %d is longer than %d bytes", r.File.Path, r.Offset+int64(at), lineMax)
		}
		have := len(carry)
		carry = slices.Grow(carry, 4096)[:have+int(min(4096, r.File.Bytes-end))]
		if _, err := f.ReadAt(carry[have:], end); err != nil {
			return carry, fmt.Errorf("cannot read %s: %w", r.File.Path, workloads.Cause(err))
		}
		if i := bytes.IndexByte(carry[have:], '\n'); i >= 0 {
			carry = carry[:have+i]
			break
		}
		end += int64(len(carry) - have)
	}
	return carry, each(carry)
}

// parser splits lines into fields.
type parser struct {
	*header
	path   string
	fields [][]byte
	row    Row
}

func (p *parser) parse(line []byte, each func(Row) error) error {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) == 0 {
		return nil
	}
	p.fields = p.fields[:0]
	if bytes.IndexByte(line, '"') >= 0 {
		texts, err := csv.NewReader(bytes.NewReader(line)).Read()
		if err != nil {
			return p.fail(line, err)
		}
		for _, t := range texts {
			p.fields = append(p.fields, []byte(t))
		}
	} else {
		for rest, more := line, true; more; {
			var f []byte
			f, rest, more = bytes.Cut(rest, []byte{','})
			p.fields = append(p.fields, f)
		}
	}
	if len(p.fields) != p.header.fields {
		return p.fail(line, fmt.Errorf("it has %d fields, and the header %d", len(p.fields), p.header.fields))
	}
	p.row = p.row[:0]
	for _, i := range p.wanted {
		p.row = append(p.row, p.fields[i])
	}
	if err := each(p.row); err != nil {
		return p.fail(line, err)
	}
	return nil
}

func (p *parser) fail(line []byte, err error) error {
	return fmt.Errorf("cannot verify against %s: row %.80q: %w", p.path, line, err)
}

// compressed reports whether a file's name says that it is, by the same
// endings that the engine goes by.
func compressed(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".gz", ".zst", ".zstd":
		return true
	}
	return false
}

func scanCompressed(path string, columns []string, p *parser, each func(Row) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot open input: %w", err)
	}
	defer f.Close()
	var text io.Reader
	if strings.EqualFold(filepath.Ext(path), ".gz") {
		text, err = gzip.NewReader(f)
	} else {
		var d *zstd.Decoder
		if d, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true)); err == nil {
			defer d.Close()
			text = d
		}
	}
	if err != nil {
		return fmt.Errorf("cannot decompress %s: %w", path, err)
	}
	lines := bufio.NewReaderSize(text, lineMax)
	p.header, p.path = nil, path
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("cannot verify %s: a line is longer than %d bytes", path, lineMax)
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("cannot decompress %s: %w", path, err)
		}
		switch {
		case p.header == nil && len(line) > 0:
			var herr error
			if p.header, herr = newHeader(path, line, columns); herr != nil {
				return herr
			}
		case p.header != nil:
			if perr := p.parse(bytes.TrimSuffix(line, []byte{'\n'}), each); perr != nil {
				return perr
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}
