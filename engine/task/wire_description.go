package task

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/execbench/execbench/engine/id"
)

// A description in bytes:
//
//	tag │ attempt's part (fixed width) │ executor │ shared part │ crc32c
//
// The shared part is the same for every attempt of a stage attempt; it holds
// the properties and files, which are most of the bytes. It is encoded once
// (AppendShared) and decoded once per worker (DescriptionDecoder).

const (
	flagSpeculative = 1 << 0

	flagBarrier = 1 << 0
)

// AppendShared appends what all descriptions of d's stage attempt have in
// common: job, stage, kind, barrier, partitions, CPUs, epoch, binary, files
// and properties. Properties are sorted, so equal ones give equal bytes.
func AppendShared(dst []byte, d *Description) []byte {
	var flags byte
	if d.Barrier {
		flags |= flagBarrier
	}
	dst = append(dst, byte(d.Kind), flags)
	dst = binary.AppendVarint(dst, int64(d.Job))
	dst = binary.AppendVarint(dst, int64(d.Stage))
	dst = binary.AppendVarint(dst, int64(d.Attempt))
	dst = binary.AppendVarint(dst, int64(d.NumPartitions))
	dst = binary.AppendVarint(dst, int64(d.CPUs))
	dst = binary.AppendVarint(dst, d.Epoch)
	dst = binary.AppendVarint(dst, int64(d.Binary))
	dst = binary.AppendUvarint(dst, uint64(len(d.Files)))
	for _, f := range d.Files {
		dst = appendString(dst, f.Name)
		dst = appendString(dst, f.Source)
		dst = binary.AppendVarint(dst, f.Timestamp)
	}
	keys := make([]string, 0, len(d.Properties))
	for k := range d.Properties {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	dst = binary.AppendUvarint(dst, uint64(len(keys)))
	for _, k := range keys {
		dst = appendString(dst, k)
		dst = appendString(dst, d.Properties[k])
	}
	return dst
}

// AppendDescription appends d, encoding the shared part anew.
func AppendDescription(dst []byte, d *Description) []byte {
	return AppendDescriptionWith(dst, AppendShared(nil, d), d)
}

// AppendDescriptionWith appends d with a shared part that AppendShared made
// of a description of the same stage attempt. It allocates only to grow dst.
func AppendDescriptionWith(dst, shared []byte, d *Description) []byte {
	start := len(dst)
	var flags byte
	if d.Speculative {
		flags |= flagSpeculative
	}
	dst = append(dst, tagDescription, byte(d.Locality), flags)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.Task))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Index))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Number))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Partition))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.LaunchTime))
	dst = appendString(dst, string(d.Executor))
	dst = append(dst, shared...)
	return appendSum(dst, start)
}

// DecodeDescription decodes b into d, whose former content is lost. d keeps
// nothing of b. Errors wrap ErrCorrupt and leave d undefined.
func DecodeDescription(b []byte, d *Description) error {
	r, err := decodeAttempt(b, d)
	if err != nil {
		return err
	}
	r.shared(d)
	if !r.done() {
		return corrupt("task description", len(b), "malformed")
	}
	return nil
}

// DescriptionDecoder decodes the descriptions that one worker receives. It
// remembers the shared parts it saw last, so that descriptions of the same
// stage attempt share one Properties map and one Files list, which must be
// treated as read-only, and cost no allocation. The zero value is ready; it
// is for one goroutine at a time.
type DescriptionDecoder struct {
	seen [sharedSeen]sharedPart
	next int
}

// sharedSeen covers a few jobs interleaved by the FAIR scheduler; looking
// through four takes a few nanoseconds.
const sharedSeen = 4

type sharedPart struct {
	raw []byte
	d   Description // only the shared fields are set
}

// Decode is DecodeDescription with a memory.
func (c *DescriptionDecoder) Decode(b []byte, d *Description) error {
	r, err := decodeAttempt(b, d)
	if err != nil {
		return err
	}
	for i := range c.seen {
		s := &c.seen[i]
		if len(s.raw) != 0 && bytes.Equal(s.raw, r.b) {
			s.d.copyShared(d)
			return nil
		}
	}
	raw := r.b
	r.shared(d)
	if !r.done() {
		return corrupt("task description", len(b), "malformed")
	}
	s := &c.seen[c.next]
	c.next = (c.next + 1) % sharedSeen
	s.raw = append(s.raw[:0], raw...)
	d.copyShared(&s.d)
	return nil
}

func (d *Description) copyShared(to *Description) {
	to.StageAttempt = d.StageAttempt
	to.Job = d.Job
	to.Kind = d.Kind
	to.Barrier = d.Barrier
	to.NumPartitions = d.NumPartitions
	to.CPUs = d.CPUs
	to.Epoch = d.Epoch
	to.Binary = d.Binary
	to.Files = d.Files
	to.Properties = d.Properties
}

// decodeAttempt decodes the attempt's own part; the reader it returns stands
// at the shared part.
func decodeAttempt(b []byte, d *Description) (wireReader, error) {
	body, err := open("task description", tagDescription, b)
	if err != nil {
		return wireReader{}, err
	}
	r := wireReader{b: body}
	d.Locality = Locality(r.u8())
	d.Speculative = r.u8()&flagSpeculative != 0
	d.Task = id.Task(r.i64())
	d.Index = r.i32()
	d.Number = r.i32()
	d.Partition = r.i32()
	d.LaunchTime = r.i64()
	d.Executor = id.Executor(r.keep(string(d.Executor)))
	if r.bad || d.Locality > AnyLocality {
		return r, corrupt("task description", len(b), "malformed")
	}
	return r, nil
}

func (r *wireReader) shared(d *Description) {
	d.Kind = Kind(r.u8())
	d.Barrier = r.u8()&flagBarrier != 0
	d.Job = id.Job(r.varint())
	d.Stage = id.Stage(r.varint())
	d.Attempt = int32(r.varint())
	d.NumPartitions = int32(r.varint())
	d.CPUs = int32(r.varint())
	d.Epoch = r.varint()
	d.Binary = id.Broadcast(r.varint())
	d.Files, d.Properties = nil, nil
	if n := r.count(3); n > 0 {
		d.Files = make([]File, n)
		for i := range d.Files {
			d.Files[i] = File{Name: r.string(), Source: r.string(), Timestamp: r.varint()}
		}
	}
	if n := r.count(2); n > 0 {
		d.Properties = make(map[string]string, n)
		for range n {
			k := r.string()
			d.Properties[k] = r.string()
		}
	}
	if d.Kind > ResultTask {
		r.fail()
	}
}
