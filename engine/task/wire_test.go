package task_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"reflect"
	"testing"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

func sampleDescription() task.Description {
	return task.Description{
		TaskAttempt: id.TaskAttempt{
			StageAttempt: id.StageAttempt{Stage: 7, Attempt: 2},
			Index:        5, Number: 3, Task: 1 << 40,
		},
		Job: 11, Partition: 9, NumPartitions: 64, Kind: task.ResultTask, Locality: task.AnyLocality,
		Barrier: true, Speculative: true, CPUs: 1, Executor: id.Driver, Epoch: 17, Binary: 23,
		LaunchTime: 123456789012,
		Files:      []task.File{{Name: "a.txt", Source: "/data/a.txt", Timestamp: 99}, {Name: "b"}},
		Properties: map[string]string{"spark.job.description": "sort", "k": "v", "empty": ""},
	}
}

func sampleStatus() task.Status {
	return task.Status{
		Task: 1 << 40, Executor: id.Driver, State: task.Finished, Worker: 3,
		Stamps: task.Stamps{Start: 1, RunStart: 2, RunEnd: 3, EncodeEnd: 4, End: 5},
		Route:  task.RouteIndirect, Size: 1 << 33, Block: "taskresult_4", Result: []byte("result"),
	}
}

func sampleMetrics() (m task.Metrics) {
	for i := range m {
		if i%3 != 0 {
			m[i] = int64(i) << i
		}
	}
	m[task.MetricCount-1] = -1
	return m
}

func sampleAccums() []task.AccumUpdate {
	return []task.AccumUpdate{
		{ID: 1, Name: "rows", Value: []byte{1, 2}, CountFailed: true},
		{ID: 1 << 50, Value: []byte{}},
	}
}

func sampleResult() task.Result {
	return task.Result{Value: []byte("value"), Accums: sampleAccums(), Metrics: sampleMetrics()}
}

func sampleFailure() task.Failure {
	return task.Failure{
		Kind: task.FetchFailed, Class: "panic", Message: "no", Stack: "goroutine 1", NoRetry: true,
		Fetch:       task.FetchFailure{Executor: "1", Shuffle: 2, Map: -1, MapIndex: -1, Reduce: 4},
		CausedByApp: true, Accums: sampleAccums(), Metrics: sampleMetrics(),
	}
}

// roundTrip encodes x behind a prefix, decodes what was appended and expects
// the same; then expects every truncation and every flipped bit to be found.
func roundTrip[X any](t *testing.T, x X, encode func([]byte, *X) []byte, decode func([]byte, *X) error) {
	t.Helper()
	b := encode([]byte("prefix"), &x)
	if string(b[:6]) != "prefix" {
		t.Fatalf("encoding overwrote what was in dst: %q", b[:6])
	}
	b = b[6:]
	var got X
	if err := decode(b, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, x) {
		t.Fatalf("got  %+v\nwant %+v", got, x)
	}
	for n := range b {
		if err := decode(b[:n], new(X)); !errors.Is(err, task.ErrCorrupt) {
			t.Fatalf("first %d of %d bytes: error %v, want ErrCorrupt", n, len(b), err)
		}
	}
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if err := decode(b, new(X)); !errors.Is(err, task.ErrCorrupt) {
			t.Fatalf("bit %d flipped: error %v, want ErrCorrupt", i, err)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Run("description", func(t *testing.T) {
		roundTrip(t, sampleDescription(), task.AppendDescription, task.DecodeDescription)
		roundTrip(t, task.Description{}, task.AppendDescription, task.DecodeDescription)
	})
	t.Run("status", func(t *testing.T) {
		s, r, f := sampleStatus(), sampleResult(), sampleFailure()
		roundTrip(t, task.Status{Executor: "7", State: task.Running}, task.AppendStatus, task.DecodeStatus)
		s.Result = nil
		roundTrip(t, s, task.AppendStatus, task.DecodeStatus)
		// What a message carries has a checksum of its own.
		s.Result = task.AppendResult(nil, &r)
		roundTrip(t, s, task.AppendStatus, func(b []byte, s *task.Status) error {
			return cmp.Or(task.DecodeStatus(b, s), task.DecodeResult(s.Result, new(task.Result)))
		})
		s.Result = task.AppendFailure(nil, &f)
		roundTrip(t, s, task.AppendStatus, func(b []byte, s *task.Status) error {
			return cmp.Or(task.DecodeStatus(b, s), task.DecodeFailure(s.Result, new(task.Failure)))
		})
	})
	t.Run("result", func(t *testing.T) {
		roundTrip(t, sampleResult(), task.AppendResult, task.DecodeResult)
		roundTrip(t, task.Result{Value: []byte{}}, task.AppendResult, task.DecodeResult)
	})
	t.Run("failure", func(t *testing.T) {
		roundTrip(t, sampleFailure(), task.AppendFailure, task.DecodeFailure)
		roundTrip(t, task.Failure{}, task.AppendFailure, task.DecodeFailure)
	})
}

func TestDecodingReplacesFormerContent(t *testing.T) {
	d := sampleDescription()
	if err := task.DecodeDescription(task.AppendDescription(nil, &task.Description{}), &d); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(d, task.Description{}) {
		t.Fatalf("left over: %+v", d)
	}
	f := sampleFailure()
	if err := task.DecodeFailure(task.AppendFailure(nil, &task.Failure{}), &f); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f, task.Failure{}) {
		t.Fatalf("left over: %+v", f)
	}
}

