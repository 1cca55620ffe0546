package wordcount

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/execbench/execbench/workloads"
)

const separatorSet = " \t\n\v\f\r"

// naive counts words the slow way.
func naive(texts ...string) map[string]int64 {
	counts := map[string]int64{}
	for _, s := range texts {
		for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune(separatorSet, r) }) {
			counts[w]++
		}
	}
	return counts
}

// lines writes counts as output lines, sorted.
func lines(counts map[string]int64) []string {
	var out []string
	for _, w := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%s\t%d\n", w, counts[w]))
	}
	return out
}

// files writes each text to a file of its own in one folder.
func files(t testing.TB, texts ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, s := range texts {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("part-%05d", i)), []byte(s), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wrong verifies an output folder and returns the names of the checks that
// failed.
func wrong(t testing.TB, g workloads.Gen, dir string, in *workloads.Input) string {
	t.Helper()
	v, err := verifyDir(t.Context(), g, Workload.Values(), dir, in)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range v.Failed() {
		names = append(names, c.Name)
	}
	if v.OK != (len(names) == 0) {
		t.Errorf("verdict %v with failed checks %v", v.OK, names)
	}
	return strings.Join(names, "; ")
}

const (
	malformed = "lines that are not word, tab, count"
	repeated  = "words written twice"
	invented  = "words written that the input does not have"
	missing   = "words of the input that are not written"
	miscount  = "words with a wrong count"
	total     = "words in all"
)

func TestVerifierCatchesPlantedFaults(t *testing.T) {
	input := files(t, "the cat  sat\non\tthe mat\r\n", "the end", "", "of \x00 and \xff\xfe and é\v\f")
	in := &workloads.Input{Paths: []string{input}}
	for _, c := range []struct {
		name  string
		fault func(counts map[string]int64)
		want  string
	}{
		{"none", func(map[string]int64) {}, ""},
		{"a word dropped", func(c map[string]int64) { delete(c, "mat") }, missing + "; " + total},
		{"a word added", func(c map[string]int64) { c["dog"] = 1 }, invented + "; " + total},
		{"a count changed", func(c map[string]int64) { c["the"]++ }, miscount + "; " + total},
		{"two counts changed that make up for each other", func(c map[string]int64) { c["the"]--; c["cat"]++ }, miscount},
		{"a word replaced", func(c map[string]int64) { delete(c, "mat"); c["mut"] = 1 }, invented + "; " + missing},
		{"two files joined at a word", func(c map[string]int64) { delete(c, "end"); delete(c, "of"); c["endof"] = 1 }, invented + "; " + missing + "; " + total},
		{"bytes taken for characters", func(c map[string]int64) { delete(c, "\xff\xfe"); c["\ufffd\ufffd"] = 1 }, invented + "; " + missing},
		{"everything lost", func(c map[string]int64) { clear(c) }, missing + "; " + total},
	} {
		counts := naive("the cat  sat\non\tthe mat\r\n", "the end", "of \x00 and \xff\xfe and é\v\f")
		c.fault(counts)
		out := files(t, strings.Join(lines(counts), ""))
		for _, g := range []workloads.Gen{{Cores: 1}, {Cores: 3, Memory: 1}} {
			if got := wrong(t, g, out, in); got != c.want {
				t.Errorf("%s: verifier objects to %q, want %q", c.name, got, c.want)
			}
		}
	}
}

func TestVerifierReadsLinesStrictly(t *testing.T) {
	in := &workloads.Input{Paths: []string{files(t, "a b b")}}
	for out, want := range map[string]string{
		"a\t1\nb\t2\n":                          "",
		"b\t2\na\t1\n":                          "",
		"a\t1\nb\t2":                            malformed + "; " + missing + "; " + total,
		"a\t1\nb\t1\nb\t1\n":                    repeated + "; " + miscount,
		"a\t1\nb\t2\nb\t2\n":                    repeated + "; " + total,
		"a\t1\nb\t2\n\n":                        malformed,
		"a\t1\nb\t2\n\t1\n":                     malformed,
		"a\t1\nb\t2\nc\t0\n":                    malformed,
		"a\t1\nb\t2\nc\t-1\n":                   malformed,
		"a\t01\nb\t2\n":                         malformed + "; " + missing + "; " + total,
		"a\t+1\nb\t2\n":                         malformed + "; " + missing + "; " + total,
		"a 1\nb\t2\n":                           malformed + "; " + missing + "; " + total,
		"a\t1\t1\nb\t2\n":                       malformed + "; " + missing + "; " + total,
		"a\t1\nb\t2\nc d\t1\n":                  malformed,
		"a\t1\nb\t2\nc\t99999999999999999999\n": malformed,
	} {
		if got := wrong(t, workloads.Gen{}, files(t, out), in); got != want {
			t.Errorf("output %q: verifier objects to %q, want %q", out, got, want)
		}
	}
}

func TestVerifierWithoutInput(t *testing.T) {
	for out, want := range map[string]string{"a\t1\nb\t2\n": "", "a\t1\na\t2\n": repeated, "x": malformed} {
		if got := wrong(t, workloads.Gen{}, files(t, out), nil); got != want {
			t.Errorf("output %q: verifier objects to %q, want %q", out, got, want)
		}
	}
}

// A word twice in two files is as wrong as in one.
func TestVerifierLooksAcrossFiles(t *testing.T) {
	in := &workloads.Input{Paths: []string{files(t, "a a b")}}
	if got := wrong(t, workloads.Gen{}, files(t, "a\t2\n", "b\t1\n"), in); got != "" {
		t.Errorf("right output in two files: verifier objects to %q", got)
	}
	if got := wrong(t, workloads.Gen{}, files(t, "a\t1\nb\t1\n", "a\t1\n"), in); got != repeated+"; "+miscount {
		t.Errorf("a word split over two files: verifier objects to %q", got)
	}
}

// Words that lie across the ranges in which files are read, words longer
// than ranges, ranges without a separator.
func TestVerifierAcrossRanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for trial := range 8 {
		var b strings.Builder
		for b.Len() < 2*scanBytes+1000 {
			b.WriteString(strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN(9)))
			b.WriteByte(separatorSet[rng.IntN(len(separatorSet))])
		}
		s := []byte(b.String())
		switch trial {
		case 0: // a word that ends exactly where a range ends
			copy(s[scanBytes-4:], " abc ")
		case 1: // one that begins exactly there
			copy(s[scanBytes-1:], " abc ")
		case 2: // one across
			copy(s[scanBytes-2:], " abc ")
		case 3: // one over a whole range and more
			for i := scanBytes - 10; i < 2*scanBytes+10; i++ {
				s[i] = 'x'
			}
		case 4: // to the end of the file
			for i := scanBytes + 10; i < len(s); i++ {
				s[i] = 'x'
			}
		case 5: // the last byte of the first range is the last of the file
			s = s[:scanBytes]
		case 6:
			s = append(s[:scanBytes-1], 'q')
		}
		in := &workloads.Input{Paths: []string{files(t, string(s), "x")}}
		counts := naive(string(s), "x")
		out := files(t, strings.Join(lines(counts), ""))
		if got := wrong(t, workloads.Gen{Cores: 2}, out, in); got != "" {
			t.Errorf("trial %d: verifier objects to %q", trial, got)
		}
		counts["x"]++
		out = files(t, strings.Join(lines(counts), ""))
		if got := wrong(t, workloads.Gen{Cores: 2}, out, in); !strings.Contains(got, total) {
			t.Errorf("trial %d: planted fault not caught: %q", trial, got)
		}
	}
}

