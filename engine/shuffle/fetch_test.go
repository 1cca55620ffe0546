package shuffle

import (
	"errors"
	"os"
	"reflect"
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

// fetchFailure asserts that err is a fetch failure of map 7, the second of
// shuffle 4.
func fetchFailure(t *testing.T, err error, reduce int) *task.Failure {
	t.Helper()
	f, ok := errors.AsType[*task.Failure](err)
	if !ok || f.Kind != task.FetchFailed {
		t.Fatalf("got %v, want a fetch failure", err)
	}
	want := task.FetchFailure{Executor: id.Driver, Shuffle: 4, Map: 7, MapIndex: 1, Reduce: int32(reduce)}
	if f.Fetch != want {
		t.Errorf("it names %+v, want %+v", f.Fetch, want)
	}
	return f
}

// twoMaps writes two map outputs of shuffle 4 to files.
func twoMaps(t *testing.T, comp string) (*rig, []*task.MapStatus) {
	t.Helper()
	return twoMapsOn(t, comp, fsys.OS)
}

func twoMapsOn(t *testing.T, comp string, fs fsys.FS) (*rig, []*task.MapStatus) {
	t.Helper()
	r := newRigOn(t, 16*units.MiB, Config{Storage: Disk, Compression: compression(t, comp)}, fs)
	var statuses []*task.MapStatus
	for _, m := range []id.Task{3, 7} {
		s, err := write(r, Target{Shuffle: 4, Map: m, Reducers: 3}, mustCodec[int64](t), byValue(3), count(3000))
		if err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, s)
	}
	return r, statuses
}

// Files that are missing or short.
func TestSHUF_002_LostFilesAreFetchFailures(t *testing.T) {
	data, index := string(block.ShuffleData(4, 7)), string(block.ShuffleIndex(4, 7))
	for name, harm := range map[string]func(r *rig) error{
		"data deleted":   func(r *rig) error { return os.Remove(r.disk.Path(data)) },
		"index deleted":  func(r *rig) error { return os.Remove(r.disk.Path(index)) },
		"data cut":       func(r *rig) error { return os.Truncate(r.disk.Path(data), 5000) },
		"index cut":      func(r *rig) error { return os.Truncate(r.disk.Path(index), 17) },
		"output removed": func(r *rig) error { r.m.Remove(4, 7); return nil },
		"index of zeros": func(r *rig) error { return os.WriteFile(r.disk.Path(index), make([]byte, 32), 0o600) },
		"index backwards": func(r *rig) error {
			return os.WriteFile(r.disk.Path(index), []byte(strings.Repeat("\xff\x00\xee\x01", 8)), 0o600)
		},
	} {
		r, statuses := twoMaps(t, "none")
		if err := harm(r); err != nil {
			t.Fatal(err)
		}
		rows, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: 1, To: 2}, mustCodec[int64](t), same)
		if len(rows) < 1000 {
			t.Errorf("%s: %d rows before the failure, want those of the first map", name, len(rows))
		}
		fetchFailure(t, err, 1)
	}
}

// shift makes the index of map 7 say that block 1 is empty, and that its bytes
// are of the block before or after it.
func (r *rig) shift(to int) error {
	index := r.disk.Path(string(block.ShuffleIndex(4, 7)))
	b, err := os.ReadFile(index)
	if err != nil {
		return err
	}
	if to == 0 {
		copy(b[8:16], b[16:24])
	} else {
		copy(b[16:24], b[8:16])
	}
	return os.WriteFile(index, b, 0o600)
}

