package wordcount

import (
	"maps"
	"math"
	"strings"
	"testing"
)

// counted adds up what split makes of texts.
func counted(texts ...string) map[string]int64 {
	counts := map[string]int64{}
	for _, s := range texts {
		for _, c := range split(nil, []byte(s)) {
			counts[strings.Clone(c.Key)] += c.Value
		}
	}
	return counts
}

func FuzzSplit(f *testing.F) {
	f.Add("one two\tone\n")
	f.Add("\v\f\r\x00 \xff\x85\u00a0x")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := counted(s), naive(s); !maps.Equal(got, want) {
			t.Errorf("%q splits into %v, want %v", s, got, want)
		}
	})
}

func TestSplitAppends(t *testing.T) {
	got := split([]count{{Key: "kept", Value: 3}}, []byte(" a b"))
	if len(got) != 3 || got[0] != (count{Key: "kept", Value: 3}) || got[1] != (count{Key: "a", Value: 1}) || got[2] != (count{Key: "b", Value: 1}) {
		t.Errorf("got %v", got)
	}
}

func TestFormatIsWhatTheVerifierReads(t *testing.T) {
	for _, c := range []count{
		{Key: "a", Value: 1}, {Key: "\x00\xff", Value: math.MaxInt64}, {Key: strings.Repeat("x", 1000), Value: 10},
	} {
		word, n := parseLine(format(nil, c))
		if string(word) != c.Key || n != c.Value {
			t.Errorf("%.20q, %d reads back as %.20q, %d", c.Key, c.Value, word, n)
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	text := make([]byte, 32<<10+slotBytes)
	text = fill(text, newVocabulary(100000, 1), 1)
	var dst []count
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		dst = split(dst[:0], text)
	}
}
