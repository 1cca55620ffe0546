package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryFile is a file in memory.
type memoryFile struct {
	bytes.Buffer
	closed int
}

func (m *memoryFile) Close() error { m.closed++; return nil }

// encoded returns the events as a file's bytes.
func encoded(t testing.TB, events []Event) []byte {
	t.Helper()
	var out memoryFile
	f, err := NewFile(&out, "memory")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		f.Emit(e)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// decoded reads copies of the events of a file, and the error that ended it.
func decoded(data []byte) (events []Event, err error) {
	for e, err := range Read(bytes.NewReader(data)) {
		if err != nil {
			return events, err
		}
		events = append(events, copied(e))
	}
	return events, nil
}

// copied returns a shallow copy that outlives the iteration.
func copied(e Event) Event {
	v := reflect.New(reflect.TypeOf(e).Elem())
	v.Elem().Set(reflect.ValueOf(e).Elem())
	return v.Interface().(Event)
}

func sameEvents(t *testing.T, got, want []Event) {
	t.Helper()
	for i := range want {
		if i >= len(got) {
			t.Fatalf("read %d events, want %d", len(got), len(want))
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("event %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
	if len(got) > len(want) {
		t.Fatalf("read %d events, want %d", len(got), len(want))
	}
}

// NOT APPLICABLE: EVT-009, because nothing is retained while a session runs:
// reports are made from the event file, which keeps every job and attempt.

// Events read equal those written, for every field of every type.
func TestEVT_003_RoundTrip(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		events := everyType()
		for range 300 {
			events = append(events, randomEvent(r))
		}
		got, err := decoded(encoded(t, events))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		sameEvents(t, got, events)
	}
	got, err := decoded(encoded(t, session()))
	if err != nil {
		t.Fatal(err)
	}
	sameEvents(t, got, session())
}

func TestEmptyTaskIsSmall(t *testing.T) {
	const tasks = 20_000
	var events []Event
	for i := range int64(tasks) {
		start, end := new(TaskStart), new(TaskEnd)
		emptyTask(i, start, end)
		events = append(events, start, end)
	}
	data := encoded(t, events)
	each := float64(len(data)) / tasks
	t.Logf("an empty task's start and end take %.1f bytes", each)
	if each > 120 {
		t.Errorf("an empty task takes %.1f bytes, want at most 120", each)
	}
	got, err := decoded(data)
	if err != nil {
		t.Fatal(err)
	}
	sameEvents(t, got, events)
}

// A file cut anywhere yields a whole prefix and says where it ends.
func TestCutAnywhere(t *testing.T) {
	events := session()
	data := encoded(t, events)
	whole := map[int64]bool{0: true, fileHeader: true, int64(len(data)): true}
	for at := int64(fileHeader); at < int64(len(data)); {
		at += blockHeader + int64(binary.LittleEndian.Uint32(data[at+4:]))
		whole[at] = true
	}
	if len(whole) < 6 {
		t.Fatalf("the session should fill several blocks, the file has the ends %v", whole)
	}
	for cut := range len(data) {
		got, err := decoded(data[:cut])
		sameEvents(t, got, events[:len(got)])
		if cut > 0 && whole[int64(cut)] {
			if err != nil {
				t.Fatalf("cut at %d, between blocks: %v", cut, err)
			}
			continue
		}
		var cutErr *Truncated
		if !errors.As(err, &cutErr) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: error %v, want *Truncated from an unexpected end", cut, err)
		}
		if cutErr.Events != int64(len(got)) || !whole[cutErr.Offset] || cutErr.Offset > int64(cut) {
			t.Fatalf("cut at %d: %+v with %d events read", cut, cutErr, len(got))
		}
	}
}

// A flipped bit anywhere never yields an event that was not written.
func TestFlippedBits(t *testing.T) {
	events := session()
	data := encoded(t, events)
	for at := range data {
		if at >= 10 && at < fileHeader {
			continue // reserved bytes of the header
		}
		bad := bytes.Clone(data)
		bad[at] ^= 1 << (at % 8)
		got, err := decoded(bad)
		if err == nil {
			t.Fatalf("byte %d flipped: no error", at)
		}
		sameEvents(t, got, events[:len(got)])
		var cut *Truncated
		if at >= fileHeader && (!errors.As(err, &cut) || cut.Events != int64(len(got))) {
			t.Fatalf("byte %d flipped: %v after %d events", at, err, len(got))
		}
	}
}

func TestNotAnEventFile(t *testing.T) {
	for _, text := range []string{"{\"Event\":\"SparkListenerLogStart\"}\n", "short", fileMagic + "\x09\x00\x00\x00\x00\x00\x00\x00"} {
		if _, err := decoded([]byte(text)); !errors.Is(err, ErrNotEvents) {
			t.Errorf("%q: %v, want ErrNotEvents", text, err)
		}
	}
}

// raw builds a file of one block from events already encoded.
func raw(events ...[]byte) []byte {
	data := append([]byte(fileMagic), formatVersion, 0, 0, 0, 0, 0, 0, 0)
	block := append([]byte(blockMagic), make([]byte, blockHeader-4)...)
	for _, e := range events {
		block = binary.AppendUvarint(block, uint64(len(e)))
		block = append(block, e...)
	}
	binary.LittleEndian.PutUint32(block[4:], uint32(len(block)-blockHeader))
	binary.LittleEndian.PutUint32(block[8:], uint32(len(events)))
	binary.LittleEndian.PutUint64(block[16:], checksum(block, block[blockHeader:]))
	return append(data, block...)
}

// Kinds of event and fields from later versions are skipped; fields
// that an older version did not write read as zero.
func TestEVT_003_OtherVersionsOfEvents(t *testing.T) {
	got, err := decoded(raw(
		[]byte{200, 1, 2, 3},                     // a kind from the future
		[]byte{kindJobEnd, 20, 6, 0, 77, 78, 79}, // with fields from the future
		[]byte{kindJobEnd, 4},                    // without job and error
		[]byte{kindApplicationEnd, 10, 'e', 't'}))
	if err != nil {
		t.Fatal(err)
	}
	sameEvents(t, got, []Event{&JobEnd{At: 10, Job: 3}, &JobEnd{At: 12}, &ApplicationEnd{At: 17}})
}

// Well-formed blocks with nonsense in them are refused without large
// allocations: counts and lengths are believed only as far as bytes follow.
func TestHostileBlocks(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<62)
	for name, body := range map[string][]byte{
		"string length":   append([]byte{kindJobEnd, 0, 0}, binary.AppendUvarint(nil, 1<<40|stringLiteral)...),
		"string ref":      {kindJobEnd, 0, 0, 5<<2 | stringRef},
		"list count":      append([]byte{kindJobStart, 0, 0, 0}, huge...),
		"map count":       append([]byte{kindJobStart, 0, 0, 0, 0}, huge...),
		"cut list":        {kindMemorySample, 0, 0, 0, 2, 0},
		"int32 overflow":  append([]byte{kindJobEnd, 0}, huge...),
		"endless varint":  {kindJobEnd, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80},
		"no kind":         {},
		"bad empty":       {kindJobEnd, 0, 0, 4},
		"define too long": append([]byte{kindExecutorAdded, 0}, append(binary.AppendUvarint(nil, (tableStringMax+1)<<2|stringDefine), make([]byte, tableStringMax+1)...)...),
	} {
		got, err := decoded(raw(body))
		if !errors.Is(err, ErrCorrupt) || len(got) != 0 {
			t.Errorf("%s: %v with %d events, want ErrCorrupt", name, err, len(got))
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(encoded(f, session()), false)
	f.Add([]byte{kindTaskEnd, 255, 1, 2, 3, 4, 5, 6}, true)
	f.Add([]byte{kindStageSubmitted, 0, 2, 3, 1, 1, 6, 'n', 'm', 0, 2, 0, 1, 2, 3}, true)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed { // get behind the checksum
			data = raw(data)
		}
		events, err := decoded(data)
		if err != nil {
			return
		}
		again, err := decoded(encoded(t, events))
		if err != nil {
			t.Fatalf("events that were read cannot be read again: %v", err)
		}
		if len(again) != len(events) {
			t.Fatalf("%d events became %d", len(events), len(again))
		}
	})
}

// slowFile lets nothing through until it is opened.
type slowFile struct {
	memoryFile
	gate chan struct{}
}

func (s *slowFile) Write(p []byte) (int, error) {
	<-s.gate
	return s.memoryFile.Write(p)
}

// Emit waits for a slow disk with bounded buffers, and loses nothing.
func TestEmitWaitsAndNeverDrops(t *testing.T) {
	out := &slowFile{gate: make(chan struct{}, 1)}
	out.gate <- struct{}{} // the header
	f, err := NewFile(out, "slow")
	if err != nil {
		t.Fatal(err)
	}
	const each, emitters = 6000, 3
	var wg sync.WaitGroup
	for w := range emitters {
		wg.Go(func() {
			var start TaskStart
			var end TaskEnd
			for i := range int64(each) {
				emptyTask(i*emitters+int64(w), &start, &end)
				f.Emit(&start)
				f.Emit(&end)
			}
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	f.Lock()
	for f.cur != nil || len(f.free) > 0 || f.made < pumpBuffers { // until every buffer is full
		f.Unlock()
		select {
		case <-finished:
			t.Fatal("emitters finished though the disk wrote nothing")
		default:
		}
		f.Lock()
	}
	f.Unlock()
	if n := f.BufferBytes(); n > pumpBuffers*(blockBytes+blockSlack)+64<<10 {
		t.Errorf("%d bytes buffered", n)
	}
	close(out.gate)
	<-finished
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	seen := make(map[id.Task]int)
	for e, err := range Read(bytes.NewReader(out.Bytes())) {
		if err != nil {
			t.Fatal(err)
		}
		switch e := e.(type) {
		case *TaskStart:
			seen[e.Info.Task]++
		case *TaskEnd:
			seen[e.Info.Task]++
		}
	}
	if len(seen) != each*emitters {
		t.Fatalf("%d tasks in the file, want %d", len(seen), each*emitters)
	}
	for i, n := range seen {
		if n != 2 {
			t.Fatalf("task %d has %d events, want 2", i, n)
		}
	}
}

func TestLargeEvent(t *testing.T) {
	big := &JobStart{At: 5, Name: "deep"}
	for i := range 30_000 {
		big.Stages = append(big.Stages, StageInfo{StageAttempt: id.StageAttempt{Stage: id.Stage(i)}, Name: fmt.Sprint("stage ", i)})
	}
	var out memoryFile
	f, err := NewFile(&out, "large")
	if err != nil {
		t.Fatal(err)
	}
	f.Emit(big)
	f.Emit(&JobEnd{At: 6})
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := f.BufferBytes(); n > 800<<10 {
		t.Errorf("%d bytes kept after a large event", n)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := decoded(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	sameEvents(t, got, []Event{big, &JobEnd{At: 6}})
	if f.BufferBytes() > 600<<10 {
		t.Errorf("%d bytes kept after Close", f.BufferBytes())
	}
}

// What was emitted before an urgent event is in the file without Close.
func TestUrgentEventsReachTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.bin")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, e := range session() {
		f.Emit(e)
	}
	f.Lock()
	err = f.drainLocked() // the last event is urgent: no Flush needed
	f.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decoded(data)
	if err != nil {
		t.Fatal(err)
	}
	sameEvents(t, got, session())
}

// Every operation on the file fails in turn; what is in the file before is
// whole, and the failure is reported by Err and Close.
func TestDiskFailures(t *testing.T) {
	for k := 1; ; k++ {
		broken := errors.New("disk gone")
		faulty := &failingFile{failAt: k, err: broken}
		f, err := NewFile(faulty, "events.bin")
		if err != nil {
			if !errors.Is(err, broken) {
				t.Fatalf("operation %d: %v", k, err)
			}
			continue
		}
		for _, e := range session() {
			f.Emit(e)
		}
		err = f.Close()
		if faulty.done < k {
			if err != nil {
				t.Fatalf("no fault, yet %v", err)
			}
			return // k is beyond the last operation
		}
		if !errors.Is(err, broken) || !errors.Is(f.Err(), broken) || !errors.Is(f.Close(), broken) {
			t.Fatalf("operation %d: Close %v, Err %v", k, err, f.Err())
		}
		got, _ := decoded(faulty.Bytes())
		sameEvents(t, got, session()[:len(got)])
	}
}

// failingFile fails its failAt-th operation, a write half way.
type failingFile struct {
	memoryFile
	failAt, done int
	err          error
}

func (f *failingFile) Write(p []byte) (int, error) {
	f.done++
	if f.done == f.failAt {
		n, _ := f.memoryFile.Write(p[:len(p)/2])
		return n, f.err
	}
	return f.memoryFile.Write(p)
}

func (f *failingFile) Close() error {
	f.done++
	if f.done == f.failAt {
		return f.err
	}
	return nil
}

var _ io.WriteCloser = fsys.File(nil) // so that the engine's fault seam fits NewFile

func TestEmitAfterClose(t *testing.T) {
	var out memoryFile
	f, err := NewFile(&out, "closed")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.Emit(&JobEnd{})
	if !errors.Is(f.Err(), ErrClosed) || out.closed != 1 {
		t.Fatalf("Err %v, closed %d times", f.Err(), out.closed)
	}
}

func TestTee(t *testing.T) {
	var a, b kept
	s := Tee(nil, &a, &b, nil)
	s.Emit(&JobEnd{Job: 1})
	s.Emit(&JobEnd{Job: 2})
	if len(a) != 2 || len(b) != 2 {
		t.Fatalf("%d and %d events", len(a), len(b))
	}
	if Tee(&a) != Sink(&a) {
		t.Error("a single sink should be returned as it is")
	}
	Tee().Emit(&JobEnd{}) // nowhere to go: no panic
}

type kept []Event

func (l *kept) Emit(e Event) { *l = append(*l, e) }

func BenchmarkEmitEmptyTask(b *testing.B) {
	f, err := Create(filepath.Join(b.TempDir(), "events.bin"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var start TaskStart
	var end TaskEnd
	emptyTask(0, &start, &end)
	b.ReportAllocs()
	for b.Loop() {
		start.Info.Index, start.Info.Task, start.Info.Launch = start.Info.Index+1, start.Info.Task+1, start.Info.Launch+1100
		f.Emit(&start)
		end.Info.TaskAttempt = start.Info.TaskAttempt
		end.Info.Launch += 1100
		end.Info.Finish += 1100
		end.Stamps.Start += 1100
		end.Stamps.RunStart += 1100
		end.Stamps.RunEnd += 1100
		end.Stamps.EncodeEnd += 1100
		end.Stamps.End += 1100
		f.Emit(&end)
	}
}

func BenchmarkReadEmptyTask(b *testing.B) {
	var events []Event
	for i := range int64(20_000) {
		start, end := new(TaskStart), new(TaskEnd)
		emptyTask(i, start, end)
		events = append(events, start, end)
	}
	data := encoded(b, events)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, err := range Read(bytes.NewReader(data)) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n/2), "ns/task")
}