// A block that is empty though its status says that it is not, alone or among
// others that are read with it, is a fetch failure. One that its status says
// is empty is never looked for.
func TestSHUF_012_EmptyBlocks(t *testing.T) {
	data, index := string(block.ShuffleData(4, 7)), string(block.ShuffleIndex(4, 7))
	for name, harm := range map[string]func(r *rig) error{
		"no data":                    func(r *rig) error { return os.Truncate(r.disk.Path(data), 0) },
		"an index of nothing":        func(r *rig) error { return os.WriteFile(r.disk.Path(index), make([]byte, 32), 0o600) },
		"its bytes are the next's":   func(r *rig) error { return r.shift(2) },
		"its bytes are the former's": func(r *rig) error { return r.shift(0) },
	} {
		r, statuses := twoMaps(t, "none")
		if err := harm(r); err != nil {
			t.Fatal(err)
		}
		c := mustCodec[int64](t)
		_, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: 1, To: 2}, c, same)
		if f, ok := errors.AsType[*task.Failure](err); !ok || f.Fetch.MapIndex != 1 || f.Fetch.Reduce != 1 {
			t.Errorf("%s: block 1 alone: %v", name, err)
		}
		rows, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: 0, To: 3}, c, same)
		if f, ok := errors.AsType[*task.Failure](err); !ok || f.Fetch.MapIndex != 1 || len(rows) < 3000 || len(rows) > 4000 {
			t.Errorf("%s: all blocks: %d rows, %v", name, len(rows), err)
		}
	}

	r := newRig(t, 16*units.MiB, Config{Storage: Disk})
	c := mustCodec[int64](t)
	var statuses []*task.MapStatus
	for m, rows := range [][]int64{{3}, nil, {4}} { // of reducers 0, none, and 1
		s, err := write(r, Target{Shuffle: 4, Map: id.Task(m), Reducers: 3}, c, byValue(3), rows)
		if err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, s)
	}
	r.m.Remove(4, 1)
	r.m.Remove(4, 2)
	for p, want := range [][]int64{{3}, nil, nil} {
		r.metrics = task.Metrics{}
		rows, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: p, To: p + 1}, c, same)
		if p == 1 { // what is gone is missed by who needs it alone
			if f, ok := errors.AsType[*task.Failure](err); !ok || f.Fetch.MapIndex != 2 {
				t.Errorf("reducer 1: %v, %v; want a fetch failure of map 2", rows, err)
			}
			continue
		}
		if n := r.metrics[task.ShuffleLocalBlocksFetched]; err != nil || !slices.Equal(rows, want) || n != int64(len(want)) {
			t.Errorf("reducer %d: rows %v of %d blocks, %v", p, rows, n, err)
		}
	}
}

// A range of reducers holds the blocks that are not empty and no other, each
// under the index of its map.
func TestMOT_004_EmptyBlocksAreNotListed(t *testing.T) {
	r := newRig(t, 16*units.MiB, Config{Storage: Disk})
	c := mustCodec[int64](t)
	// Map 0 has [0, s1, 0, s2], and map 1 has [s2, 0, s1, 0].
	var statuses []*task.MapStatus
	for m, rows := range [][]int64{{1, 3, 7, 11}, {0, 4, 8, 2}} {
		s, err := write(r, Target{Shuffle: 4, Map: id.Task(m + 3), Reducers: 4}, c, byValue(4), rows)
		if err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, s)
	}
	type frame struct {
		index int
		rows  []int64
	}
	// list returns the frames of reducers [from, to) and the number of blocks
	// that were fetched for them.
	list := func(from, to int) (frames []frame, blocks int64, err error) {
		r.metrics = task.Metrics{}
		err = eachFrame(r, Source{Shuffle: 4, Statuses: statuses, From: from, To: to}, c, func(index int, rows []int64) {
			frames = append(frames, frame{index, slices.Clone(rows)})
		})
		return frames, r.metrics[task.ShuffleLocalBlocksFetched], err
	}
	all := []frame{{0, []int64{1}}, {0, []int64{3, 7, 11}}, {1, []int64{0, 4, 8}}, {1, []int64{2}}}
	for _, q := range []struct {
		from, to int
		want     []frame
	}{
		{0, 4, all},
		{0, 1, all[2:3]}, {1, 2, all[:1]}, {2, 3, all[3:]}, {3, 4, all[1:2]},
		{1, 3, []frame{all[0], all[3]}}, {0, 0, nil},
	} {
		got, blocks, err := list(q.from, q.to)
		if err != nil || !reflect.DeepEqual(got, q.want) || blocks != int64(len(q.want)) {
			t.Errorf("reducers [%d, %d): %v in %d blocks, %v; want %v", q.from, q.to, got, blocks, err, q.want)
		}
	}

	r.m.Remove(4, 3)
	for p, want := range [][]frame{all[2:3], nil, all[3:], nil} {
		got, _, err := list(p, p+1)
		f, failed := errors.AsType[*task.Failure](err)
		if !reflect.DeepEqual(got, want) || failed != (want == nil) {
			t.Errorf("reducer %d without map 0: %v, %v; want %v", p, got, err, want)
		}
		lost := task.FetchFailure{Executor: id.Driver, Shuffle: 4, Map: 3, MapIndex: 0, Reduce: int32(p)}
		if failed && f.Fetch != lost {
			t.Errorf("reducer %d: the failure names %+v, want %+v", p, f.Fetch, lost)
		}
	}
}

