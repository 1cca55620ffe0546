package table

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// Every rank's share of many draws is near its weight, whatever the exponent.
func TestZipfDrawsByWeight(t *testing.T) {
	const draws = 400000
	for _, c := range []struct {
		n        int64
		exponent float64
	}{{1, 1}, {2, 0}, {100, 0}, {100, 1}, {50000, 0.7}, {50000, 1}, {1 << 40, 1.2}} {
		z := NewZipf(c.n, c.exponent)
		r := Random{42}
		var low [64]int64 // draws of the first ranks
		for range draws {
			rank := z.Draw(&r)
			if rank < 0 || rank >= c.n {
				t.Fatalf("n %d, exponent %v: drew %d", c.n, c.exponent, rank)
			}
			if rank < int64(len(low)) {
				low[rank]++
			}
		}
		// All weights: a sum, and an integral for the ranks beyond.
		total := 0.0
		m := min(c.n, 1<<20)
		for i := range m {
			total += math.Pow(float64(i+1), -c.exponent)
		}
		if c.n > m {
			e := 1 - c.exponent
			total += (math.Pow(float64(c.n)+0.5, e) - math.Pow(float64(m)+0.5, e)) / e
		}
		for i := range min(c.n, int64(len(low))) {
			want := draws * math.Pow(float64(i+1), -c.exponent) / total
			if d := math.Abs(float64(low[i]) - want); d > 5*math.Sqrt(want)+1 {
				t.Errorf("n %d, exponent %v: rank %d drawn %d times, want about %.0f", c.n, c.exponent, i, low[i], want)
			}
		}
		if z.Held() > 2<<20 {
			t.Errorf("n %d: holds %d bytes", c.n, z.Held())
		}
	}
}

func TestKeysAreDistinctAndOfOneWidth(t *testing.T) {
	for _, k := range []Keys{NewKeys(10, "", false), NewKeys(101, "key-", false), NewKeys(5000, "", true)} {
		seen := map[string]bool{}
		for rank := range int64(10) {
			b := make([]byte, k.Width())
			k.Put(b, rank)
			if seen[string(b)] || bytes.IndexByte(b, 0) >= 0 || b[len(k.Prefix)] == '0' {
				t.Errorf("key %q of rank %d", b, rank)
			}
			seen[string(b)] = true
		}
	}
}

func TestStrideVisitsAll(t *testing.T) {
	for _, n := range []int64{1, 2, 3, 10, 1000, 4096, 10007} {
		s := NewStride(n)
		seen := make([]bool, n)
		for i := range n {
			at := s.At(i)
			if seen[at] {
				t.Fatalf("n %d: %d twice", n, at)
			}
			seen[at] = true
		}
	}
}

// The bytes depend on the seed alone.
func TestWriteIsTheSameForAllWorkers(t *testing.T) {
	file := &File{Name: "t.csv", Header: "a", Rows: 3*blockRows + 17, Width: 9, Put: func(dst []byte, i int64, r *Random) {
		PutDigits(dst[:8], (r.Next()+uint64(i))%1e8)
		dst[8] = '\n'
	}}
	var first []byte
	for i, g := range []workloads.Gen{{}, {Cores: 4}, {Cores: 4, Memory: 1}} {
		dir := t.TempDir()
		if err := Write(t.Context(), g, dir, 7, 0, file); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "t.csv"))
		if err != nil || int64(len(data)) != file.Bytes() {
			t.Fatalf("%d bytes (%v), want %d", len(data), err, file.Bytes())
		}
		if i == 0 {
			first = data
		}
		if !bytes.Equal(data, first) || bytes.IndexByte(data, 0) >= 0 {
			t.Errorf("%+v: other bytes", g)
		}
	}
	dir := t.TempDir()
	if err := Write(t.Context(), workloads.Gen{}, dir, 8, 0, file); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "t.csv")); bytes.Equal(data, first) {
		t.Error("another seed gives the same bytes")
	}
}

// tallied scans files and counts rows by key.
func tallied(t *testing.T, g workloads.Gen, memory int64, paths ...string) (map[string]int64, int, error) {
	t.Helper()
	files, err := workloads.InputFiles(paths)
	if err != nil {
		t.Fatal(err)
	}
	got, passes := map[string]int64{}, 0
	tally := Tally[int64]{
		Fold: func(s *int64, row int64) { *s += row },
		Done: func(key []byte, s *int64) {
			if _, twice := got[string(key)]; twice {
				t.Errorf("key %q is done twice", key)
			}
			got[string(key)] = *s
		},
	}
	tally.Read = func(add func(int, []byte, int64)) error {
		passes++
		return Scan(t.Context(), g, max(1, g.Cores), files, []string{"n", "k"}, func(w int, row Row) error {
			n, err := row.Int(0)
			if err == nil {
				add(w, row[1], n)
			}
			return err
		})
	}
	err = tally.Run(t.Context(), max(1, g.Cores), memory)
	return got, passes, err
}