func TestPatchEndIsCoveredByTheChecksum(t *testing.T) {
	s := sampleStatus()
	msg := task.AppendStatus(nil, &s)
	task.PatchEnd(msg, 1<<60)
	var got task.Status
	if err := task.DecodeStatus(msg, &got); err != nil {
		t.Fatal(err)
	}
	s.Stamps.End = 1 << 60
	if !reflect.DeepEqual(got, s) {
		t.Fatalf("got %+v want %+v", got, s)
	}
}

func TestStatusBuiltInPlaceEqualsAppended(t *testing.T) {
	r, s := sampleResult(), sampleStatus()
	s.Result = task.AppendResult(nil, &r)
	want := task.AppendStatus(nil, &s)

	got := task.BeginStatus([]byte("prefix"), &task.Status{Executor: s.Executor, Block: s.Block})
	mark := len(got)
	got = append(task.BeginResult(got), r.Value...)
	got = task.EndResult(got, mark, &r.Metrics, r.Accums)
	got = task.EndStatus(got, len("prefix"), &s)
	if string(got[len("prefix"):]) != string(want) {
		t.Fatalf("in place:\n%x\nappended:\n%x", got[len("prefix"):], want)
	}
}

// Ending a message does not read the result in it: whatever its bytes are, the
// head and the tail are the same.
func TestEndOfAStatusDoesNotReadItsResult(t *testing.T) {
	s := sampleStatus()
	ended := func(fill byte) (head, tail []byte) {
		b := task.BeginStatus(nil, &s)
		n := len(b)
		b = append(b, bytes.Repeat([]byte{fill}, 1000)...)
		b = task.EndStatus(b, 0, &s)
		return b[:n], b[n+1000:]
	}
	head, tail := ended(1)
	head2, tail2 := ended(2)
	if !bytes.Equal(head, head2) || !bytes.Equal(tail, tail2) || len(tail) == 0 {
		t.Errorf("head %x and %x, tail %x and %x", head, head2, tail, tail2)
	}
}