// Every flipped bit of a block is found, at once.
//
// NOT APPLICABLE: SHUF-004 as to fetching again, because every block is read
// from a file of this machine, where a second look finds the same bytes.
func TestSHUF_004_DamagedBlocksAreFetchFailures(t *testing.T) {
	for _, comp := range []string{"none", "lz4", "zstd"} {
		r, statuses := twoMaps(t, comp)
		c := mustCodec[int64](t)
		want, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: 0, To: 3}, c, same)
		if err != nil {
			t.Fatal(err)
		}
		r.flipped(string(block.ShuffleData(4, 7)), 300, func(at int) {
			rows, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: 0, To: 3}, c, same)
			if err == nil {
				if !slices.Equal(rows, want) { // a padding byte carries nothing
					t.Fatalf("%s: a flipped bit at byte %d went unnoticed", comp, at)
				}
				return
			}
			if f, ok := errors.AsType[*task.Failure](err); !ok || f.Kind != task.FetchFailed || f.Fetch.Map != 7 {
				t.Fatalf("%s: byte %d: %v", comp, at, err)
			}
		})
	}
}

// flipped calls f about n times with one bit of a file flipped, at byte at.
func (r *rig) flipped(file string, n int, f func(at int)) {
	r.tb.Helper()
	path := r.disk.Path(file)
	good, err := os.ReadFile(path)
	if err != nil {
		r.tb.Fatal(err)
	}
	for at := 0; at < len(good); at += 1 + len(good)/n {
		bad := slices.Clone(good)
		bad[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			r.tb.Fatal(err)
		}
		f(at)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		r.tb.Fatal(err)
	}
}

// An index has no checksum of its own: what it says must fit the status, or a
// reducer would read rows of another's whose checksums hold.
func TestDamagedIndexesAreFetchFailures(t *testing.T) {
	c := mustCodec[int64](t)
	for _, p := range []int{0, 2} {
		r, statuses := twoMaps(t, "none")
		if err := r.shift(p); err != nil {
			t.Fatal(err)
		}
		rows, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: p, To: p + 1}, c, same)
		if f, ok := errors.AsType[*task.Failure](err); !ok || f.Fetch.MapIndex != 1 || len(rows) != 1000 {
			t.Errorf("reducer %d: %d rows, %v; want those of the first map and a fetch failure", p, len(rows), err)
		}
	}
	r, statuses := twoMaps(t, "none")
	for p := range 3 {
		from := Source{Shuffle: 4, Statuses: statuses, From: p, To: p + 1}
		want, err := read(r, from, c, same)
		if err != nil {
			t.Fatal(err)
		}
		r.flipped(string(block.ShuffleIndex(4, 7)), 32, func(at int) {
			rows, err := read(r, from, c, same)
			if _, ok := errors.AsType[*task.Failure](err); !ok && !slices.Equal(rows, want) {
				t.Errorf("reducer %d, byte %d: %d rows of %d, %v", p, at, len(rows), len(want), err)
			}
		})
	}
}