// With less memory than the words take, the verifier works range by range
// and comes to the same verdict.
func TestVerifierInTinyMemory(t *testing.T) {
	const n = 100000
	var b strings.Builder
	counts := map[string]int64{}
	for i := range n {
		w := fmt.Sprintf("word%d", i)
		counts[w] = 1 + int64(i%3)
		b.WriteString(strings.Repeat(w+" ", int(counts[w])))
	}
	in := &workloads.Input{Paths: []string{files(t, b.String())}}
	right := files(t, strings.Join(lines(counts), ""))
	counts["word77"]++
	counts["word4711"]--
	delete(counts, "word99999")
	counts["wordless"] = 1
	faulty := files(t, strings.Join(lines(counts), ""))

	c, err := newCheck(workloads.Gen{Cores: 2, Memory: 1}, right, in)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.survey(t.Context()); err != nil || c.ranges(scanBytes) < 4 {
		t.Fatalf("%d ranges (%v): this is no test", c.ranges(scanBytes), err)
	}
	for _, g := range []workloads.Gen{{Cores: 2, Memory: 1}, {Cores: 1, Memory: 6 << 20}, {Cores: 2, Memory: 1 << 30}} {
		if got := wrong(t, g, right, in); got != "" {
			t.Errorf("%+v: verifier objects to %q", g, got)
		}
		if got := wrong(t, g, faulty, in); got != invented+"; "+missing+"; "+miscount {
			t.Errorf("%+v: verifier objects to %q", g, got)
		}
	}
}

