package task

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/execbench/execbench/engine/id"
)

// A status in bytes:
//
//	head = tag │ state │ route │ 0 │ worker │ task │ Start RunStart RunEnd EncodeEnd │ size │
//	       length of head │ executor │ block
//	head │ result … │ head's crc32c │ End │ crc32c of the two before
//
// A result and a failure have a checksum of their own, so the message's is
// over its head alone: no byte of a result is summed up twice. The stamp End
// stands behind it all, so that setting it is the very last act before sending
// and costs a checksum over twelve bytes. Everything up to the length has a
// fixed place, so that a result can be encoded directly into its message
// (BeginStatus … EndStatus).

const (
	statusHeadLen = 1 + 1 + 1 + 1 + 4 + 8 + 4*8 + 8 // where the length of the head is
	statusFixed   = statusHeadLen + 4
	statusTail    = sumBytes + 8 + sumBytes
)

// AppendStatus appends s with a copy of s.Result.
func AppendStatus(dst []byte, s *Status) []byte {
	start := len(dst)
	dst = append(BeginStatus(dst, s), s.Result...)
	return EndStatus(dst, start, s)
}

// BeginStatus appends the head of a message, of which only Executor and Block
// are final. The caller appends the encoded Result or Failure, then calls
// EndStatus with the length that dst had before BeginStatus.
func BeginStatus(dst []byte, s *Status) []byte {
	start := len(dst)
	var fixed [statusFixed]byte
	dst = append(dst, fixed[:]...)
	dst = appendString(dst, string(s.Executor))
	dst = appendString(dst, s.Block)
	binary.LittleEndian.PutUint32(dst[start+statusHeadLen:], uint32(len(dst)-start))
	return dst
}

// EndStatus completes the message that began at dst[start], with the fields
// of s other than Executor, Block and Result. What it costs does not depend
// on the length of the result.
func EndStatus(dst []byte, start int, s *Status) []byte {
	f := dst[start : start+statusFixed]
	f[0], f[1], f[2], f[3] = tagStatus, byte(s.State), byte(s.Route), 0
	binary.LittleEndian.PutUint32(f[4:], uint32(s.Worker))
	binary.LittleEndian.PutUint64(f[8:], uint64(s.Task))
	binary.LittleEndian.PutUint64(f[16:], uint64(s.Stamps.Start))
	binary.LittleEndian.PutUint64(f[24:], uint64(s.Stamps.RunStart))
	binary.LittleEndian.PutUint64(f[32:], uint64(s.Stamps.RunEnd))
	binary.LittleEndian.PutUint64(f[40:], uint64(s.Stamps.EncodeEnd))
	binary.LittleEndian.PutUint64(f[48:], uint64(s.Size))
	head := dst[start : start+int(binary.LittleEndian.Uint32(f[statusHeadLen:]))]
	tail := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(head, castagnoli))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Stamps.End))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[tail:], castagnoli))
}

// PatchEnd sets the stamp End of an encoded status.
func PatchEnd(msg []byte, end int64) {
	tail := msg[len(msg)-statusTail:]
	binary.LittleEndian.PutUint64(tail[sumBytes:], uint64(end))
	binary.LittleEndian.PutUint32(tail[sumBytes+8:], crc32.Checksum(tail[:sumBytes+8], castagnoli))
}

// DecodeStatus decodes b into s, whose former content is lost; s.Result is a
// view into b, which DecodeResult or DecodeFailure checks. With an s that is
// used again it does not allocate, but for a Block. Errors wrap ErrCorrupt and
// leave s undefined.
func DecodeStatus(b []byte, s *Status) error {
	if len(b) < statusFixed+statusTail {
		return corrupt("status", len(b), "too short")
	}
	if b[0] != tagStatus {
		return corrupt("status", len(b), "starts like another kind of message")
	}
	body, tail := b[:len(b)-statusTail], b[len(b)-statusTail:]
	n := binary.LittleEndian.Uint32(body[statusHeadLen:])
	if n < statusFixed || uint64(n) > uint64(len(body)) ||
		crc32.Checksum(body[:n], castagnoli) != binary.LittleEndian.Uint32(tail) ||
		crc32.Checksum(tail[:sumBytes+8], castagnoli) != binary.LittleEndian.Uint32(tail[sumBytes+8:]) {
		return corrupt("status", len(b), "checksum differs")
	}
	s.State, s.Route = State(body[1]), Route(body[2])
	s.Worker = int32(binary.LittleEndian.Uint32(body[4:]))
	s.Task = id.Task(binary.LittleEndian.Uint64(body[8:]))
	s.Stamps = Stamps{
		Start:     int64(binary.LittleEndian.Uint64(body[16:])),
		RunStart:  int64(binary.LittleEndian.Uint64(body[24:])),
		RunEnd:    int64(binary.LittleEndian.Uint64(body[32:])),
		EncodeEnd: int64(binary.LittleEndian.Uint64(body[40:])),
		End:       int64(binary.LittleEndian.Uint64(tail[sumBytes:])),
	}
	s.Size = int64(binary.LittleEndian.Uint64(body[48:]))
	r := wireReader{b: body[statusFixed:n]}
	s.Executor = id.Executor(r.keep(string(s.Executor)))
	s.Block = r.keep(s.Block)
	s.Result = body[n:]
	if len(s.Result) == 0 {
		s.Result = nil
	}
	if !r.done() || s.State > Lost || s.Route > RouteDropped {
		return corrupt("status", len(b), "malformed")
	}
	return nil
}
