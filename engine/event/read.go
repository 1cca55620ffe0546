package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// ErrCorrupt says that bytes which should hold events do not.
var ErrCorrupt = errors.New("events are corrupt")

// ErrNotEvents says that a file is no event file, or of a version that this
// program does not read.
var ErrNotEvents = errors.New("not an event file")

// Truncated ends the reading of a file that was cut or damaged. Everything
// yielded before it is whole.
type Truncated struct {
	Offset int64 // where the first bad block begins
	Events int64 // whole events before it
	Cause  error // io.ErrUnexpectedEOF: cut; ErrCorrupt; or a failure to read
}

// Error tells how far the file is whole.
func (t *Truncated) Error() string {
	return fmt.Sprintf("cannot read events beyond byte %d, %d events before it are whole: %v", t.Offset, t.Events, t.Cause)
}

// Unwrap returns the cause.
func (t *Truncated) Unwrap() error { return t.Cause }

// Read iterates over the events of a file, in order. It reads block by block
// and yields the events of a block only when its checksum holds. The last
// pair of a file that is not whole is (nil, *Truncated); something that is no
// event file yields (nil, error wrapping ErrNotEvents) alone.
//
// An event is valid until the next one is asked for: the most common types
// are reused. Strings in it may be kept. Memory stays near the size of the
// largest block. The sequence may be ranged over once.
func Read(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		d := decoder{in: r}
		if err := d.header(); err != nil {
			yield(nil, err)
			return
		}
		for {
			count, err := d.block()
			if err == io.EOF {
				return
			}
			if err == nil {
				for ; count > 0; count-- {
					var e Event
					if e, err = d.event(); err != nil {
						break
					}
					d.events++
					if e != nil && !yield(e, nil) {
						return
					}
				}
				if err == nil && len(d.payload.Bytes()) > d.at {
					err = ErrCorrupt
				}
			}
			if err != nil {
				yield(nil, &Truncated{Offset: d.offset, Events: d.events, Cause: err})
				return
			}
			d.offset += blockHeader + int64(d.payload.Len())
		}
	}
}

// decoder reads blocks and the events in them.
type decoder struct {
	in      io.Reader
	offset  int64 // of the current block
	events  int64
	number  uint32
	payload bytes.Buffer
	at      int // next event in payload
	codec   codec

	start   TaskStart
	getting TaskGettingResult
	end     TaskEnd
}

func (d *decoder) header() error {
	var head [fileHeader]byte
	switch n, err := io.ReadFull(d.in, head[:]); {
	case err == io.EOF, err == io.ErrUnexpectedEOF && bytes.HasPrefix([]byte(fileMagic), head[:min(n, len(fileMagic))]):
		return &Truncated{Cause: io.ErrUnexpectedEOF}
	case err == io.ErrUnexpectedEOF:
		return ErrNotEvents
	case err != nil:
		return &Truncated{Cause: err}
	}
	if string(head[:8]) != fileMagic {
		return ErrNotEvents
	}
	if v := binary.LittleEndian.Uint16(head[8:]); v != formatVersion {
		return fmt.Errorf("%w that this program reads: its version is %d, not %d", ErrNotEvents, v, formatVersion)
	}
	d.offset = fileHeader
	d.codec.reading = true
	return nil
}

// block reads the next block and returns how many events it holds; io.EOF at
// the end of a whole file.
func (d *decoder) block() (uint32, error) {
	var head [blockHeader]byte
	if _, err := io.ReadFull(d.in, head[:]); err != nil {
		return 0, err // io.EOF only when not one byte is left
	}
	if string(head[:4]) != blockMagic || binary.LittleEndian.Uint32(head[12:]) != d.number {
		return 0, ErrCorrupt
	}
	length := int64(binary.LittleEndian.Uint32(head[4:]))
	d.payload.Reset()
	d.at = 0
	// The buffer grows as bytes arrive: a false length costs nothing.
	if _, err := io.CopyN(&d.payload, d.in, length); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	if checksum(head[:], d.payload.Bytes()) != binary.LittleEndian.Uint64(head[16:]) {
		return 0, ErrCorrupt
	}
	d.number++
	return binary.LittleEndian.Uint32(head[8:]), nil
}

// event decodes the next event of the block; nil for a kind unknown here.
func (d *decoder) event() (Event, error) {
	rest := d.payload.Bytes()[d.at:]
	length, n := binary.Uvarint(rest)
	if n <= 0 || length == 0 || length > uint64(len(rest)-n) {
		return nil, ErrCorrupt
	}
	d.at += n + int(length)
	body := rest[n : n+int(length)]
	e := d.blank(body[0])
	if e == nil {
		return nil, nil
	}
	d.codec.buf = body[1:]
	e.fields(&d.codec)
	if d.codec.bad {
		return nil, ErrCorrupt
	}
	return e, nil
}

// blank returns an empty event of the kind, nil for one unknown here.
func (d *decoder) blank(kind uint8) form {
	switch kind {
	case kindTaskStart:
		d.start = TaskStart{}
		return &d.start
	case kindTaskGettingResult:
		d.getting = TaskGettingResult{}
		return &d.getting
	case kindTaskEnd:
		d.end = TaskEnd{}
		return &d.end
	case kindApplicationStart:
		return new(ApplicationStart)
	case kindExecutorAdded:
		return new(ExecutorAdded)
	case kindBlockManagerAdded:
		return new(BlockManagerAdded)
	case kindJobStart:
		return new(JobStart)
	case kindJobEnd:
		return new(JobEnd)
	case kindStageSubmitted:
		return new(StageSubmitted)
	case kindStageCompleted:
		return new(StageCompleted)
	case kindBlockUpdated:
		return new(BlockUpdated)
	case kindNodeUnpersisted:
		return new(NodeUnpersisted)
	case kindMemorySample:
		return new(MemorySample)
	case kindWorkerTime:
		return new(WorkerTime)
	case kindPhase:
		return new(Phase)
	case kindApplicationEnd:
		return new(ApplicationEnd)
	case kindExecutorRemoved:
		return new(ExecutorRemoved)
	case kindBlockManagerRemoved:
		return new(BlockManagerRemoved)
	case kindSpeculativeTaskSubmitted:
		return new(SpeculativeTaskSubmitted)
	case kindExcluded:
		return new(Excluded)
	case kindUnexcluded:
		return new(Unexcluded)
	}
	return nil
}