func TestTallyInAnyMemory(t *testing.T) {
	var b strings.Builder
	b.WriteString("k,x,n\r\n")
	want := map[string]int64{}
	for i := range 120000 {
		k := fmt.Sprintf("key%d-%s", i%30011, strings.Repeat("z", i%30011%13))
		fmt.Fprintf(&b, "%s,-,%d\r\n", k, i)
		want[k] += int64(i)
	}
	path := filepath.Join(t.TempDir(), "t.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		memory int64
		cores  int
		more   bool // than one pass
	}{{64 << 20, 1, false}, {64 << 20, 3, false}, {1 << 20, 2, true}, {1, 2, true}} {
		got, passes, err := tallied(t, workloads.Gen{Cores: c.cores}, c.memory, path)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%+v: %d keys (%v), want %d", c, len(got), err, len(want))
		}
		if (passes > 1) != c.more {
			t.Errorf("%+v: %d passes", c, passes)
		}
	}
}

func TestEntriesKeepTheirMemory(t *testing.T) {
	var e entries[int64]
	e.reset()
	for i := range uint64(100000) {
		*e.find(Mix(i), fmt.Appendf(nil, "k%d", i)) = int64(i)
	}
	if held := e.bytes(); held < 100000*40 || held > 100000*80 {
		t.Errorf("%d bytes for 100,000 keys", held)
	}
	for to := ^uint64(0) / 2; to > 1<<50; to /= 2 {
		e.keep(to)
		n := 0
		for i := range uint64(100000) {
			if Mix(i) <= to {
				n++
				if got := *e.find(Mix(i), fmt.Appendf(nil, "k%d", i)); got != int64(i) {
					t.Fatalf("kept up to %x: key %d has %d", to, i, got)
				}
			}
		}
		if e.n != n {
			t.Fatalf("kept up to %x: %d keys, want %d", to, e.n, n)
		}
	}
}

// Quotes, empty lines, any line ends, lines across ranges, several files,
// compressed files, columns in another order.
func TestScanReadsCSV(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		var b bytes.Buffer
		switch filepath.Ext(name) {
		case ".gz":
			w := gzip.NewWriter(&b)
			w.Write([]byte(text))
			w.Close()
		case ".zst":
			w, _ := zstd.NewWriter(&b)
			w.Write([]byte(text))
			w.Close()
		default:
			b.WriteString(text)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("y", scanBytes-100)
	write("a.csv", "\xef\xbb\xbfk,n\r\n\r\n\"q,\"\"x\",1\n"+long+",2\n"+long+",3\nend,4")
	write("b.csv.gz", "n,other,k\n5,,end\n\n6,,z\n")
	write("c.zst", "n,k\n7,z")
	write("empty.csv", "")
	write("header.csv", "k,n")
	want := map[string]int64{`q,"x`: 1, long: 5, "end": 9, "z": 13}
	for _, cores := range []int{1, 3} {
		got, _, err := tallied(t, workloads.Gen{Cores: cores}, 64<<20, dir)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%d cores: %d keys (%v)", cores, len(got), err)
		}
	}
	for text, part := range map[string]string{
		"k,n\na,1,2\n": "fields", "k,n\na\n": "fields", "k,n\na,x\n": "invalid syntax", "k,m\na,1\n": `no column "n"`,
		"k,n\na\"b,1\n": "quote", "k,n\n" + strings.Repeat("x", 3*lineMax) + ",1\n": "longer than",
	} {
		path := filepath.Join(t.TempDir(), "bad.csv")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, _, err := tallied(t, workloads.Gen{}, 1<<20, path); err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.30q: error %v, want one with the file and %q", text, err, part)
		}
	}
}

func TestScanFindsEveryLineOnce(t *testing.T) {
	var b strings.Builder
	b.WriteString("n\n")
	const rows = 300000
	for i := range rows {
		fmt.Fprintln(&b, i)
	}
	path := filepath.Join(t.TempDir(), "t.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	files, err := workloads.InputFiles([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := make([]int, rows)
	err = Scan(t.Context(), workloads.Gen{}, 3, files, []string{"n"}, func(_ int, row Row) error {
		n, err := row.Int(0)
		mu.Lock()
		defer mu.Unlock()
		seen[n]++
		return err
	})
	for i, n := range seen {
		if n != 1 {
			t.Fatalf("row %d was read %d times (%v)", i, n, err)
		}
	}
	if workers, memory := Workers(workloads.Gen{Cores: 8, Memory: 8 * units.MiB}); workers != 2 || memory != 4<<20 {
		t.Errorf("%d workers and %d bytes", workers, memory)
	}
}
