package engine_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
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
