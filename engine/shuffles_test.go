package engine_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
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
	for fails, maps := range map[bool]int{true: 1, false: 2} {
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
		var want []string
		for m := range maps {
			for _, suffix := range []string{"checksum.CRC32C", "data", "index"} {
				want = append(want, fmt.Sprintf("shuffle_0_%d_0.%s", m, suffix))
			}
		}
		names := shuffleFiles(r)
		slices.Sort(names)
		check(t, nil, names, want)
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

// Compression changes no answer, what is to be smaller is, and a shuffle that
// is let go leaves no file.
func TestSHUF_021_CompressionOfShufflesAndSpills(t *testing.T) {
	const rows, keys = 20_000, 1000
	pad := strings.Repeat("x", 1000) // so that few rows do not fit
	written, spilled := map[string]int64{}, map[string]int64{}
	for _, shuffles := range []string{"true", "false"} {
		for _, spills := range []string{"true", "false"} {
			r := start(t, engine.Config{Cores: 1, Memory: 48 * units.MiB, Conf: conf("shuffle.storage", "disk",
				"shuffle.compress", shuffles, "shuffle.spill.compress", spills, "io.compression.codec", "lz4")})
			scope := r.Scope()
			wide := engine.Map(keyed(scope, rows, keys, 4), func(p engine.Pair[int64, int64]) engine.Pair[int64, string] {
				return engine.Pair[int64, string]{Key: p.Key, Value: pad + fmt.Sprint(p.Value)}
			})
			got, err := engine.Map(engine.GroupByKey(wide, engine.Partitions(1)), func(g engine.Pair[int64, []string]) engine.Pair[int64, int64] {
				sum := int64(0)
				for _, text := range g.Value {
					v, err := strconv.ParseInt(text[len(pad):], 10, 64)
					if err != nil {
						panic(err)
					}
					sum += v
				}
				return engine.Pair[int64, int64]{Key: g.Key, Value: sum}
			}).Collect(t.Context())
			wantPairs(t, err, got, wantSums(rows, keys))
			for _, e := range of[*event.TaskEnd](r.rec) {
				written[shuffles] += e.Metrics[task.ShuffleBytesWritten]
				spilled[spills] += e.Metrics[task.DiskBytesSpilled]
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
	for what, bytes := range map[string]map[string]int64{"written": written, "spilled": spilled} {
		if bytes["true"] == 0 || 2*bytes["true"] > bytes["false"] {
			t.Errorf("%d bytes %s with compression, %d without", bytes["true"], what, bytes["false"])
		}
	}
}
