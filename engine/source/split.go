package source

import (
	"sort"

	"github.com/execbench/execbench/engine/units"
)

// Piece is a byte range of one file. The items that start in it are the
// piece's (see the package's comment); its reader looks beyond the end only
// to finish the last of them.
type Piece struct {
	Path   string
	Offset int64
	Length int64
	Size   int64 // of the whole file
	Format Format
}

// Split is one partition's share of the input, in the order of the files.
type Split struct {
	Index  int
	Pieces []Piece // may be empty
}

// Bytes returns the sum of the pieces' lengths, as on disk.
func (s *Split) Bytes() int64 {
	var n int64
	for i := range s.Pieces {
		n += s.Pieces[i].Length
	}
	return n
}

// CutOptions say how files are cut.
type CutOptions struct {
	// Parts is the number of splits, honoured exactly; below 1 means 1.
	Parts int
	// Unit is the width of a record: cuts fall between records, and a plain
	// file that does not divide into whole ones is a *WidthError. 0 or 1:
	// cuts fall anywhere.
	Unit int
	// Whole keeps every file in one piece.
	Whole bool
}

const (
	// smallPiece: no cut leaves less than this on either side, unless whole
	// partitions are smaller still. Opening a file costs about as much as
	// reading this much of it.
	smallPiece = 64 << 10
	// compressedWeight is what a byte of a compressed file counts when work
	// is shared out: text shrinks three- to fivefold. It is a guess that
	// only balance depends on.
	compressedWeight = 4
)

// PartsFor returns the number of splits that gives each about target bytes
// of input: a multiple of step, the number of tasks that run side by side, so
// that none of them idles while the last splits are read.
func PartsFor(files []File, target units.Bytes, step int) int {
	n := (weigh(files) + int64(target) - 1) / max(int64(target), 1)
	s := int64(max(step, 1))
	return int(max((n+s-1)/s, 1) * s)
}

func weigh(files []File) (total int64) {
	for _, f := range files {
		total += f.weight()
	}
	return total
}

func (f *File) weight() int64 {
	if f.Format.Splittable() {
		return f.Size
	}
	return f.Size * compressedWeight
}

// Cut shares the files out over the splits: laid end to end, they are cut
// into o.Parts equal stretches, so splits keep the order of the input and
// small files share one. A stretch ends at the edge of a file when its even
// end would leave a tiny piece, or when the file cannot be cut. Every byte
// is in exactly one piece; empty files are in none. Splits may be empty.
func Cut(files []File, o CutOptions) ([]Split, error) {
	parts, unit := int64(max(o.Parts, 1)), int64(max(o.Unit, 1))
	for _, f := range files {
		if r := f.Size % unit; r != 0 && f.Format == Plain {
			return nil, &WidthError{f.Path, f.Size, int(unit), r}
		}
	}
	total := weigh(files)
	small := min(smallPiece, total/parts/8)
	// evenEnd is where split i would end if every byte could be cut at.
	evenEnd := func(i int64) int64 { return mulDiv(total, i+1, parts) }
	splits := make([]Split, parts)
	for i := range splits {
		splits[i].Index = i
	}
	// at finds the split whose even stretch holds a place of the sequence.
	at := func(place int64) int64 {
		return int64(sort.Search(int(parts)-1, func(i int) bool { return evenEnd(int64(i)) > place }))
	}
	add := func(i int64, f *File, from, to int64) {
		if from < to {
			splits[i].Pieces = append(splits[i].Pieces, Piece{f.Path, from, to - from, f.Size, f.Format})
		}
	}
	var start int64 // of the file in the sequence
	for k := range files {
		f := &files[k]
		if o.Whole || !f.Format.Splittable() {
			add(at(start+f.weight()/2), f, 0, f.Size)
			start += f.weight()
			continue
		}
		i := at(start)
		for from := int64(0); from < f.Size; i++ {
			to := f.Size
			if end := evenEnd(i) - start; i < parts-1 && end < f.Size {
				to = end / unit * unit
				switch {
				case to-from < small:
					to = from
				case f.Size-to < small:
					to = f.Size
				}
			}
			add(i, f, from, to)
			from = to
		}
		start += f.Size
	}
	return splits, nil
}

// mulDiv returns a·b/c for 0 ≤ b ≤ c without overflow.
func mulDiv(a, b, c int64) int64 {
	q, r := a/c, a%c
	return q*b + r*b/c
}
