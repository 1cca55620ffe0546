package kmeans

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

func init() { workloads.Register(Workload) }

func set(t testing.TB, pairs ...string) workloads.Values {
	t.Helper()
	v := Workload.Values()
	for i := 0; i < len(pairs); i += 2 {
		if err := v.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// recordsRead counts what tasks read of cached partitions.
type recordsRead struct{ n int64 }

// Emit implements event.Sink.
func (s *recordsRead) Emit(e event.Event) {
	if end, ok := e.(*event.TaskEnd); ok {
		s.n += end.Metrics[task.InputRecordsRead]
	}
}

func answer(t testing.TB, v workloads.Values, cfg engine.Config) *workloads.Answer {
	t.Helper()
	cfg.Cores, cfg.Temp = 2, t.TempDir()
	if cfg.Memory == 0 {
		cfg.Memory = 128 * units.MiB
	}
	s, err := engine.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	built, err := workloads.Build(s, Workload, v, workloads.Input{})
	if err == nil {
		err = prepare(t.Context(), s, built, v)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := run(t.Context(), s, built, v, "")
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := verify(t.Context(), workloads.Gen{Cores: 2}, v, workloads.Input{}, a)
	if err != nil || !verdict.OK {
		t.Errorf("%v %v", verdict, err)
	}
	return a
}

// Every shape of points and centres, wherever the points are kept, and read
// from there once an iteration.
func TestShapesAndStorage(t *testing.T) {
	for _, size := range [][]string{
		{"points", "1", "k", "1", "dim", "1"},
		{"points", "5", "k", "5", "dim", "3", "partitions", "9"},
		{"points", "3000", "k", "2", "dim", "1", "blobs", "1"},
		{"points", "3000", "k", "7", "dim", "21", "blobs", "3"},
	} {
		want := ""
		for _, storage := range []string{"memory-and-disk", "memory-only", "disk-only"} {
			v := set(t, append(slices.Clone(size), "rounds", "4", "storage", storage)...)
			read := &recordsRead{}
			a := answer(t, v, engine.Config{Conf: map[string]string{"rdd.compress": "true"}, Events: []event.Sink{read}})
			if want == "" {
				want = a.Checksum
			}
			if a.Checksum != want {
				t.Errorf("%v, %s: checksum %s, want %s", size, storage, a.Checksum, want)
			}
			if n := 4 * v.Int("points"); read.n < n {
				t.Errorf("%v, %s: %d points read from the cache, at least %d in four iterations", size, storage, read.n, n)
			}
		}
	}
}

// kept are the ways to keep a set of points on disk, compressed, beside a
// read-back cache: none, one as large as the set, and one half as large.
var kept = []struct {
	name string
	of   float64 // the set, that the cache takes
}{{"none", 0}, {"fits", 1}, {"twice", 0.5}}

// withReadBack is a configuration under which the points of v, on disk and
// compressed, fill the share of of the read-back cache.
func withReadBack(t testing.TB, v workloads.Values, codec string, of float64) engine.Config {
	t.Helper()
	const memory = 128 * units.MiB
	const managed = memory - 32*units.MiB // memory.reserved
	set := float64(v.Int("points") * (8*v.Int("dim") + 8))
	limit := of * set * 8 / 7 // an eighth is for copies on their way
	if of == 1 {
		limit *= 1.2 // frames do not fill their pages, the last of a partition least
	}
	fraction := limit / float64(managed)
	if fraction > 0.5 {
		t.Fatalf("a cache of %v bytes takes more than half of %v", limit, managed)
	}
	return engine.Config{Memory: memory, Conf: map[string]string{
		"rdd.compress": "true", "io.compression.codec": codec, "storage.readBackFraction": strconv.FormatFloat(fraction, 'f', 6, 64)}}
}

// figure returns a figure of an answer; 0 when it has none of that name.
func figure(a *workloads.Answer, name string) float64 {
	for _, f := range a.Figures {
		if f.Name == name {
			return f.Value
		}
	}
	return 0
}

// With the read-back cache fewer bytes are read and decompressed in every
// iteration after the first: none when the set fits, and clearly fewer when
// it is twice as large, where a cache that evicts by age would find nothing.
func TestReadBackSavesReadingAndDecoding(t *testing.T) {
	v := set(t, "points", "60000", "rounds", "8", "storage", "disk-only", "partitions", "8")
	var file, decoded []float64
	for _, k := range kept {
		a := answer(t, v, withReadBack(t, v, "lz4", k.of))
		t.Logf("%s: read %.0f, decompressed %.0f, copied %.0f", k.name, figure(a, "read from block files"), figure(a, "decompressed"), figure(a, "read from copies"))
		file, decoded = append(file, figure(a, "read from block files")), append(decoded, figure(a, "decompressed"))
		if copied := figure(a, "read from copies"); (copied > 0) != (k.of > 0) {
			t.Errorf("%s: %.0f bytes read from copies", k.name, copied)
		}
	}
	if file[0] == 0 || decoded[0] < file[0] {
		t.Fatalf("without the cache %.0f bytes were read and %.0f decompressed: the set is not kept as this test wants", file[0], decoded[0])
	}
	// The first iteration reads all of the set, an eighth of it all; ristretto
	// may drop a Set, so not quite all is there afterwards.
	for i, most := range []float64{1: 0.25, 2: 0.8} {
		if i > 0 && (file[i] > most*file[0] || decoded[i] > most*decoded[0]) {
			t.Errorf("%s: read %.0f and decompressed %.0f bytes, without the cache %.0f and %.0f; want at most %.2f of them",
				kept[i].name, file[i], decoded[i], file[0], decoded[0], most)
		}
	}
}

// BenchmarkReadBack times an iteration over points on disk, compressed.
func BenchmarkReadBack(b *testing.B) {
	for _, codec := range []string{"lz4", "zstd"} {
		for _, k := range kept {
			b.Run("codec="+codec+"/cache="+k.name, func(b *testing.B) {
				v := set(b, "points", "200000", "k", "3", "rounds", "4", "storage", "disk-only")
				cfg := withReadBack(b, v, codec, k.of)
				cfg.Cores, cfg.Temp = 2, b.TempDir()
				s, err := engine.Open(cfg)
				if err != nil {
					b.Fatal(err)
				}
				defer func() {
					if err := s.Close(); err != nil {
						b.Error(err)
					}
				}()
				built, err := workloads.Build(s, Workload, v, workloads.Input{})
				if err == nil {
					err = prepare(b.Context(), s, built, v)
				}
				if err == nil { // a first reading fills the cache
					_, err = run(b.Context(), s, built, v, "")
				}
				if err != nil {
					b.Fatal(err)
				}
				began := s.BlockReads()
				for b.Loop() {
					if _, err := run(b.Context(), s, built, v, ""); err != nil {
						b.Fatal(err)
					}
				}
				read := s.BlockReads().Sub(began)
				b.ReportMetric(float64(read.File)/float64(b.N), "file-B/op")
				b.ReportMetric(float64(read.Decoded)/float64(b.N), "decoded-B/op")
				b.ReportMetric(float64(read.Copied)/float64(b.N), "copied-B/op")
			})
		}
	}
}

// Points that are all the same leave all but the first centre empty: those
// stay.
func TestEmptyCentresStay(t *testing.T) {
	s := shape{points: 4, blobs: 1, dim: 2, k: 3}
	r := result{Centres: []float64{1, 1, 5, 5, 9, 9}, Counts: make([]int64, 3)}
	found := s.newTally()
	near := newNearest(r.Centres, 2)
	near.add(found, []point{{0, 0}, {2, 0}, {0, 2}, {2, 2}})
	r.move(&s, found)
	if !slices.Equal(r.Centres, []float64{1, 1, 5, 5, 9, 9}) || !slices.Equal(r.Counts, []int64{4, 0, 0}) || r.Cost != 8 {
		t.Errorf("%+v", r)
	}
}

// Of equally near centres the first is taken, in every place of the loop.
func TestTiesGoToTheFirst(t *testing.T) {
	for _, centres := range [][]float64{{1, 3}, {9, 1, 3}, {9, 1, 3, 8}, {1, 9, 3}, {1, 1, 1}, {1, 3, 3, 1, 1}} {
		best, _ := newNearest(centres, 1).of(point{2})
		if want := slices.Index(centres, 1); best != want {
			t.Errorf("%v: centre %d, want %d", centres, best, want)
		}
	}
}

// The kernel of the machine and the plain one agree to the bit, and both with
// a loop over the centres, in every place of a tile and with tiles that are
// not full.
func TestNearestAgreesWithAPlainLoop(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		dim, k := 1+rng.IntN(23), 1+rng.IntN(40)
		centres := make([]float64, k*dim)
		for i := range centres {
			centres[i] = float64(rng.IntN(5)) + rng.Float64()*float64(rng.IntN(2))
		}
		p := make(point, dim)
		for j := range p {
			p[j] = float64(rng.IntN(5)) + rng.Float64()*float64(rng.IntN(2))
		}
		n := newNearest(centres, dim)
		want, most := 0, math.Inf(-1)
		for c := range k {
			score := 0.0
			for _, v := range centres[c*dim:][:dim] {
				score -= float64(v * v / 2)
			}
			for j, v := range centres[c*dim:][:dim] {
				score += float64(p[j] * v)
			}
			if score > most {
				want, most = c, score
			}
		}
		if best, score := n.of(p); best != want || score != most {
			t.Fatalf("%d centres of %d coordinates: centre %d of score %v, want %d of %v", k, dim, best, score, want, most)
		}
		for at := 0; at < len(n.tiles); at += tileLen(dim) {
			centres := n.tiles[at:][:tileLen(dim)]
			best, score := bestOf(p, centres)
			if i, s := bestOfTile(p, centres); i != best || s != score {
				t.Fatalf("centre %d of score %v, in plain Go %d of %v", best, score, i, s)
			}
		}
	}
}

func TestPlantedFaultsAreCaught(t *testing.T) {
	v := set(t, "points", "2000", "dim", "3", "k", "4", "rounds", "3")
	a := answer(t, v, engine.Config{})
	right := a.Detail.(result)
	for name, fault := range map[string]func(*result){
		"a coordinate":      func(r *result) { r.Centres[5] += 2e-6 },
		"no number":         func(r *result) { r.Centres[0] = math.NaN() },
		"two centres":       func(r *result) { r.Centres[0], r.Centres[3] = r.Centres[3], r.Centres[0] },
		"a centre left out": func(r *result) { r.Centres = r.Centres[3:] },
		"a point elsewhere": func(r *result) { r.Counts[0]++; r.Counts[1]-- },
		"the cost":          func(r *result) { r.Cost *= 1.001 },
	} {
		wrong := result{slices.Clone(right.Centres), slices.Clone(right.Counts), right.Cost}
		fault(&wrong)
		verdict, err := verify(t.Context(), workloads.Gen{}, v, workloads.Input{}, &workloads.Answer{Records: 4, Detail: wrong, Checksum: wrong.checksum()})
		if err != nil || verdict.OK {
			t.Errorf("%s: not caught, %v", name, err)
		}
	}
	if verdict, err := verify(t.Context(), workloads.Gen{}, set(t, "points", "2000", "dim", "3", "k", "4", "rounds", "2"), workloads.Input{}, a); err != nil || verdict.OK {
		t.Errorf("an iteration too many: %v", err)
	}
	if verdict, err := verify(t.Context(), workloads.Gen{}, v, workloads.Input{}, &workloads.Answer{Records: 4, Detail: right, Checksum: "0"}); err != nil || verdict.OK {
		t.Errorf("another checksum: %v", err)
	}
	if err := check(set(t, "points", "3", "k", "4")); err == nil || !strings.Contains(err.Error(), "4 centres of 3 points") {
		t.Errorf("more centres than points: %v", err)
	}
}

// The verifier's loop comes to rest where the same in matrices does.
func TestVerifierAgreesWithGonum(t *testing.T) {
	s := shape{points: 400, blobs: 4, dim: 5, k: 4, seed: 9}
	x := mat.NewDense(int(s.points), s.dim, nil)
	for i := range int(s.points) {
		s.put(x.RawRowView(i), int64(i))
	}
	c := mat.DenseCopyOf(x.Slice(0, s.k, 0, s.dim))
	rounds := 0
	for still := false; !still && rounds < 100; rounds++ {
		// Distances without |x|²: -2·X·Cᵀ + 1·|c|²; then means as (AᵀA)⁻¹·Aᵀ·X, A
		// being the matrix of who belongs where.
		var d, sums mat.Dense
		d.Mul(x, c.T())
		a := mat.NewDense(int(s.points), s.k, nil)
		for i := range int(s.points) {
			best, least := 0, math.Inf(1)
			for j := range s.k {
				row := c.RowView(j)
				if v := mat.Dot(row, row) - 2*d.At(i, j); v < least {
					best, least = j, v
				}
			}
			a.Set(i, best, 1)
		}
		sums.Mul(a.T(), x)
		next := mat.DenseCopyOf(c)
		for j := range s.k {
			if n := mat.Sum(a.ColView(j)); n > 0 {
				row := mat.NewVecDense(s.dim, next.RawRowView(j))
				row.ScaleVec(1/n, sums.RowView(j))
			}
		}
		still = mat.EqualApprox(c, next, 0)
		c = next
	}
	if rounds < 3 || rounds == 100 {
		t.Fatalf("it came to rest after %d rounds", rounds)
	}
	for _, more := range []int{0, 5} { // and stays there
		r, err := lloyd(t.Context(), workloads.Gen{Cores: 3}, &s, rounds+more)
		if err != nil {
			t.Fatal(err)
		}
		if !mat.EqualApprox(c, mat.NewDense(s.k, s.dim, r.Centres), 1e-9) {
			t.Errorf("%d rounds: %v, gonum has %v", rounds+more, r.Centres, c.RawMatrix().Data)
		}
	}
}

func TestPointCodec(t *testing.T) {
	c, err := codec.For[point]()
	if err != nil {
		t.Fatal(err)
	}
	rows := []point{{1, 2, 3}, {}, {math.Pi}, {-4, 5}}
	data := c.Append(nil, rows)
	for _, shift := range []int{0, 1, 4, 8} { // views, and copies from odd addresses
		src := append(make([]byte, shift, shift+len(data)), data...)[shift:]
		got, rest, err := c.Decode(nil, src, 10)
		if err != nil || len(rest) != 0 || !slices.EqualFunc(got, rows, func(a, b point) bool { return slices.Equal(a, b) }) {
			t.Errorf("shift %d: %v, %d left, %v", shift, got, len(rest), err)
		}
		if got, rest, err := c.Decode(nil, src, 2); err != nil || len(got) != 2 || !bytes.Equal(rest, data[40:]) {
			t.Errorf("shift %d: two of four: %v, %d left, %v", shift, got, len(rest), err)
		}
	}
	for n := 1; n < len(data); n++ {
		got, _, err := c.Decode(nil, data[:n], 10)
		if err == nil && (len(got) == len(rows) || !bytes.Equal(c.Append(nil, got), data[:n])) {
			t.Errorf("%d of %d bytes are %v", n, len(data), got)
		}
		if err != nil && !errors.Is(err, codec.ErrCorrupt) {
			t.Error(err)
		}
	}
}

// The points do not depend on how they are made; those of two seeds differ.
func TestPointsFollowFromTheirNumber(t *testing.T) {
	s := shapeOf(set(t, "dim", "6", "seed", "3"))
	other := shapeOf(set(t, "dim", "6", "seed", "4"))
	same := 0
	p, q := make([]float64, 6), make([]float64, 6)
	for i := range int64(1000) {
		s.put(p, i)
		s.put(q, i)
		if !slices.Equal(p, q) {
			t.Fatal("a point differs from itself")
		}
		other.put(q, i)
		if slices.Equal(p, q) {
			same++
		}
		for _, v := range p {
			if v < 0 || v >= extent || v*grid != math.Trunc(v*grid) {
				t.Fatalf("coordinate %v", v)
			}
		}
	}
	if same > 0 {
		t.Errorf("%d of 1000 points are those of another seed", same)
	}
}

func BenchmarkNearest(b *testing.B) {
	s := shape{points: 1 << 12, blobs: 10, dim: 20, k: 10}
	points := make([]point, s.points)
	var centres []float64
	for i := range points {
		points[i] = make(point, s.dim)
		s.put(points[i], int64(i))
		if i < s.k {
			centres = append(centres, points[i]...)
		}
	}
	near, found := newNearest(centres, s.dim), s.newTally()
	for b.Loop() {
		near.add(found, points)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.points), "ns/point")
}
