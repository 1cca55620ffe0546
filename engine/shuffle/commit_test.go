package shuffle

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/codec"
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

// The first commit stays, unless its files are damaged.
func TestSHUF_001_FirstCommitWins(t *testing.T) {
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
		if err != nil || len(rows) != 1000 {
			t.Errorf("storage %d: %d rows, %v", place, len(rows), err)
		}
		if place != Disk {
			continue
		}
		if names := r.disk.Names(); len(names) != 3 {
			t.Errorf("files of two attempts are there: %v", names)
		}
		// A data file that its index denies makes room for the new one.
		data := r.disk.Path(string(block.ShuffleData(1, 5)))
		for i, harm := range []func() error{
			func() error { return os.Remove(data) },
			func() error { return os.Truncate(data, 30) },
			func() error { return os.Truncate(data, 4096) }, // longer than it was
		} {
			if err := harm(); err != nil {
				t.Fatal(err)
			}
			next, err := write(r, to, c, byValue(2), count(10+i))
			if err != nil {
				t.Fatal(err)
			}
			rows, err = read(r, Source{Shuffle: 1, Statuses: []*task.MapStatus{next}, From: 0, To: 2}, c, same)
			if err != nil || len(rows) != 10+i {
				t.Errorf("after damage %d to the data file: %d rows, %v", i, len(rows), err)
			}
		}
	}
}

