package profiles

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/pprof/profile"
)

// Limits of what is read. A decoded profile takes up to some hundred and
// fifty bytes for each message in it and sixteen for each byte, so both are
// bounded; by that estimate nothing that is read takes more than 1.7 GB.
const (
	MaxFile     = 64 << 20 // bytes of a file
	MaxRaw      = 64 << 20 // bytes of a profile, uncompressed
	MaxMessages = 4 << 20  // samples, locations, functions, labels and so on
)

// ErrNotProfile is in the error for a file that holds no pprof profile.
var ErrNotProfile = errors.New("it is no profile in pprof's format")

// ErrTooLarge is in the error for a profile beyond the limits.
var ErrTooLarge = errors.New("it is too large for a profile")

// Read reads one file of the pprof format, compressed or not.
func Read(path string) (*profile.Profile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read profile: %w", err)
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read profile: %w", err)
	}
	data, err := readAtMost(f, MaxFile)
	if err == nil {
		var p *profile.Profile
		if p, err = Parse(data); err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("cannot read profile %s: %w", path, err)
}

func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: above %d MiB", ErrTooLarge, limit>>20)
	}
	return data, err
}

// Parse decodes a profile of the pprof format, compressed or not. Whatever
// data hold, it neither panics nor takes memory beyond the limits.
func Parse(data []byte) (p *profile.Profile, err error) {
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotProfile, err)
		}
		if data, err = readAtMost(z, MaxRaw); err != nil {
			if errors.Is(err, ErrTooLarge) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %w", ErrNotProfile, err)
		}
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrNotProfile)
	}
	if len(data) > MaxRaw {
		return nil, fmt.Errorf("%w: above %d MiB", ErrTooLarge, MaxRaw>>20)
	}
	n, ok := messages(data, 2)
	if !ok {
		return nil, ErrNotProfile
	}
	if n > MaxMessages {
		return nil, fmt.Errorf("%w: it holds %d messages", ErrTooLarge, n)
	}
	defer func() {
		if r := recover(); r != nil { // the decoder is not ours
			p, err = nil, fmt.Errorf("%w: %v", ErrNotProfile, r)
		}
	}()
	if p, err = profile.ParseUncompressed(data); err == nil {
		err = p.CheckValid()
	}
	if err == nil {
		err = p.RemoveUninteresting() // as go tool pprof does
	}
	if err == nil && len(p.SampleType) == 0 {
		err = errors.New("it names no sample type")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotProfile, err)
	}
	return p, nil
}

// messages counts the length-delimited fields of a message, and of those in
// it, depth levels down; ok tells whether the upper level is well formed. A
// string may look like a message and count as one: that errs on the safe
// side.
func messages(data []byte, depth int) (n int, ok bool) {
	for len(data) > 0 {
		tag, k := binary.Uvarint(data)
		if k <= 0 {
			return n, false
		}
		data = data[k:]
		skip := 0
		switch tag & 7 {
		case 0:
			_, skip = binary.Uvarint(data)
			if skip <= 0 {
				return n, false
			}
		case 1:
			skip = 8
		case 5:
			skip = 4
		case 2:
			length, k := binary.Uvarint(data)
			if k <= 0 || length > uint64(len(data)-k) {
				return n, false
			}
			n++
			inner := data[k : k+int(length)]
			if depth > 1 {
				more, _ := messages(inner, depth-1)
				n += more
			}
			data = data[k+int(length):]
			continue
		default:
			return n, false
		}
		if skip > len(data) {
			return n, false
		}
		data = data[skip:]
	}
	return n, true
}

// List are profiles of one kind.
type List = []*profile.Profile

// Merge adds profiles up. They are of the same kind; what is given is not
// changed.
func Merge(list []*profile.Profile) (*profile.Profile, error) {
	switch len(list) {
	case 0:
		return nil, errors.New("cannot merge profiles: there are none")
	case 1:
		return list[0], nil
	}
	p, err := profile.Merge(list)
	if err != nil {
		return nil, fmt.Errorf("cannot merge profiles: %w", err)
	}
	return p, nil
}
