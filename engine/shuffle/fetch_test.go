package shuffle

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
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
	r := newRig(t, 16*units.MiB, Config{Storage: Disk, Compression: compression(t, comp)})
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

// Files that are missing, empty or short.
func TestSHUF_002_SHUF_012_LostFilesAreFetchFailures(t *testing.T) {
	data, index := string(block.ShuffleData(4, 7)), string(block.ShuffleIndex(4, 7))
	for name, harm := range map[string]func(r *rig) error{
		"data deleted":   func(r *rig) error { return os.Remove(r.disk.Path(data)) },
		"index deleted":  func(r *rig) error { return os.Remove(r.disk.Path(index)) },
		"data cut":       func(r *rig) error { return os.Truncate(r.disk.Path(data), 5000) },
		"data emptied":   func(r *rig) error { return os.Truncate(r.disk.Path(data), 0) },
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

// Every flipped bit of a block is found, at once, and put down to the disk.
//
// NOT APPLICABLE: SHUF-004 as to fetching again, because every block is read
// from a file of this machine, where a second look finds the same bytes.
func TestSHUF_004_SHUF_014_DamagedBlocksAreFetchFailures(t *testing.T) {
	for _, comp := range []string{"none", "lz4", "zstd"} {
		r, statuses := twoMaps(t, comp)
		path := r.disk.Path(string(block.ShuffleData(4, 7)))
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c := mustCodec[int64](t)
		want, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: 0, To: 3}, c, same)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(good); at += 1 + len(good)/300 {
			bad := slices.Clone(good)
			bad[at] ^= 1 << (at % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			rows, err := read(r, Source{Shuffle: 4, Statuses: statuses, From: 0, To: 3}, c, same)
			if err == nil {
				if !slices.Equal(rows, want) { // a padding byte carries nothing
					t.Fatalf("%s: a flipped bit at byte %d went unnoticed", comp, at)
				}
				continue
			}
			f, ok := errors.AsType[*task.Failure](err)
			if !ok || f.Kind != task.FetchFailed || f.Fetch.Map != 7 {
				t.Fatalf("%s: byte %d: %v", comp, at, err)
			}
			if !strings.Contains(f.Message, "the file on disk is not what was written") {
				t.Errorf("%s: byte %d: the message does not blame the disk: %s", comp, at, f.Message)
			}
		}
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
