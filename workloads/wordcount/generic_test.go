package wordcount

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/workloads"
	"github.com/execbench/execbench/workloads/internal/beside"
)

// The types and functions of a user who counts words in the way of the books.
type (
	word   string
	amount struct{ Count int64 }
)

// wordsOf finds the words of a line with a function of the user's own.
func wordsOf(dst []string, line string) []string {
	for w := range strings.FieldsSeq(line) {
		dst = append(dst, w)
	}
	return dst
}

func userCount(s *engine.Session, paths []string, parts int, cut func(lines *engine.Dataset[string]) *engine.Dataset[string]) (*engine.Sink, error) {
	lines, err := engine.TextFiles(s, paths, 0)
	if err != nil {
		return nil, err
	}
	ones := engine.Map(cut(lines), func(w string) engine.Pair[word, amount] {
		return engine.Pair[word, amount]{Key: word(w), Value: amount{1}}
	})
	counts := engine.ReduceByKey(ones, func(a, b amount) amount { return amount{a.Count + b.Count} }, engine.Partitions(parts))
	return engine.TextSink(counts, func(dst []byte, p engine.Pair[word, amount]) []byte {
		dst = append(append(dst, p.Key...), '\t')
		return strconv.AppendInt(dst, p.Value.Count, 10)
	}), nil
}

// BenchmarkGeneric counts the words of the same files as the workload does and
// as a user would: lines, words, pairs, sums. The user's lines are cut by
// Fields, or by a function of the user's, too.
func BenchmarkGeneric(b *testing.B) {
	b.Run("cut=Fields", func(b *testing.B) {
		besideUser(b, func(lines *engine.Dataset[string]) *engine.Dataset[string] { return engine.Fields(lines, blanks) })
	})
	b.Run("cut=FlatMap", func(b *testing.B) {
		besideUser(b, func(lines *engine.Dataset[string]) *engine.Dataset[string] { return engine.FlatMap(lines, wordsOf) })
	})
}

func besideUser(b *testing.B, cut func(lines *engine.Dataset[string]) *engine.Dataset[string]) {
	v := Workload.Values()
	if err := v.Set("size", "64MB"); err != nil {
		b.Fatal(err)
	}
	data := b.TempDir()
	if err := generate(b.Context(), workloads.Gen{Cores: 2}, v, data); err != nil {
		b.Fatal(err)
	}
	in := workloads.Input{Paths: []string{data}, Generated: true}
	s, err := engine.Open(engine.Config{Temp: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	words := 0
	files, err := workloads.InputFiles(in.Paths)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f.Path)
		if err != nil {
			b.Fatal(err)
		}
		for range strings.FieldsSeq(string(text)) {
			words++
		}
	}
	out := b.TempDir()
	var records [2]int64
	write := func(way int, build func(s *engine.Session) (*engine.Sink, error)) {
		round := s.Scope()
		defer round.Release()
		sink, err := build(round)
		if err != nil {
			b.Fatal(err)
		}
		dir := filepath.Join(out, strconv.Itoa(way))
		w, err := sink.Write(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		records[way] = w.Records
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
	}
	beside.Run(b, words, func() {
		write(0, func(s *engine.Session) (*engine.Sink, error) {
			sink, err := build(s, v, in)
			if err != nil {
				return nil, err
			}
			return sink.(*engine.Sink), nil
		})
	}, func() {
		write(1, func(s *engine.Session) (*engine.Sink, error) { return userCount(s, in.Paths, 2*s.Cores(), cut) })
	})
	if records[0] != records[1] {
		b.Fatalf("the workload finds %d words, the user's functions %d", records[0], records[1])
	}
}