// Compressed texts count as what they hold, and a word ends with its file.
func TestVerifierReadsCompressedTexts(t *testing.T) {
	dir := files(t, "a b")
	long := strings.Repeat("long words and short ones ", 20000) + "end"
	var gz, zst bytes.Buffer
	g := gzip.NewWriter(&gz)
	io.WriteString(g, long)
	g.Close()
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(z, long+"\n")
	z.Close()
	for name, data := range map[string][]byte{"x.gz": gz.Bytes(), "y.ZST": zst.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	in := &workloads.Input{Paths: []string{dir}}
	counts := naive("a b", long, long)
	if got := wrong(t, workloads.Gen{Cores: 2}, files(t, strings.Join(lines(counts), "")), in); got != "" {
		t.Errorf("verifier objects to %q", got)
	}
	counts["end"] = 1
	if got := wrong(t, workloads.Gen{Cores: 2}, files(t, strings.Join(lines(counts), "")), in); got != miscount+"; "+total {
		t.Errorf("a wrong count: verifier objects to %q", got)
	}
	broken := filepath.Join(dir, "x.gz")
	if err := os.WriteFile(broken, gz.Bytes()[:gz.Len()/2], 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = verifyDir(t.Context(), workloads.Gen{}, Workload.Values(), files(t, "a\t1\n"), in)
	if err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("half a compressed file: %v", err)
	}
}

// The answer's checksum depends on the words and counts alone.
func TestChecksumIgnoresOrderAndFiles(t *testing.T) {
	in := workloads.Input{Paths: []string{files(t, "a b b c")}}
	var want string
	for _, out := range []string{
		files(t, "a\t1\nb\t2\nc\t1\n"),
		files(t, "c\t1\n", "", "b\t2\na\t1\n"),
		files(t, "b\t2\n", "c\t1\na\t1\n"),
	} {
		a := &workloads.Answer{Dir: out, Records: 3}
		v, err := verify(t.Context(), workloads.Gen{}, Workload.Values(), in, a)
		if err != nil || !v.OK {
			t.Fatalf("%v %v", v, err)
		}
		if want == "" {
			want = a.Checksum
		}
		if a.Checksum != want {
			t.Errorf("checksums %s and %s", want, a.Checksum)
		}
	}
	a := &workloads.Answer{Dir: files(t, "a\t2\nb\t1\nc\t1\n"), Records: 4}
	v, err := verify(t.Context(), workloads.Gen{}, Workload.Values(), in, a)
	if err != nil || v.OK || a.Checksum == want {
		t.Errorf("other counts: checksum %s, verdict %v (%v)", a.Checksum, v.OK, err)
	}
	if failed := v.Failed(); failed[len(failed)-1].Name != "lines as the job counted them" {
		t.Errorf("the job's own count is not compared: %v", failed)
	}
}

func TestFindingNamesTheFirstWord(t *testing.T) {
	in := &workloads.Input{Paths: []string{files(t, "b c a b")}}
	v, err := verifyDir(t.Context(), workloads.Gen{}, Workload.Values(), files(t, "a\t5\nb\t3\nc\t1\n"), in)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Failed()[0].Got; got != `2, such as "a" counted 1, written 5` {
		t.Errorf("wrong counts are told as %s", got)
	}
}

func FuzzVerifierAgreesWithNaiveCount(f *testing.F) {
	f.Add("a b  a\n", "\xff\x00\vq")
	f.Fuzz(func(t *testing.T, one, two string) {
		in := &workloads.Input{Paths: []string{files(t, one, two)}}
		out := files(t, strings.Join(lines(naive(one, two)), ""))
		if got := wrong(t, workloads.Gen{}, out, in); got != "" {
			t.Errorf("verifier objects to %q", got)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	const size = 64 << 20
	path := generated(b, workloads.Gen{Cores: 2}, values(b, "size", fmt.Sprint(size)))
	in := &workloads.Input{Paths: []string{path}}
	out := files(b, strings.Join(lines(naive(text(b, path))), ""))
	b.SetBytes(size)
	for b.Loop() {
		if got := wrong(b, workloads.Gen{Cores: 1}, out, in); got != "" {
			b.Fatal(got)
		}
	}
}
