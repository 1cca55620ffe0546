package shuffle

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

func count(n int) []int64 {
	rows := make([]int64, n)
	for i := range rows {
		rows[i] = int64(i)
	}
	return rows
}

func fileOf(t *testing.T, r *rig, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(r.disk.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The files have Spark's names and layout.
func TestFilesAreDataIndexAndChecksums(t *testing.T) {
	r := newRig(t, 8*units.MiB, Config{Storage: Disk})
	s, err := write(r, Target{Shuffle: 2, Map: 9, Reducers: 3}, mustCodec[int64](t), func(dst []int32, rows []int64) {
		for i, v := range rows {
			dst[i] = int32(v % 2 * 2) // nothing for reducer 1
		}
	}, count(100))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"shuffle_2_9_0.checksum.CRC32C", "shuffle_2_9_0.data", "shuffle_2_9_0.index"}
	if got := r.disk.Names(); !slices.Equal(got, want) {
		t.Fatalf("files %v, want %v", got, want)
	}
	data, index, sums := fileOf(t, r, want[1]), fileOf(t, r, want[2]), fileOf(t, r, want[0])
	if len(index) != 8*4 || len(sums) != 8*3 {
		t.Fatalf("index of %d bytes, checksums of %d", len(index), len(sums))
	}
	var offsets []int64
	for i := range 4 {
		offsets = append(offsets, int64(binary.BigEndian.Uint64(index[8*i:])))
	}
	block := int64(spill.FrameHeader + 50*8)
	if !slices.Equal(offsets, []int64{0, block, block, 2 * block}) || offsets[3] != int64(len(data)) {
		t.Errorf("offsets %v of a data file of %d bytes", offsets, len(data))
	}
	for p := range 3 {
		from, to := offsets[p], offsets[p+1]
		if got := int64(binary.BigEndian.Uint64(sums[8*p:])); got != int64(checksum(data[from:to])) {
			t.Errorf("checksum %d is %x", p, got)
		}
		if (s.Size(p) == 0) != (from == to) {
			t.Errorf("status size %d is %d", p, s.Size(p))
		}
	}
}

// SHUF-001 and the order of commits.
func TestFirstCommitWins(t *testing.T) {
	for _, place := range []Storage{Auto, Disk} {
		r := newRig(t, 8*units.MiB, Config{Storage: place})
		c, to := mustCodec[int64](t), Target{Shuffle: 1, Map: 5, Reducers: 2}
		first, err := write(r, to, c, byValue(2), count(1000))
		if err != nil {
			t.Fatal(err)
		}
		second, err := write(r, to, c, byValue(2), count(10))
		if err != nil {
			t.Fatal(err)
		}
		if first.Size(0) != second.Size(0) || first.Size(1) != second.Size(1) {
			t.Errorf("the second attempt did not take over the sizes of the first")
		}
		rows, err := read(r, Source{Shuffle: 1, Statuses: []*task.MapStatus{second}, From: 0, To: 2}, c, same)
		if err != nil || len(rows) != 1000 { // SHUF-005: one attempt's rows, never a mix
			t.Errorf("storage %d: %d rows, %v", place, len(rows), err)
		}
		if place != Disk {
			continue
		}
		// A data file that its index denies makes room for the new one.
		data := r.disk.Path(string(block.ShuffleData(1, 5)))
		if err := os.Remove(data); err != nil {
			t.Fatal(err)
		}
		third, err := write(r, to, c, byValue(2), count(10))
		if err != nil {
			t.Fatal(err)
		}
		rows, err = read(r, Source{Shuffle: 1, Statuses: []*task.MapStatus{third}, From: 0, To: 2}, c, same)
		if err != nil || len(rows) != 10 {
			t.Errorf("after the loss of the data file: %d rows, %v", len(rows), err)
		}
	}
}

// Little data for many reducers ends in little memory.
func TestSmallOutputsAreCompacted(t *testing.T) {
	r := newRig(t, 256*units.MiB, Config{})
	c := mustCodec[int64](t)
	var statuses []*task.MapStatus
	for m := range 64 {
		s, err := write(r, Target{Shuffle: 1, Map: id.Task(m), Reducers: 64}, c, byValue(64), count(640))
		if err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, s)
	}
	if used := r.m.Used(); used > 2<<20 {
		t.Errorf("64 maps × 64 reducers × 10 rows hold %d bytes", used)
	}
	rows, err := read(r, Source{Shuffle: 1, Statuses: statuses, From: 63, To: 64}, c, same)
	if err != nil || len(rows) != 640 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// SHUF-020: reducers without data have no block.
func TestEmptyBlocksAreNotFetched(t *testing.T) {
	r := newRig(t, 64*units.MiB, Config{})
	c := mustCodec[int64](t)
	var statuses []*task.MapStatus
	blocks := 0
	for m := range 201 {
		var rows []int64
		if m < 4 {
			rows = []int64{int64(m)}
		}
		s, err := write(r, Target{Shuffle: 1, Map: id.Task(m), Reducers: 201}, c, byValue(201), rows)
		if err != nil {
			t.Fatal(err)
		}
		for p := range 201 {
			if s.Size(p) > 0 {
				blocks++
			}
		}
		statuses = append(statuses, s)
	}
	total := 0
	for p := range 201 {
		rows, err := read(r, Source{Shuffle: 1, Statuses: statuses, From: p, To: p + 1}, c, same)
		if err != nil {
			t.Fatal(err)
		}
		total += len(rows)
	}
	if fetched := r.metrics[task.ShuffleLocalBlocksFetched]; blocks != 4 || total != 4 || fetched != 4 {
		t.Errorf("%d blocks, %d fetched, %d rows; want 4 each", blocks, fetched, total)
	}
}

// SHUF-017.
func TestRowsLargerThanAnyBuffer(t *testing.T) {
	for _, place := range []Storage{Auto, Disk} {
		for _, comp := range []string{"none", "zstd"} {
			r := newRig(t, 16*units.MiB, Config{Storage: place, Compression: compression(t, comp)})
			var want []string
			for i, n := range []int{5, 64 << 10, 70_000, 700_000, 1, 2 << 20} {
				want = append(want, strings.Repeat(string(rune('a'+i)), n))
			}
			c := mustCodec[string](t)
			s, err := write(r, Target{Shuffle: 1, Map: 1, Reducers: 1}, c, byText(1), want[:3], want[3:])
			if err != nil {
				t.Fatal(err)
			}
			got, err := read(r, Source{Shuffle: 1, Statuses: []*task.MapStatus{s}, From: 0, To: 1}, c, strings.Clone)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("storage %d, %s: %d rows, %v", place, comp, len(got), err)
			}
		}
	}
}

