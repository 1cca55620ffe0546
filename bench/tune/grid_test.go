package tune

import (
	"fmt"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/units"
)

func TestRangesAndLists(t *testing.T) {
	cores := func(text, want string) {
		t.Helper()
		got, err := ParseCores(text)
		if s := fmt.Sprint(got); err == nil && s != want || err != nil && (want != "" || !strings.Contains(err.Error(), "cannot")) {
			t.Errorf("cores %s: %s, %v, want %s", text, s, err, want)
		}
	}
	cores("2", "[2]")
	cores("1,2, 4,2", "[1 2 4]")
	cores("1..2", "[1 2]")
	cores("1..8", "[1 2 4 8]")
	cores("2..6", "[2 4 6]")
	cores("3..3", "[3]")
	for _, bad := range []string{"", "0", "4..1", "1..", "x", "1.5", "-1"} {
		cores(bad, "")
	}
	memory := func(text string, steps int, want string) {
		t.Helper()
		got, err := ParseMemory(text, steps)
		if s := fmt.Sprint(got); err == nil && s != want || err != nil && want != "" {
			t.Errorf("memory %s: %s, %v, want %s", text, s, err, want)
		}
	}
	memory("1GiB", 0, "[1.00 GiB]")
	memory("128MiB..1GiB", 0, "[128 MiB 256 MiB 512 MiB 1.00 GiB]")
	memory("128m..300m", 0, "[128 MiB 256 MiB 300 MiB]")
	memory("128MiB..1GiB", 4, "[128 MiB 256 MiB 512 MiB 1.00 GiB]")
	memory("100MiB..1GiB", 3, "[100 MiB 320 MiB 1.00 GiB]")
	memory("100MiB..100MiB", 3, "[100 MiB]")
	memory("2g,1g", 3, "[2.00 GiB 1.00 GiB]")
	for _, bad := range []string{"", "0", "1g..1m", "many"} {
		memory(bad, 0, "")
	}
}

func TestGridHoldsEveryCombination(t *testing.T) {
	axis, err := ParseConf("io.compression.codec=lz4,zstd, lz4")
	if err != nil {
		t.Fatal(err)
	}
	grid := Grid([]int{1, 2}, []units.Bytes{units.GiB, 2 * units.GiB}, []Axis{axis, {"a", []string{"1"}}})
	seen := map[string]bool{}
	for _, s := range grid {
		seen[s.String()] = true
	}
	if len(grid) != 8 || len(seen) != 8 || !seen["1 core, 2.00 GiB, io.compression.codec=zstd, a=1"] {
		t.Errorf("%v", grid)
	}
	for _, bad := range []string{"x", "=1", ""} {
		if _, err := ParseConf(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestFolderNamesAreSafe(t *testing.T) {
	s := Setting{Cores: 2, Memory: units.GiB, Conf: []Pair{{"a/b", "x y"}}}
	if got := s.FolderName(0); got != "cores=2-memory=1g-a_b=x_y-r1" {
		t.Errorf("folder %s", got)
	}
}
