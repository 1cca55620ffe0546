package task

import (
	"encoding/binary"

	"github.com/execbench/execbench/engine/id"
)

// A result in bytes:
//
//	tag │ length of value (8 bytes) │ value │ metrics │ accumulators │ crc32c
//
// Metrics follow the value because they tell what encoding it cost, and the
// accumulators follow the metrics, as in Spark.

const resultHead = 1 + 8

// AppendResult appends x.
func AppendResult(dst []byte, x *Result) []byte {
	start := len(dst)
	dst = append(BeginResult(dst), x.Value...)
	return EndResult(dst, start, &x.Metrics, x.Accums)
}

// BeginResult appends the head of a result. The caller appends the value,
// then calls EndResult with the length that dst had before BeginResult.
func BeginResult(dst []byte) []byte {
	return append(dst, tagResult, 0, 0, 0, 0, 0, 0, 0, 0)
}

// EndResult completes the result that began at dst[start]: everything after
// its head is the value.
func EndResult(dst []byte, start int, m *Metrics, accums []AccumUpdate) []byte {
	binary.LittleEndian.PutUint64(dst[start+1:], uint64(len(dst)-start-resultHead))
	dst = AppendMetrics(dst, m)
	dst = appendAccums(dst, accums)
	return appendSum(dst, start)
}

// DecodeResult decodes b into x, whose former content is lost; Value and the
// accumulators' Values are views into b. Errors wrap ErrCorrupt and leave x
// undefined.
func DecodeResult(b []byte, x *Result) error {
	body, err := open("result", tagResult, b)
	if err != nil {
		return err
	}
	r := wireReader{b: body}
	n := uint64(r.i64())
	if n > uint64(len(r.b)) {
		return corrupt("result", len(b), "malformed")
	}
	x.Value, r.b = r.b[:n:n], r.b[n:]
	r.metrics(&x.Metrics)
	x.Accums = r.accums()
	if !r.done() {
		return corrupt("result", len(b), "malformed")
	}
	return nil
}

const (
	flagNoRetry     = 1 << 0
	flagCausedByApp = 1 << 1
	flagFetch       = 1 << 2
)

// AppendFailure appends x:
//
//	tag │ kind │ flags │ class │ message │ stack │ [fetch] │ metrics │ accumulators │ crc32c
func AppendFailure(dst []byte, x *Failure) []byte {
	start := len(dst)
	var flags byte
	if x.NoRetry {
		flags |= flagNoRetry
	}
	if x.CausedByApp {
		flags |= flagCausedByApp
	}
	if x.Fetch != (FetchFailure{}) {
		flags |= flagFetch
	}
	dst = append(dst, tagFailure, byte(x.Kind), flags)
	dst = appendString(dst, x.Class)
	dst = appendString(dst, x.Message)
	dst = appendString(dst, x.Stack)
	if flags&flagFetch != 0 {
		dst = appendString(dst, string(x.Fetch.Executor))
		dst = binary.AppendVarint(dst, int64(x.Fetch.Shuffle))
		dst = binary.AppendVarint(dst, int64(x.Fetch.Map))
		dst = binary.AppendVarint(dst, int64(x.Fetch.MapIndex))
		dst = binary.AppendVarint(dst, int64(x.Fetch.Reduce))
	}
	dst = AppendMetrics(dst, &x.Metrics)
	dst = appendAccums(dst, x.Accums)
	return appendSum(dst, start)
}

// DecodeFailure decodes b into x, whose former content is lost; the
// accumulators' Values are views into b. Errors wrap ErrCorrupt and leave x
// undefined.
func DecodeFailure(b []byte, x *Failure) error {
	body, err := open("failure", tagFailure, b)
	if err != nil {
		return err
	}
	r := wireReader{b: body}
	*x = Failure{Kind: ReasonKind(r.u8())}
	flags := r.u8()
	x.NoRetry = flags&flagNoRetry != 0
	x.CausedByApp = flags&flagCausedByApp != 0
	x.Class = r.string()
	x.Message = r.string()
	x.Stack = r.string()
	if flags&flagFetch != 0 {
		x.Fetch = FetchFailure{
			Executor: id.Executor(r.string()),
			Shuffle:  id.Shuffle(r.varint()),
			Map:      id.Task(r.varint()),
			MapIndex: int32(r.varint()),
			Reduce:   int32(r.varint()),
		}
	}
	r.metrics(&x.Metrics)
	x.Accums = r.accums()
	if !r.done() || x.Kind > UnknownReason {
		return corrupt("failure", len(b), "malformed")
	}
	return nil
}