// SHUF-006: what is spilled is counted, and apart from what is written.
func TestSpillsOfAWriterAreCounted(t *testing.T) {
	for _, comp := range []string{"none", "lz4", "zstd"} {
		r := newRig(t, 2*units.MiB, Config{Compression: compression(t, comp)})
		c := mustCodec[int64](t)
		rows := count(400_000)
		for i := range rows {
			rows[i] = rows[i] * 0x1e3779b97f4a7c15 // nothing to compress away
		}
		s, err := write(r, Target{Shuffle: 1, Map: 1, Reducers: 5}, c, byValue(5), rows)
		if err != nil {
			t.Fatal(err)
		}
		m := &r.metrics
		size, _ := r.disk.Size(string(block.ShuffleData(1, 1)))
		if m[task.SpillCount] < 2 || m[task.MemoryBytesSpilled] == 0 || m[task.DiskBytesSpilled] == 0 || m[task.ShuffleBytesWritten] != size {
			t.Errorf("%s: %d spills of %d bytes, %d on disk; %d written, the file has %d", comp,
				m[task.SpillCount], m[task.MemoryBytesSpilled], m[task.DiskBytesSpilled], m[task.ShuffleBytesWritten], size)
		}
		got, err := read(r, Source{Shuffle: 1, Statuses: []*task.MapStatus{s}, From: 0, To: 5}, c, same)
		slices.Sort(got)
		slices.Sort(rows)
		if err != nil || !slices.Equal(got, rows) {
			t.Errorf("%s: %d rows of %d, %v", comp, len(got), len(rows), err)
		}
	}
}

func TestMemoryAloneRefusesWhatDoesNotFit(t *testing.T) {
	r := newRig(t, 2*units.MiB, Config{Storage: Memory})
	_, err := write(r, Target{Shuffle: 1, Map: 1, Reducers: 5}, mustCodec[int64](t), byValue(5), count(400_000))
	if !errors.Is(err, memory.ErrNoMemory) {
		t.Errorf("got %v, want a refusal of memory", err)
	}
	if names := r.disk.Names(); len(names) != 0 || r.disk.Used() != 0 {
		t.Errorf("files %v, %d bytes", names, r.disk.Used())
	}
}

// SHUF-008, SHUF-015, SHUF-016: whichever file operation fails, the attempt
// ends with an error that has its cause, and leaves nothing.
func TestFailedWritesLeaveNothing(t *testing.T) {
	c := mustCodec[int64](t)
	run := func(k int) (*fsys.Faulty, error) {
		fs := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpMutates, K: k, Glob: "temp_shuffle_*", Short: 100})
		r := newRigOn(t, 2*units.MiB, Config{}, fs)
		s, err := write(r, Target{Shuffle: 1, Map: 1, Reducers: 5}, c, byValue(5), count(300_000))
		if err != nil {
			if names := r.disk.Names(); len(names) != 0 {
				t.Errorf("fault %d leaves %v", k, names)
			}
			return fs, err
		}
		rows, err := read(r, Source{Shuffle: 1, Statuses: []*task.MapStatus{s}, From: 0, To: 5}, c, same)
		if err == nil && len(rows) != 300_000 {
			t.Errorf("fault %d: %d rows", k, len(rows))
		}
		return fs, err
	}
	fs, err := run(0)
	if err != nil {
		t.Fatal(err)
	}
	if fs.Counted() < 6 {
		t.Fatalf("only %d operations to fail", fs.Counted())
	}
	for k := 1; k <= fs.Counted(); k++ {
		f, err := run(k)
		if err == nil || f.Fired() == 0 {
			t.Errorf("fault %d was not reported: %v", k, err)
		}
		if open := f.StillOpen(); len(open) != 0 {
			t.Errorf("fault %d leaves files open: %v", k, open)
		}
	}
}

func checksum(b []byte) uint32 {
	w := fileWriter{buf: make([]byte, len(b)+1)}
	_ = w.put(b) // fits the buffer, so that nothing is written
	return w.sum
}
