package wordcount

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/workloads"
)

// values returns the defaults changed by name, value pairs.
func values(t testing.TB, pairs ...string) workloads.Values {
	t.Helper()
	v := Workload.Values()
	for i := 0; i < len(pairs); i += 2 {
		if err := v.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// generated returns the file that generate writes for v.
func generated(t testing.TB, g workloads.Gen, v workloads.Values) string {
	t.Helper()
	dir := t.TempDir()
	if err := generate(t.Context(), g, v, dir); err != nil {
		t.Fatal(err)
	}
	files, err := workloads.InputFiles([]string{dir})
	if err != nil || len(files) != 1 || files[0].Bytes != dataBytes(v) {
		t.Fatalf("generated %v (%v), want one file of %d bytes", files, err, dataBytes(v))
	}
	return files[0].Path
}

func text(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTextIsTheSameForAnyCoresAndMemory(t *testing.T) {
	v := values(t, "size", "3500000", "seed", "5")
	want := text(t, generated(t, workloads.Gen{}, v))
	for _, g := range []workloads.Gen{{Cores: 1, Memory: 1}, {Cores: 2}, {Cores: 5}} {
		if got := text(t, generated(t, g, v)); got != want {
			t.Errorf("%+v generates another text", g)
		}
	}
	if got := text(t, generated(t, workloads.Gen{}, values(t, "size", "3500000", "seed", "6"))); got == want {
		t.Error("another seed generates the same text")
	}
}

// The bytes are a promise: results of different versions are compared.
func TestTextStaysWhatItWas(t *testing.T) {
	for _, c := range []struct {
		size, seed, vocabulary, exponent string
		want                             uint64
	}{
		{"2000000", "0", "100000", "1", 0x6c6e74742c217519},
		{"100000", "42", "1000", "1.2", 0xfb720aad636211f4},
		{"1000", "1", "50", "0", 0xca5e86de6d6899a3},
	} {
		v := values(t, "size", c.size, "seed", c.seed, "vocabulary", c.vocabulary, "exponent", c.exponent)
		if got := xxh3.HashString(text(t, generated(t, workloads.Gen{}, v))); got != c.want {
			t.Errorf("%+v: the text's XXH3 is %#x", c, got)
		}
	}
}

func TestTextIsLinesOfTenWords(t *testing.T) {
	got := text(t, generated(t, workloads.Gen{}, values(t, "size", "2500000")))
	if !strings.HasSuffix(got, "\n") {
		t.Error("the last line has no end")
	}
	lines, short, letters, words := strings.Split(strings.TrimSuffix(got, "\n"), "\n"), 0, 0, 0
	for _, line := range lines {
		w := strings.Fields(line)
		if len(w) != wordsPerLine {
			short++
		}
		for _, x := range w {
			letters += len(x)
			words++
		}
	}
	if short > 3 { // one at the end of each block
		t.Errorf("%d of %d lines have not ten words", short, len(lines))
	}
	if mean := float64(letters) / float64(words); mean < 4.5 || mean > 5.5 {
		t.Errorf("words are %.2f letters long on average, want about 5", mean)
	}
}

func TestSmallestTexts(t *testing.T) {
	for _, size := range []string{"1", "2", "3", "16", "17"} {
		got := text(t, generated(t, workloads.Gen{}, values(t, "size", size)))
		if got[len(got)-1] != '\n' || strings.Count(got, "\n") != 1 {
			t.Errorf("%s bytes of text are %q", size, got)
		}
	}
}

func TestVocabularyHasDistinctWords(t *testing.T) {
	const n = 1000000
	v := newVocabulary(n, 1)
	seen := make(map[string]bool, n)
	for rank := range n {
		slot := v.slots[rank*slotBytes:][:slotBytes]
		length := int(slot[slotBytes-1])
		if length < wordMin || length > wordMax || slot[length] != ' ' {
			t.Fatalf("rank %d has the slot %q", rank, slot)
		}
		if w := string(slot[:length]); seen[w] || strings.Trim(w, consonants+vowels) != "" {
			t.Fatalf("rank %d has the word %q, which is badly made or not its own", rank, w)
		} else {
			seen[w] = true
		}
	}
}

// The alias table gives every word exactly its weight, but for the rounding
// of 32-bit chances.
func TestWordsFollowZipf(t *testing.T) {
	for _, c := range []struct {
		n        int
		exponent float64
	}{{1, 1}, {2, 0}, {10, 0}, {1000, 1}, {1000, 0.5}, {1000, 2}, {1000, 4}, {4096, 1.1}} {
		v := newVocabulary(c.n, c.exponent)
		chance := make([]float64, c.n)
		for i, keep := range v.keep {
			p := float64(keep) / (1 << 32)
			if int(v.alias[i]) == i {
				p = 1
			}
			chance[i] += p / float64(c.n)
			chance[v.alias[i]] += (1 - p) / float64(c.n)
		}
		sum := 0.0
		for i := range c.n {
			sum += math.Pow(float64(i+1), -c.exponent)
		}
		for i := range c.n {
			want := math.Pow(float64(i+1), -c.exponent) / sum
			if diff := math.Abs(chance[i] - want); diff > 1e-6*want+1e-9 {
				t.Errorf("%d words, exponent %v: rank %d is drawn with %v, want %v", c.n, c.exponent, i+1, chance[i], want)
				break
			}
		}
	}
}

func TestDrawUsesTheTable(t *testing.T) {
	v := newVocabulary(4, 1)
	counts := map[string]int{}
	const draws = 1 << 18
	for i := range uint64(draws) {
		slot := v.draw(mix(i * golden))
		counts[string(slot[:slot[slotBytes-1]])]++
	}
	for rank := range 4 {
		slot := v.slots[rank*slotBytes:][:slotBytes]
		want := draws / float64(rank+1) / (1 + 1.0/2 + 1.0/3 + 1.0/4)
		if got := float64(counts[string(slot[:slot[slotBytes-1]])]); math.Abs(got-want) > 6*math.Sqrt(want) {
			t.Errorf("rank %d was drawn %v times of %d, want about %.0f", rank+1, got, draws, want)
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	vocab := newVocabulary(100000, 1)
	buf := make([]byte, textBlock+slotBytes)
	b.SetBytes(textBlock)
	b.ReportAllocs()
	for b.Loop() {
		fill(buf, vocab, 1)
	}
	if bytes.Count(buf[:textBlock], []byte("\n")) == 0 {
		b.Error("no lines")
	}
}