// A damaged block is looked at once more, against the checksum file, and the
// failure says whether the disk is to blame.
//
// NOT APPLICABLE: SHUF-014 as to a block that is found corrupt twice, because
// it is found so once; see SHUF-004.
func TestSHUF_014_DamageIsPutDownToTheDisk(t *testing.T) {
	type harm = func(r *rig) error
	flip := func(file string, at int64) harm {
		return func(r *rig) error {
			data, err := os.ReadFile(r.disk.Path(file))
			if err == nil {
				data[(at+int64(len(data)))%int64(len(data))] ^= 1
				err = os.WriteFile(r.disk.Path(file), data, 0o600)
			}
			return err
		}
	}
	data, sums := string(block.ShuffleData(4, 7)), outputID{4, 7}.files()[fileSums]
	const blamed, cleared, unknown = "the file on disk is not what was written", "the file on disk is what was written", "the cause cannot be told"
	for name, c := range map[string]struct {
		harm  harm
		wrote string // how, where it is not what is read
		says  string
	}{
		"a bit of the first block": {flip(data, 100), "lz4", blamed},
		"a bit of the last block":  {flip(data, -9), "lz4", blamed},
		"not what is expected":     {func(*rig) error { return nil }, "zstd", cleared},
		"no checksums": {func(r *rig) error {
			return errors.Join(flip(data, 100)(r), os.Remove(r.disk.Path(sums)))
		}, "lz4", unknown},
	} {
		looks := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpOpen, Glob: "*" + checksumSuffix})
		r, statuses := twoMapsOn(t, c.wrote, looks)
		r.m.cfg.Compression = compression(t, "lz4")
		if err := c.harm(r); err != nil {
			t.Fatal(err)
		}
		_, err := read(r, Source{Shuffle: 4, Statuses: statuses[1:], From: 0, To: 3}, mustCodec[int64](t), same)
		f, ok := errors.AsType[*task.Failure](err)
		if !ok || f.Kind != task.FetchFailed || f.Fetch.Map != 7 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if n := looks.Counted(); n != 1 {
			t.Errorf("%s: the checksum file was opened %d times", name, n)
		}
		for _, s := range []string{blamed, cleared, unknown} {
			if n := strings.Count(f.Message, s); n > 1 || (n == 1) != (s == c.says) {
				t.Errorf("%s: the failure says %d times that %s: %s", name, n, s, f.Message)
			}
		}
	}
}

// What is looked at again is the damaged block and no other.
func TestSHUF_014_TheBlockThatFailsIsLookedAt(t *testing.T) {
	r := newRig(t, 16*units.MiB, Config{Storage: Disk, Compression: compression(t, "zstd")})
	c := mustCodec[int64](t)
	rows := count(2000)
	for i := range rows {
		if i%2 == 0 { // not to be compressed, so that any codec reads them
			rows[i] = rows[i] * 0x1e3779b97f4a7c16
		}
	}
	s, err := write(r, Target{Shuffle: 4, Map: 7, Reducers: 2}, c, byValue(2), rows)
	if err != nil {
		t.Fatal(err)
	}
	r.m.cfg.Compression = compression(t, "lz4")
	got, err := read(r, Source{Shuffle: 4, Statuses: []*task.MapStatus{s}, From: 0, To: 2}, c, same)
	f, ok := errors.AsType[*task.Failure](err)
	if !ok || len(got) != 1000 || f.Fetch.Reduce != 1 || !strings.Contains(f.Message, "the file on disk is what was written") {
		t.Errorf("%d rows, %v", len(got), err)
	}
}

// What does not decompress is named by its own place and its own block.
func TestDamageIsNamedByItsFrame(t *testing.T) {
	r, statuses := twoMaps(t, "zstd")
	r.m.cfg.Compression = compression(t, "lz4")
	_, err := read(r, Source{Shuffle: 4, Statuses: statuses[1:], From: 0, To: 3}, mustCodec[int64](t), same)
	f, ok := errors.AsType[*task.Failure](err)
	if !ok || f.Fetch.Reduce != 0 || !strings.Contains(f.Message, string(block.ShuffleData(4, 7))+", byte 0: ") {
		t.Errorf("%v, want a failure of reducer 0 at byte 0", err)
	}
}

// A damaged length that memory is refused for is a fetch failure: its block is
// written again. A frame that is as long as that is want of memory.
func TestDamagedLengthIsNoWantOfMemory(t *testing.T) {
	const rows, long = 1_000_000, 6 << 20
	r := newRig(t, 4*units.MiB, Config{Storage: Disk})
	c := mustCodec[int64](t)
	s, err := write(r, Target{Shuffle: 4, Map: 7, Reducers: 1}, c, byValue(1), count(rows))
	if err != nil {
		t.Fatal(err)
	}
	path := r.disk.Path(string(block.ShuffleData(4, 7)))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spill.PutFrameHead(data, spill.Frame{Rows: long / 8, Raw: long, Stored: long})
	get := func() error {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := read(r, Source{Shuffle: 4, Statuses: []*task.MapStatus{s}, From: 0, To: 1}, c, same)
		return err
	}
	err = get()
	if f, ok := errors.AsType[*task.Failure](err); !ok || f.Kind != task.FetchFailed || f.Fetch.Map != 7 {
		t.Errorf("a damaged length: %v, want a fetch failure", err)
	}
	spill.PutFrame(data, spill.Frame{Rows: long / 8, Raw: long}, data[spill.FrameHeader:spill.FrameHeader+long])
	if err = get(); !errors.Is(err, memory.ErrNoMemory) {
		t.Errorf("a long frame: %v, want ErrNoMemory", err)
	}
}