func TestDecoderSharesWhatAStageAttemptHasInCommon(t *testing.T) {
	var dec task.DescriptionDecoder
	first, second := sampleDescription(), sampleDescription()
	second.Index, second.Task, second.Speculative = 6, 77, false
	shared := task.AppendShared(nil, &first)
	var a, b task.Description
	for _, c := range []struct {
		in  *task.Description
		out *task.Description
	}{{&first, &a}, {&second, &b}} {
		if err := dec.Decode(task.AppendDescriptionWith(nil, shared, c.in), c.out); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(c.in, c.out) {
			t.Fatalf("got %+v want %+v", c.out, c.in)
		}
	}
	a.Properties["probe"] = "seen"
	if b.Properties["probe"] != "seen" {
		t.Fatal("the second description of a stage attempt got a map of its own")
	}
	delete(a.Properties, "probe")

	// More stage attempts than the decoder remembers, twice around.
	for range 2 {
		for stage := range 9 {
			d := sampleDescription()
			d.Stage = id.Stage(stage)
			d.Properties = maps.Clone(d.Properties)
			d.Properties["stage"] = d.StageAttempt.String()
			var got task.Description
			if err := dec.Decode(task.AppendDescription(nil, &d), &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(d, got) {
				t.Fatalf("stage %d: got %+v want %+v", stage, got, d)
			}
		}
	}
}

func TestHotDecodersDoNotAllocate(t *testing.T) {
	d, s := sampleDescription(), sampleStatus()
	s.Block = ""
	desc, status := task.AppendDescription(nil, &d), task.AppendStatus(nil, &s)
	var dec task.DescriptionDecoder
	var gotD task.Description
	var gotS task.Status
	n := testing.AllocsPerRun(100, func() {
		if dec.Decode(desc, &gotD) != nil || task.DecodeStatus(status, &gotS) != nil {
			t.Fatal("cannot decode")
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// statusHead is the part of a status message that has a fixed place; the
// length of its whole head is at the end of it.
const statusHead = 60

// reseal makes the checksums of hostile bytes right, so that what lies behind
// them is reached too.
func reseal(b []byte, status bool) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	b = append([]byte(nil), b...)
	if len(b) < 16 {
		return b
	}
	if status {
		body, tail := b[:len(b)-16], b[len(b)-16:]
		if len(body) >= statusHead {
			n := min(int(binary.LittleEndian.Uint32(body[statusHead-4:])), len(body))
			binary.LittleEndian.PutUint32(tail, crc32.Checksum(body[:n], table))
		}
		binary.LittleEndian.PutUint32(tail[12:], crc32.Checksum(tail[:12], table))
		return b
	}
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], table))
	return b
}

func fuzzDecoder[X any](f *testing.F, status bool, x X, encode func([]byte, *X) []byte, decode func([]byte, *X) error) {
	f.Add(encode(nil, &x))
	f.Add(encode(nil, new(X)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, reseal(b, status)} {
			var got, again X
			if err := decode(b, &got); err != nil {
				if !errors.Is(err, task.ErrCorrupt) {
					t.Fatalf("error without ErrCorrupt: %v", err)
				}
				continue
			}
			if err := decode(encode(nil, &got), &again); err != nil {
				t.Fatalf("cannot decode what was decoded and encoded: %v", err)
			}
			if !reflect.DeepEqual(got, again) {
				t.Fatalf("first %+v\nsecond %+v", got, again)
			}
		}
	})
}

func FuzzDecodeDescription(f *testing.F) {
	fuzzDecoder(f, false, sampleDescription(), task.AppendDescription, task.DecodeDescription)
}

func FuzzDecodeStatus(f *testing.F) {
	fuzzDecoder(f, true, sampleStatus(), task.AppendStatus, task.DecodeStatus)
}

func FuzzDecodeResult(f *testing.F) {
	fuzzDecoder(f, false, sampleResult(), task.AppendResult, task.DecodeResult)
}

func FuzzDecodeFailure(f *testing.F) {
	fuzzDecoder(f, false, sampleFailure(), task.AppendFailure, task.DecodeFailure)
}

func BenchmarkWire(b *testing.B) {
	d, s, r := sampleDescription(), sampleStatus(), task.Result{Value: make([]byte, 8)}
	s.Block = ""
	shared := task.AppendShared(nil, &d)
	buf := make([]byte, 0, 4096)
	b.Run("append=description", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = task.AppendDescriptionWith(buf[:0], shared, &d)
		}
	})
	b.Run("decode=description", func(b *testing.B) {
		b.ReportAllocs()
		msg := task.AppendDescription(nil, &d)
		var dec task.DescriptionDecoder
		var got task.Description
		for b.Loop() {
			if dec.Decode(msg, &got) != nil {
				b.Fatal("cannot decode")
			}
		}
	})
	b.Run("append=status", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = task.AppendStatus(buf[:0], &s)
			task.PatchEnd(buf, 5)
		}
	})
	b.Run("decode=status", func(b *testing.B) {
		b.ReportAllocs()
		msg := task.AppendStatus(nil, &s)
		var got task.Status
		for b.Loop() {
			if task.DecodeStatus(msg, &got) != nil {
				b.Fatal("cannot decode")
			}
		}
	})
	for _, size := range []int{8, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("end=status/result=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			begun := append(task.BeginStatus(nil, &s), make([]byte, size, size+100)...)
			for b.Loop() {
				task.EndStatus(begun, 0, &s)
			}
		})
	}
	b.Run("append=result", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = task.AppendResult(buf[:0], &r)
		}
	})
}
