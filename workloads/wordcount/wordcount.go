// Package wordcount counts the words of texts.
package wordcount

import (
	"context"
	"strconv"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// Workload is the wordcount workload. Register it with workloads.Register.
var Workload = &workloads.Workload{
	Name:      "wordcount",
	Summary:   "count how often each word occurs in texts",
	Stresses:  "processor (scanning, hashing), hash aggregation; shuffle only with many distinct words",
	Doc:       doc,
	Params:    params,
	DataBytes: dataBytes,
	Generate:  generate,
	Build:     build,
	Run:       run,
	Verify:    verify,
	VerifyDir: verifyDir,
}

const doc = `Counts how often each word occurs in texts and writes a line for each word: the
word, a tab, its count. The lines are in no order.

A word is a longest run of bytes other than space, tab, newline, vertical tab,
form feed and carriage return, within one file: two files never join a word,
and any other bytes (NUL, invalid UTF-8) are parts of words.

Every map task cuts its text into words and adds equal ones up before it sends
them on; every reduce task adds up what it gets for its share of the words.

What it stresses: the processor, by looking at each byte and hashing each word,
and the hash table of the map side. As many words are equal, little is left to
shuffle. --vocabulary and --exponent change that: --exponent 0 with a large
vocabulary makes tables large and shuffles heavy.

--input takes files and folders. Folders are read to any depth, also what
begins with . or _; symbolic links inside them are left out, as find -type f
does, while one given by name is followed. Files that end in .gz, .zst or .zstd
are decompressed. A file that cannot be read ends the run and is named.

Without --input the text is made: ten words a line, drawn by Zipf's law from a
vocabulary of invented words of about the lengths of English.

Verified against a count of its own, by another scanner and table: every word
of the input is written once with the right count, and no other. It reads the
input more than once where memory is too short for all the words.

  execbench run wordcount --size 1GB
  execbench run wordcount --input /usr/share/doc --output counts
  execbench run wordcount --vocabulary 1e6 --exponent 0 --memory 128MiB
  execbench gen wordcount --size 100MB --seed 7 --out text
  execbench verify wordcount counts --input /usr/share/doc
`

var params = []workloads.Param{
	{Name: "size", Kind: workloads.Bytes, Default: "1GB", Min: "1", Data: true,
		Doc: "bytes of text to generate"},
	{Name: "seed", Kind: workloads.Int, Default: "0", Data: true,
		Doc: "another seed gives another text over the same vocabulary"},
	{Name: "vocabulary", Kind: workloads.Int, Default: "100000", Min: "1", Max: "1000000", Data: true,
		Doc: "distinct words to draw from; more of them mean more to shuffle"},
	{Name: "exponent", Kind: workloads.Float, Default: "1", Min: "0", Max: "4", Data: true,
		Doc: "of Zipf's law: 0 makes all words equally frequent, 1 is like English, 2 leaves few words"},
	{Name: "partitions", Kind: workloads.Int, Default: "0", Min: "0", Max: "100000",
		Doc: "output files; 0 means two for each core"},
}

// taskBytes is how many bytes of files a map task counts, a compressed one as
// the engine weighs it. Each sends on nearly all words that there are, so that
// larger ones send less in all; they are more than the engine's 32 MiB, and few
// enough to end together.
const taskBytes = 128 * units.MiB

// tasksFor returns the number of map tasks: the same for every core.
func tasksFor(files []workloads.File, cores int) int {
	list := make([]source.File, len(files))
	for i, f := range files {
		list[i] = source.File{Path: f.Path, Size: f.Bytes, Format: source.FormatOf(f.Path)}
	}
	return source.PartsFor(list, taskBytes, cores)
}

// blanks are the bytes that stand between words.
const blanks = " \t\n\v\f\r"

type count = engine.Pair[string, int64]

func build(s *engine.Session, v workloads.Values, in workloads.Input) (any, error) {
	files, err := workloads.InputFiles(in.Paths)
	if err != nil { // an input without files is a mistake
		return nil, err
	}
	parts := int(v.Int("partitions"))
	if parts == 0 {
		parts = 2 * s.Cores()
	}
	text, err := engine.Chunks(s, in.Paths, blanks, tasksFor(files, s.Cores()))
	if err != nil {
		return nil, err
	}
	counts := engine.CountByValue(engine.Fields(text, blanks), engine.Partitions(parts))
	return engine.TextSink(counts, format), nil
}

func run(ctx context.Context, _ *engine.Session, built any, _ workloads.Values, out string) (*workloads.Answer, error) {
	w, err := built.(*engine.Sink).Write(ctx, out)
	if err != nil {
		return nil, err
	}
	return &workloads.Answer{Dir: out, Records: w.Records, Bytes: w.Bytes}, nil
}

func format(dst []byte, c count) []byte {
	dst = append(dst, c.Key...)
	dst = append(dst, '\t')
	return strconv.AppendInt(dst, c.Value, 10)
}