// A large block is looked at frame by frame: what stands before the damage is
// read, byte for byte, and no further.
func TestSHUF_013_DamageBehindGoodFrames(t *testing.T) {
	r := newRig(t, 16*units.MiB, Config{Storage: Disk})
	c := mustCodec[int64](t)
	s, err := write(r, Target{Shuffle: 4, Map: 7, Reducers: 1}, c, byValue(1), count(200_000))
	if err != nil {
		t.Fatal(err)
	}
	from := Source{Shuffle: 4, Statuses: []*task.MapStatus{s}, From: 0, To: 1}
	whole, err := read(r, from, c, same)
	if err != nil || !slices.Equal(whole, count(200_000)) {
		t.Fatalf("%d rows, %v", len(whole), err)
	}
	path := r.disk.Path(string(block.ShuffleData(4, 7)))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)*2/3] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	rows, err := read(r, from, c, same)
	if f, ok := errors.AsType[*task.Failure](err); !ok || f.Kind != task.FetchFailed {
		t.Fatalf("%v", err)
	}
	if n := len(rows); n < 100_000 || n > 2*200_000/3 || !slices.Equal(rows, whole[:n]) {
		t.Errorf("%d rows came before the damage, which is behind two thirds of them", n)
	}
}

// A status that is missing is a fetch failure without a place.
func TestMOT_002_MissingStatusIsAMetadataFailure(t *testing.T) {
	r, statuses := twoMaps(t, "none")
	statuses[0] = nil
	_, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: 2, To: 3}, mustCodec[int64](t), same)
	f, ok := errors.AsType[*task.Failure](err)
	if !ok || f.Fetch != (task.FetchFailure{Shuffle: 4, Map: -1, MapIndex: -1, Reduce: 2}) {
		t.Errorf("got %v", err)
	}
}

// Another executor's blocks are read through its own manager and counted as
// remote; a lost executor is a fetch failure.
//
// NOT APPLICABLE: SHUF-011 as to network requests, because all executors are
// in one process: another's blocks are read like one's own.
func TestSHUF_011_BlocksOfAnotherExecutor(t *testing.T) {
	r, statuses := twoMaps(t, "none")
	own, err := NewManager(Config{At: task.Location{Host: "localhost", Executor: "2"}, Memory: r.memory, Disk: r.disk})
	if err != nil {
		t.Fatal(err)
	}
	first := r.m
	r.m = own
	defer func() {
		r.m = first
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := mustCodec[int64](t)
	rows, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: 0, To: 3, Peer: func(n id.Executor) *Manager {
		if n == id.Driver {
			return first
		}
		return nil
	}}, c, same)
	if err != nil || len(rows) != 6000 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if r.metrics[task.ShuffleRemoteBlocksFetched] != 6 || r.metrics[task.ShuffleLocalBlocksFetched] != 0 || r.metrics[task.ShuffleRemoteBytesRead] == 0 {
		t.Errorf("metrics %v", r.metrics)
	}
	_, err = read(r, Source{Shuffle: 4, Statuses: statuses[1:], From: 0, To: 3}, c, same)
	if f, ok := errors.AsType[*task.Failure](err); !ok || f.Fetch.Map != 7 {
		t.Errorf("got %v, want a fetch failure", err)
	}
}

// What one process wrote another reads, from the files alone.
func TestAttachReadsWhatAnotherProcessWrote(t *testing.T) {
	r, statuses := twoMaps(t, "lz4")
	other := newRig(t, 16*units.MiB, Config{Compression: compression(t, "lz4")})
	if n, err := other.m.Attach(r.disk.Dir()); n != 2 || err != nil {
		t.Fatalf("attached %d outputs, %v", n, err)
	}
	rows, err := read(other, Source{Shuffle: 4, Statuses: statuses, From: 1, To: 2}, mustCodec[int64](t), same)
	if err != nil || len(rows) != 2000 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	other.m.RemoveShuffle(4)
	if len(r.disk.Names()) != 6 {
		t.Errorf("only %v are left to who wrote them", r.disk.Names())
	}
	if _, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: 1, To: 2}, mustCodec[int64](t), same); err != nil {
		t.Error(err)
	}
}