// Two attempts of one map write different rows at the same time: whichever
// commits first, its rows and no others are read.
func TestSHUF_005_OneAttemptsRowsNeverAMix(t *testing.T) {
	for _, place := range []Storage{Auto, Disk} {
		for _, first := range []int{0, 1} {
			r := newRig(t, 8*units.MiB, Config{Storage: place})
			c := mustCodec[int64](t)
			var statuses [2]*task.MapStatus
			err := r.attempt(1, func(a spill.Env) error {
				return r.attempt(2, func(b spill.Env) error {
					var writers [2]*Writer[int64]
					for i, env := range []spill.Env{a, b} {
						w, err := NewWriter(r.m, env, Target{Shuffle: 1, Map: 5, Reducers: 2}, byValue(2), c)
						if err != nil {
							return err
						}
						defer w.Close()
						writers[i] = w
					}
					for n := range int64(1000) {
						for i, w := range writers {
							if err := w.Add([]int64{n + int64(i)*1_000_000}); err != nil {
								return err
							}
						}
					}
					for _, i := range []int{first, 1 - first} {
						s, err := writers[i].Commit()
						if err != nil {
							return err
						}
						statuses[i] = s
					}
					return nil
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range statuses {
				rows, err := read(r, Source{Shuffle: 1, Statuses: []*task.MapStatus{s}, From: 0, To: 2}, c, same)
				if err != nil || len(rows) != 1000 {
					t.Fatalf("storage %d: %d rows, %v", place, len(rows), err)
				}
				for _, v := range rows {
					if int(v/1_000_000) != first {
						t.Fatalf("storage %d: row %d is not of attempt %d, which committed first", place, v, first)
					}
				}
			}
		}
	}
}

// Rows for 3 of 7 reducers: four blocks are empty, and nothing is spilled or
// left behind.
func TestSHUF_015_ReducersWithoutRows(t *testing.T) {
	r := newRig(t, 8*units.MiB, Config{Storage: Disk})
	s, err := write(r, Target{Shuffle: 1, Map: 1, Reducers: 7}, mustCodec[int64](t), func(dst []int32, rows []int64) {
		for i, v := range rows {
			dst[i] = []int32{1, 2, 5}[v%3]
		}
	}, count(300))
	if err != nil {
		t.Fatal(err)
	}
	for p := range 7 {
		if empty := s.Size(p) == 0; empty != !slices.Contains([]int{1, 2, 5}, p) {
			t.Errorf("block %d is empty: %v", p, empty)
		}
	}
	if names := r.disk.Names(); len(names) != 3 {
		t.Errorf("files %v, want data, index and checksums", names)
	}
	if m := r.metrics; m[task.SpillCount] != 0 || m[task.MemoryBytesSpilled] != 0 || m[task.DiskBytesSpilled] != 0 {
		t.Errorf("metrics %v", m)
	}
}

// Every reducer's block stands in the file in order, the empty ones too, also
// after spills of which none has rows for all.
func TestSORT_005_ReducersInOrderAfterSpills(t *testing.T) {
	r := newRig(t, 8*units.MiB, Config{})
	c := mustCodec[int64](t)
	var status *task.MapStatus
	err := r.attempt(1, func(env spill.Env) error {
		w, err := NewWriter(r.m, env, Target{Shuffle: 1, Map: 1, Reducers: 7}, byValue(7), c)
		if err != nil {
			return err
		}
		defer w.Close()
		for _, p := range []int64{5, 1, 2, 1, 5} {
			if err := w.Add([]int64{p, p + 70}); err != nil {
				return err
			}
			if err := w.spill(); err != nil {
				return err
			}
		}
		status, err = w.Commit()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for p := range 7 {
		rows, err := read(r, Source{Shuffle: 1, Statuses: []*task.MapStatus{status}, From: p, To: p + 1}, c, same)
		if err != nil {
			t.Fatal(err)
		}
		got = append(append(got, int64(-p)), rows...)
	}
	want := []int64{0, -1, 1, 71, 1, 71, -2, 2, 72, -3, -4, -5, 5, 75, 5, 75, -6}
	if !slices.Equal(got, want) {
		t.Errorf("reducers and their rows: %v, want %v", got, want)
	}
	if all, err := read(r, Source{Shuffle: 1, Statuses: []*task.MapStatus{status}, From: 0, To: 7}, c, same); err != nil || len(all) != 10 {
		t.Errorf("all at once: %v, %v", all, err)
	}
}

// The checksums in the file are those of the blocks, combined or not, in
// whatever order the rows came, spilled never or after every record.
//
// NOT APPLICABLE: SHUF-007 as to ordering, because the map side does not sort
// by key: order is the reducer's.
func TestSHUF_007_ChecksumsOfBlocks(t *testing.T) {
	type row = codec.Pair[int64, int64]
	key, err := codec.KeyOf[int64]()
	if err != nil {
		t.Fatal(err)
	}
	for _, combined := range []bool{false, true} {
		for _, backwards := range []bool{false, true} {
			for _, spills := range []bool{false, true} {
				r := newRig(t, 8*units.MiB, Config{Storage: Disk})
				to := Target{Shuffle: 1, Map: 1, Reducers: 3}
				err := r.attempt(1, func(env spill.Env) error {
					w, err := NewWriter(r.m, env, to, func(dst []int32, rows []row) {
						for i, v := range rows {
							dst[i] = int32(v.Key % 3)
						}
					}, mustCodec[row](t))
					if err != nil {
						return err
					}
					defer w.Close()
					write := func(rows []row) error {
						for i := range rows {
							if err := w.Add(rows[i : i+1]); err != nil {
								return err
							}
							if !spills {
								continue
							}
							if err := w.spill(); err != nil {
								return err
							}
						}
						return nil
					}
					add, end := write, func() error { return nil }
					if combined {
						c, err := spill.NewCombiner(env, "combine", key, spill.Reduce(func(a, b int64) int64 { return a + b }), nil, write, nil)
						if err != nil {
							return err
						}
						defer c.Close()
						add = func(rows []row) error { return errors.Join(c.Add(rows), c.Add(rows)) } // two make one
						end = c.Flush
					}
					for i := range int64(9) {
						if backwards {
							i = 8 - i
						}
						if err := add([]row{{Key: i, Value: i}}); err != nil {
							return err
						}
					}
					if err := end(); err != nil {
						return err
					}
					_, err = w.Commit()
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				if n := r.metrics[task.ShuffleRecordsWritten]; n != 9 {
					t.Errorf("combined %v: %d records are written, want 9", combined, n)
				}
				if n := r.metrics[task.SpillCount]; spills && n != 9 || !spills && n != 0 {
					t.Errorf("combined %v, spills %v: %d spills of 9 records", combined, spills, n)
				}
				names := outputID{1, 1}.files()
				data, index, sums := fileOf(t, r, names[fileData]), fileOf(t, r, names[fileIndex]), fileOf(t, r, names[fileSums])
				for p := range 3 {
					from, to := binary.BigEndian.Uint64(index[8*p:]), binary.BigEndian.Uint64(index[8*p+8:])
					if to == from {
						t.Errorf("block %d is empty", p)
					}
					if got := binary.BigEndian.Uint64(sums[8*p:]); got != uint64(crc32.Checksum(data[from:to], crc32.MakeTable(crc32.Castagnoli))) {
						t.Errorf("combined %v, backwards %v, spills %v: checksum %d is %x", combined, backwards, spills, p, got)
					}
				}
			}
		}
	}
}

// A writer that has spilled and finds its memory taken says what it asked for
// and what there was, and leaves nothing. The pages that it gave up are
// another's: it writes nothing there any more.
func TestSHUF_016_MemoryGoneAfterASpill(t *testing.T) {
	r := newRig(t, 2*units.MiB, Config{})
	err := r.attempt(1, func(env spill.Env) error {
		greedy := env.Memory.Consumer("greedy", nil)
		defer greedy.Close()
		w, err := NewWriter(r.m, env, Target{Shuffle: 1, Map: 1, Reducers: 3}, byValue(3), mustCodec[int64](t))
		if err != nil {
			return err
		}
		defer w.Close()
		if err := w.Add(count(10_000)); err != nil {
			return err
		}
		var pages []*memory.Page
		for { // the writer spills for it
			p, err := greedy.Alloc(firstPage)
			if err != nil {
				break
			}
			for i := range p.Data {
				p.Data[i] = 0xa5
			}
			pages = append(pages, p)
		}
		if r.metrics[task.SpillCount] == 0 {
			t.Error("nothing was spilled")
		}
		err = w.Add(count(10_000))
		for i, p := range pages {
			if slices.ContainsFunc(p.Data, func(b byte) bool { return b != 0xa5 }) {
				t.Errorf("page %d of %d has been written to", i, len(pages))
			}
		}
		return err
	})
	refusal, ok := errors.AsType[*memory.NoMemoryError](err)
	if !ok || !errors.Is(err, memory.ErrNoMemory) {
		t.Fatalf("got %v, want a refusal of memory", err)
	}
	if refusal.Asked < firstChunk || refusal.Free >= refusal.Asked || !strings.Contains(refusal.Asker, "shuffle write") {
		t.Errorf("%+v", refusal)
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

// Reducers without data have no block, and those with some have one.
func TestSHUF_020_FewBlocksOfManyAreNotEmpty(t *testing.T) {
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
	for m := range 3 {
		s, err := write(r, Target{Shuffle: 2, Map: id.Task(m), Reducers: 3}, c, byValue(3), count(30)) // 10 for each
		if err != nil {
			t.Fatal(err)
		}
		for p := range 3 {
			if s.Size(p) == 0 {
				t.Errorf("map %d says that block %d is empty", m, p)
			}
		}
	}
}

func TestSHUF_017_RowsLargerThanAnyBuffer(t *testing.T) {
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

// What is spilled is counted, and apart from what is written.
func TestSHUF_006_SpillsOfAWriterAreCounted(t *testing.T) {
	for _, comp := range []string{"none", "lz4", "zstd"} {
		fs := &writtenFS{FS: fsys.OS}
		r := newRigOn(t, 2*units.MiB, Config{Compression: compression(t, comp)}, fs)
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
		spilled := fs.written - size - 8*(5+1) - 8*5 // less the data, index and checksum files
		if m[task.SpillCount] < 2 || m[task.MemoryBytesSpilled] == 0 || m[task.DiskBytesSpilled] != spilled || m[task.ShuffleBytesWritten] != size {
			t.Errorf("%s: %d spills of %d bytes, %d on disk where the files have %d; %d written, the file has %d", comp,
				m[task.SpillCount], m[task.MemoryBytesSpilled], m[task.DiskBytesSpilled], spilled, m[task.ShuffleBytesWritten], size)
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

// Whichever file operation fails, the attempt ends with an error that has its
// cause, and leaves nothing.
//
// NOT APPLICABLE: SHUF-015 as to a temporary file for each reducer, because
// the one writer holds reducers apart in memory and writes one file.
func TestSHUF_015_FailedWritesLeaveNothing(t *testing.T) {
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
