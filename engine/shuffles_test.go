package engine_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// shuffleFiles are the names of the committed shuffle files of a session.
func shuffleFiles(r *rig) (names []string) {
	for _, path := range r.files("shuffle_") {
		if name := filepath.Base(path); strings.HasPrefix(name, "shuffle_") {
			names = append(names, name)
		}
	}
	return names
}

// A map output is three files: those of the map that fails for good are not
// there.
func TestSHUF_008_FilesOfAShuffle(t *testing.T) {
	for fails, want := range map[bool]int{true: 3, false: 6} {
		r := start(t, engine.Config{Cores: 1, Conf: conf("shuffle.storage", "disk", "task.maxFailures", "1")})
		d := engine.MapBatches(keyed(r.Session, 1000, 10, 2), func(t *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
			if fails && t.Partition == 1 {
				return nil, errors.New("for good")
			}
			return append(dst, src...), nil
		})
		_, err := engine.ReduceByKey(d, add, engine.Partitions(3)).Count(t.Context())
		if fails {
			wantError(t, err, "for good")
		} else if err != nil {
			t.Fatal(err)
		}
		if names := shuffleFiles(r); len(names) != want {
			t.Errorf("one map fails: %v: files %v, want %d", fails, names, want)
		}
	}
}

// Four keys among 201 maps and as many reducers make four blocks at most, and
// no other is looked for.
func TestSHUF_020_FewBlocksOfMany(t *testing.T) {
	for _, storage := range []string{"auto", "disk"} {
		r := start(t, engine.Config{Conf: conf("shuffle.storage", storage)})
		in := engine.MapBatches(engine.Range(r.Session, 201, 201), func(t *engine.Task, dst []engine.Pair[int64, int64], src []int64) ([]engine.Pair[int64, int64], error) {
			if t.Partition%50 == 3 { // 3, 53, 103 and 153
				dst = append(dst, engine.Pair[int64, int64]{Key: src[0], Value: 1})
			}
			return dst, nil
		})
		got, err := engine.ReduceByKey(in, add, engine.Partitions(201)).Collect(t.Context())
		wantPairs(t, err, got, map[int64]int64{3: 1, 53: 1, 103: 1, 153: 1})
		var blocks, rows int64
		for _, e := range of[*event.TaskEnd](r.rec) {
			blocks += e.Metrics[task.ShuffleLocalBlocksFetched] + e.Metrics[task.ShuffleRemoteBlocksFetched]
			rows += e.Metrics[task.ShuffleRecordsRead]
		}
		if blocks < 1 || blocks > 4 || rows != 4 {
			t.Errorf("storage %s: %d rows of %d blocks, want 4 rows of at most 4", storage, rows, blocks)
		}
	}
}

// Compression changes no answer, and a shuffle that is let go leaves no file.
func TestSHUF_021_CompressionOfShufflesAndSpills(t *testing.T) {
	for _, shuffles := range []string{"true", "false"} {
		for _, spills := range []string{"true", "false"} {
			r := start(t, engine.Config{Memory: 64 * units.MiB, Conf: conf("shuffle.storage", "disk",
				"shuffle.compress", shuffles, "shuffle.spill.compress", spills, "io.compression.codec", "lz4")})
			scope := r.Scope()
			groups, err := engine.GroupByKey(keyed(scope, 200_000, 1000, 4), engine.Partitions(3)).Collect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := map[int64]int64{}
			for _, g := range groups {
				for _, v := range g.Value {
					got[g.Key] += v
				}
			}
			want := wantSums(200_000, 1000)
			for k, v := range want {
				if got[k] != v {
					t.Fatalf("shuffles %s, spills %s: key %d has %d, want %d", shuffles, spills, k, got[k], v)
				}
			}
			if len(shuffleFiles(r)) != 4*3 {
				t.Errorf("files %v", shuffleFiles(r))
			}
			scope.Release()
			if names := shuffleFiles(r); len(names) != 0 {
				t.Errorf("files are left of a shuffle that was let go: %v", names)
			}
		}
	}
}
