package pagerank

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/graph/network"
	"gonum.org/v1/gonum/graph/simple"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/codec"
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

func open(t testing.TB, conf map[string]string) *engine.Session {
	t.Helper()
	s, err := engine.Open(engine.Config{Cores: 2, Memory: 128 * units.MiB, Temp: t.TempDir(), Conf: conf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// files writes texts below a new folder.
func files(t testing.TB, texts map[string]string) workloads.Input {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var w io.WriteCloser = f
		if strings.HasSuffix(name, ".gz") {
			w = gzip.NewWriter(f)
		}
		_, err = io.WriteString(w, text)
		if w != io.WriteCloser(f) && err == nil {
			err = w.Close()
		}
		if cerr := f.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
	}
	return workloads.Input{Paths: []string{dir}}
}

func answer(t testing.TB, s *engine.Session, v workloads.Values, in workloads.Input) (*workloads.Answer, error) {
	t.Helper()
	built, err := workloads.Build(s, Workload, v, in)
	if err != nil {
		t.Fatal(err)
	}
	return run(t.Context(), s, built, v, filepath.Join(t.TempDir(), "out"))
}

func lines(t testing.TB, dir string) (all []string) {
	t.Helper()
	list, err := workloads.OutputFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		data, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Fields(string(data))...)
	}
	slices.Sort(all)
	return all
}

// A graph small enough to follow: 0 and 1 give all to 2, which gives it back
// by halves; 3 has links from nowhere and gives to itself and twice to 2.
func TestRanksByHand(t *testing.T) {
	in := files(t, map[string]string{
		"a.csv":    "source,destination\r\n0,2\r\n\r\n1,2\r\n",
		"b.csv":    "2,0\n2,1", // no header, no last newline
		"c.csv.gz": "3,3\n3,2\n3,2\n",
		"d.csv":    "",
	})
	s := open(t, nil)
	for _, parts := range []string{"1", "3", "7"} {
		v := set(t, "rounds", "2", "partitions", parts)
		a, err := answer(t, s, v, in)
		if err != nil {
			t.Fatal(err)
		}
		b, q := 0.15/4, 0.25
		r0, r2, r3 := b+.85*q/2, b+.85*(2*q+q*2/3), b+.85*q/3
		want := []float64{b + .85*r2/2, b + .85*r2/2, b + .85*(2*r0+r3*2/3), b + .85*r3/3}
		for i, l := range lines(t, a.Dir) {
			var node int
			var rank float64
			if n, err := fmt.Sscanf(l, "%d,%g", &node, &rank); n != 2 || err != nil || node != i || math.Abs(rank-want[i]) > 1e-12 {
				t.Errorf("%s partitions: line %q, want %d,%g", parts, l, i, want[i])
			}
		}
		for _, memory := range []units.Bytes{1, units.GiB} { // links in their files, and in memory
			verdict, err := verify(t.Context(), workloads.Gen{Memory: memory}, v, in, a)
			if err != nil || !verdict.OK {
				t.Errorf("%v %v", verdict, err)
			}
		}
	}
	// More nodes than the links know, and fewer.
	v := set(t, "nodes", "6", "rounds", "1")
	a, err := answer(t, s, v, in)
	if err != nil || a.Records != 6 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := answer(t, s, set(t, "nodes", "3"), in); err == nil || !strings.Contains(err.Error(), "a link with node 3") {
		t.Errorf("a node too many: %v", err)
	}
	if _, err := answer(t, s, set(t), files(t, map[string]string{"a": "x,y\n"})); err == nil || !strings.Contains(err.Error(), "without links") {
		t.Errorf("no links: %v", err)
	}
}

func TestBrokenLinesAreRefused(t *testing.T) {
	s := open(t, map[string]string{"task.maxFailures": "1"})
	for _, bad := range []string{"1", "1,", ",1", "1,2,3", "1;2", "-1,2", "1,4294967295", "99999999999,1", "1,2 ", "source,destination"} {
		in := files(t, map[string]string{"a.csv": "0,1\n" + bad + "\n"})
		if _, err := answer(t, s, set(t), in); err == nil || !strings.Contains(err.Error(), "a.csv") || !strings.Contains(err.Error(), fmt.Sprintf("%q", bad)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// However many groups of however many blocks the links lie in, the ranks are
// the same: with a block for each group, some, or one group of all, and few or many tiles.
func TestGroupsOfLinksChangeNothing(t *testing.T) {
	const nodes = 5<<blockBits + 123
	rng := rand.New(rand.NewPCG(5, 6))
	var text strings.Builder
	for range 20000 {
		fmt.Fprintf(&text, "%d,%d\n", rng.IntN(nodes), rng.IntN(nodes))
	}
	fmt.Fprintf(&text, "%d,%d\n", nodes-1, nodes-1)
	in := files(t, map[string]string{"links": text.String()})
	v := set(t, "nodes", fmt.Sprint(nodes), "rounds", "2")
	s := open(t, nil)
	want := ""
	for _, at := range []place{{nodes, 1, 0, 32}, {nodes, 3, 0, 13}, {nodes, 4, 1, 15}, {nodes, 3, 2, 12}, {nodes, 2, 5, 10}} {
		built, err := build(s, v, in)
		if err != nil {
			t.Fatal(err)
		}
		g := built.(*graph)
		g.parts = at.parts
		out := filepath.Join(t.TempDir(), "out")
		w, err := g.begin(s, at).next(s).next(s).lines.Write(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		a := &workloads.Answer{Dir: out, Records: w.Records}
		if verdict, err := verify(t.Context(), workloads.Gen{}, v, in, a); err != nil || !verdict.OK {
			t.Errorf("%+v: %v %v", at, verdict, err)
		}
		if want == "" {
			want = a.Checksum
		}
		if a.Checksum != want {
			t.Errorf("%+v: the lines' checksum is %s, want %s", at, a.Checksum, want)
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	for _, nodes := range []int64{1, 1 << blockBits, 1<<blockBits + 1, 1e6, nodeMax + 1} {
		for _, parts := range []int64{1, 4, 7, 100000} {
			p := newPlace(nodes, parts)
			from := (nodes - 1) / parts * parts // the first of the last in each partition
			last := p.stream()(edge{uint32(from), uint32(nodes - 1)}) + (int(parts)-1)*p.groups()*p.tiles()
			if got := p.streams(); last != got-1 || p.groups()*p.tiles() > 1 && got > streamsMax {
				t.Errorf("%+v: %d streams, and the last link is in %d", p, got, last)
			}
		}
	}
}

// Lines that are read eight bytes at a time are read as those digit by digit.
func TestShortEdges(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	short := regexp.MustCompile(`^[0-9]{1,7},[0-9]{1,7}\n`)
	ends := []string{"\n", "\n", "\n", "\n", "\r\n", " \n", ",", "\n\n", "x\n", ""}
	for range 20000 {
		line := fmt.Sprintf("%0*d,%0*d%s", rng.IntN(9), rng.IntN(int(math.Pow10(rng.IntN(9)))), rng.IntN(9), rng.IntN(int(math.Pow10(rng.IntN(9)))), ends[rng.IntN(len(ends))])
		text := []byte(line + strings.Repeat("z", rng.IntN(20)))
		want, wantRest, ok := parseEdge(text)
		got, rest := shortEdges(make([]edge, 0, 1), text)
		switch {
		case len(got) == 1 && (!ok || got[0] != want || len(rest) != len(wantRest)):
			t.Fatalf("%q: %v with %q left, want %v with %q", text, got[0], rest, want, wantRest)
		case len(got) == 0 && len(rest) != len(text):
			t.Fatalf("%q: no link, but only %q left", text, rest)
		case len(got) == 0 && ok && len(text) >= shortMax && short.Match(text):
			t.Fatalf("%q was not read", text)
		}
	}
	// Every byte that is no digit ends a number.
	for c := range 256 {
		w := [8]byte{'1', '2', byte(c), '9', '9', '9', '9', '9'}
		if v, n := shortNumber(binary.LittleEndian.Uint64(w[:])); !digit(byte(c)) && (v != 12 || n != 2) {
			t.Errorf("%q: %d of %d digits", w, v, n)
		}
	}
}

// Bundles and gifts come back as they were, from addresses odd and even, and
// damaged bytes are refused.
func TestCodecs(t *testing.T) {
	testCodec(t, bundleCodec{}, []bundle{{1, []uint32{7}, []uint16{9}}, {3, []uint32{1, 2, 3}, []uint16{4, 5, 65535}}})
	testCodec(t, giftsCodec{}, []gifts{{5, []int64{-1}}, {1 << 31, []int64{1, 2, one}}})
}

func testCodec[T any](t *testing.T, c codec.Codec[T], rows []T) {
	t.Helper()
	for shift := range 9 {
		buf := make([]byte, shift, 256)
		buf = c.Append(buf, rows)
		data := buf[shift:]
		if r, ok := c.(codec.Rows[T]); ok && (r.Size(rows) != len(data) || r.RowLen(data) != r.Size(rows[:1])) {
			t.Errorf("%d bytes, and %d of them the first row; it says %d and %d", len(data), r.Size(rows[:1]), r.Size(rows), r.RowLen(data))
		}
		got, rest, err := c.Decode(nil, data, 1)
		if err == nil {
			got, rest, err = c.Decode(got, rest, 9)
		}
		if err != nil || len(rest) != 0 || !reflect.DeepEqual(got, rows) {
			t.Errorf("at %d: %v, %v with %d bytes left", shift, err, got, len(rest))
		}
		for cut := range len(data) {
			if got, rest, err := c.Decode(nil, data[:cut], 9); err != nil && !errors.Is(err, codec.ErrCorrupt) || err == nil && len(c.Append(nil, got)) != cut || len(rest) > cut {
				t.Errorf("cut to %d bytes: %v, %v", cut, got, err)
			}
		}
	}
	for _, size := range []uint32{0, 1 << 16, 1 << 29, 1 << 31, math.MaxUint32} {
		bad := binary.LittleEndian.AppendUint32(make([]byte, 4), size)
		bad = append(bad, make([]byte, 64)...)
		if got, _, err := c.Decode(nil, bad, 1); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("of size %d: %v, %v", size, got, err)
		}
	}
}

// Each fault in an output is caught by the verifier, in memory and streamed.
func TestPlantedFaultsAreCaught(t *testing.T) {
	v := set(t, "nodes", "300", "edges", "3000", "rounds", "4")
	dir := t.TempDir()
	if err := generate(t.Context(), workloads.Gen{}, v, dir); err != nil {
		t.Fatal(err)
	}
	in := workloads.Input{Paths: []string{dir}, Generated: true}
	a, err := answer(t, open(t, nil), v, in)
	if err != nil {
		t.Fatal(err)
	}
	whole := lines(t, a.Dir)
	judge := func(lines []string) *workloads.Verdict {
		t.Helper()
		out := files(t, map[string]string{"part-00000": strings.Join(lines, "\n") + "\n"}).Paths[0]
		verdict, err := verify(t.Context(), workloads.Gen{}, v, in, &workloads.Answer{Dir: out, Records: int64(len(lines))})
		if err != nil {
			t.Fatal(err)
		}
		again, err := verifyDir(t.Context(), workloads.Gen{Memory: 1}, v, out, &in)
		if err != nil || again.OK != verdict.OK {
			t.Errorf("the folder alone, streamed: %v %v", again, err)
		}
		return verdict
	}
	if verdict := judge(whole); !verdict.OK {
		t.Fatalf("the right answer: %v", verdict.Failed())
	}
	node := func(l string) string { n, _, _ := strings.Cut(l, ","); return n }
	for name, lines := range map[string][]string{
		"a rank off by 2e-9":     append(slices.Clone(whole[:299]), node(whole[299])+","+fmt.Sprint(r0(whole[299])*(1+2e-9))),
		"a rank not a number":    append(slices.Clone(whole[:299]), node(whole[299])+",NaN"),
		"a node left out":        whole[:299],
		"a node there twice":     append(slices.Clone(whole), whole[7]),
		"a node of no graph":     append(slices.Clone(whole), "300,0.1"),
		"a line that is none":    append(slices.Clone(whole), "hello"),
		"the ranks of two nodes": append(slices.Clone(whole[2:]), node(whole[0])+","+fmt.Sprint(r0(whole[1])), node(whole[1])+","+fmt.Sprint(r0(whole[0]))),
	} {
		if verdict := judge(lines); verdict.OK {
			t.Errorf("%s was not caught", name)
		}
	}
	// One iteration too few is a wrong answer too.
	if verdict, err := verify(t.Context(), workloads.Gen{}, set(t, "nodes", "300", "edges", "3000", "rounds", "5"), in, a); err != nil || verdict.OK {
		t.Errorf("an iteration too few: %v %v", verdict, err)
	}
	if verdict, err := verifyDir(t.Context(), workloads.Gen{}, v, a.Dir, nil); err != nil || !verdict.OK {
		t.Errorf("without an input: %v %v", verdict, err)
	}
}

// r0 returns the rank of a line.
func r0(line string) (r float64) {
	_, rank, _ := strings.Cut(line, ",")
	fmt.Sscan(rank, &r)
	return r
}

// The verifier's loop converges to what gonum finds. Every node has a link,
// since gonum gives the ranks of those without to all.
func TestVerifierAgreesWithGonum(t *testing.T) {
	const n = 60
	rng := rand.New(rand.NewPCG(1, 2))
	g := simple.NewDirectedGraph()
	var text strings.Builder
	for from := range n {
		for _, to := range rng.Perm(n)[:1+rng.IntN(6)] {
			if to == from {
				to = (from + 1) % n
			}
			if g.HasEdgeFromTo(int64(from), int64(to)) {
				continue
			}
			g.SetEdge(g.NewEdge(simple.Node(from), simple.Node(to)))
			fmt.Fprintf(&text, "%d,%d\n", from, to)
		}
	}
	in := files(t, map[string]string{"links": text.String()})
	list, err := workloads.InputFiles(in.Paths)
	if err != nil {
		t.Fatal(err)
	}
	want := network.PageRank(g, damping, 1e-12)
	for _, memory := range []int64{1, 1 << 20} {
		w := web{files: list, memory: memory}
		if err := w.survey(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := w.ranks(t.Context(), n, 200)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range got {
			if math.Abs(r-want[int64(i)]) > 1e-9 {
				t.Errorf("node %d: %v, gonum has %v", i, r, want[int64(i)])
			}
		}
	}
}

// However many iterations there are, the map outputs of two of them are kept.
func TestMapOutputsDoNotPileUp(t *testing.T) {
	s := open(t, nil)
	v := set(t, "nodes", "3000", "edges", "20000")
	dir := t.TempDir()
	if err := generate(t.Context(), workloads.Gen{}, v, dir); err != nil {
		t.Fatal(err)
	}
	kept := func() (n int64) {
		for _, a := range s.Accounts() {
			if a.Name == "shuffle" || a.Name == "cached partitions" {
				n += a.Bytes
			}
		}
		return n
	}
	empty := kept() // buffers that live as long as the session
	held := func(rounds string) int64 {
		round := s.Scope()
		defer round.Release()
		v := set(t, "nodes", "3000", "edges", "20000", "rounds", rounds)
		built, err := workloads.Build(round, Workload, v, workloads.Input{Paths: []string{dir}, Generated: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run(t.Context(), round, built, v, filepath.Join(t.TempDir(), "out")); err != nil {
			t.Fatal(err)
		}
		return kept() - empty
	}
	few := held("3")
	if many := held("12"); few == 0 || many > few {
		t.Errorf("%d bytes are held after 3 iterations, %d after 12", few, many)
	}
	if n := kept(); n != empty {
		t.Errorf("%d bytes are held after the release, %d before the first", n, empty)
	}
}
