package report

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/execbench/execbench/bench/table"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// tableRowsMax is how many attempts Terminal and Markdown tables take: a
// table lays out all of its rows at once, about 5 KB each.
const tableRowsMax = 20_000

// WriteTasks writes one row per attempt, sorted by stage, stage attempt,
// index, number and task. The sums of the columns are the totals of the stage
// tables. JSON and CSV hold plain integers in the units of their names and
// are streamed; tables hold the columns that are not zero throughout. About
// 110 bytes are held for each attempt. Events that were cut off are a
// *event.Truncated, returned after the rows that are whole were written.
func WriteTasks(w io.Writer, src Source, f Format) error {
	t, cut, err := collect(src)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	switch f {
	case JSON:
		err = t.json(out)
	case CSV:
		err = t.csv(out)
	default:
		err = t.table(out, f)
	}
	if err = cmp.Or(err, out.Flush()); err != nil {
		return fmt.Errorf("cannot write attempts: %w", err)
	}
	if cut != nil {
		return cut
	}
	return nil
}

// attempts holds rows compactly: what they are sorted by in keys, the rest in
// chunks, figures as variable-length integers.
type attempts struct {
	keys     []attemptKey
	chunks   [][]byte
	strings  []string // executors and hosts, by number
	numbered map[string]uint64
	used     Figures // not zero where any row is not
}

type attemptKey struct {
	stage, attempt, index, number int32
	task                          int64
	chunk, offset                 uint32
}

const chunkBytes = 1 << 20

// attemptRow is one row, unpacked.
type attemptRow struct {
	attemptKey
	partition, worker int32
	executor          string
	kind              task.Kind
	locality          task.Locality
	reason            task.ReasonKind
	route             task.Route
	speculative       bool
	launch, start     int64
	figures           Figures
}

func collect(src Source) (t *attempts, cut *event.Truncated, failed error) {
	t = &attempts{numbered: make(map[string]uint64)}
	for e := range whole(src, &cut, &failed) {
		if end, ok := e.(*event.TaskEnd); ok && counted(end) {
			t.add(end)
		}
	}
	slices.SortFunc(t.keys, func(a, b attemptKey) int {
		return cmp.Or(cmp.Compare(a.stage, b.stage), cmp.Compare(a.attempt, b.attempt), cmp.Compare(a.index, b.index),
			cmp.Compare(a.number, b.number), cmp.Compare(a.task, b.task))
	})
	return t, cut, failed
}

func (t *attempts) add(e *event.TaskEnd) {
	i := &e.Info
	const rowMax = 16 * (int(FigureCount) + 12)
	if n := len(t.chunks); n == 0 || len(t.chunks[n-1])+rowMax > chunkBytes {
		t.chunks = append(t.chunks, make([]byte, 0, chunkBytes))
	}
	chunk := len(t.chunks) - 1
	b := t.chunks[chunk]
	t.keys = append(t.keys, attemptKey{int32(i.Stage), i.Attempt, i.Index, i.Number, int64(i.Task), uint32(chunk), uint32(len(b))})
	figures := FiguresOf(e)
	var set uint64
	for f, v := range figures {
		if v != 0 {
			set |= 1 << f
			t.used[f] = 1
		}
	}
	speculative := uint64(0)
	if i.Speculative {
		speculative = 1
	}
	b = binary.AppendVarint(b, int64(i.Partition)-int64(i.Index))
	b = binary.AppendVarint(b, int64(e.Worker))
	b = binary.AppendUvarint(b, t.number(string(i.Executor)))
	b = append(b, byte(e.Kind), byte(i.Locality), byte(e.Reason), byte(e.Route), byte(speculative))
	b = binary.AppendVarint(b, i.Launch)
	b = binary.AppendVarint(b, e.Stamps.Start)
	b = binary.AppendUvarint(b, set)
	for _, v := range figures {
		if v != 0 {
			b = binary.AppendVarint(b, v)
		}
	}
	t.chunks[chunk] = b
}

// number returns the number of a string that few others stand beside.
func (t *attempts) number(s string) uint64 {
	n, ok := t.numbered[s]
	if !ok {
		n = uint64(len(t.strings))
		t.strings = append(t.strings, s)
		t.numbered[s] = n
	}
	return n
}

// held returns the bytes held for rows.
func (t *attempts) held() (n int64) {
	for _, c := range t.chunks {
		n += int64(cap(c))
	}
	return n + int64(cap(t.keys))*32
}

func (t *attempts) row(k attemptKey, r *attemptRow) {
	*r = attemptRow{attemptKey: k}
	b := t.chunks[k.chunk][k.offset:]
	signed := func() int64 {
		v, n := binary.Varint(b)
		b = b[n:]
		return v
	}
	unsigned := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	r.partition = int32(signed() + int64(k.index))
	r.worker = int32(signed())
	r.executor = t.strings[unsigned()]
	r.kind, r.locality, r.reason, r.route, r.speculative = task.Kind(b[0]), task.Locality(b[1]), task.ReasonKind(b[2]), task.Route(b[3]), b[4] == 1
	b = b[5:]
	r.launch, r.start = signed(), signed()
	set := unsigned()
	for f := range r.figures {
		if set&(1<<f) != 0 {
			r.figures[f] = signed()
		}
	}
}

// rowKeys are the names of a row's fields before its figures.
var rowKeys = []string{"stage", "stage_attempt", "index", "number", "task", "partition", "executor", "worker", "kind",
	"locality", "speculative", "end", "route", "launch_ns", "start_ns"}

// fields returns the row's fields before its figures.
func (r *attemptRow) fields() []string {
	return []string{text(r.stage), text(r.attempt), text(r.index), text(r.number), text(r.task), text(r.partition), r.executor, text(r.worker),
		r.kind.String(), r.locality.String(), strconv.FormatBool(r.speculative), r.reason.String(), r.route.String(), text(r.launch), text(r.start)}
}

func (t *attempts) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	line := slices.Clone(rowKeys)
	for f := range FigureCount {
		line = append(line, f.Key())
	}
	if err := out.Write(line); err != nil {
		return err
	}
	var r attemptRow
	for _, k := range t.keys {
		t.row(k, &r)
		line = append(line[:0], r.fields()...)
		for _, v := range r.figures {
			line = append(line, text(v))
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// jsonRow is a row's form in JSON, before its figures.
type jsonRow struct {
	Stage       int32  `json:"stage"`
	Attempt     int32  `json:"stage_attempt"`
	Index       int32  `json:"index"`
	Number      int32  `json:"number"`
	Task        int64  `json:"task"`
	Partition   int32  `json:"partition"`
	Executor    string `json:"executor"`
	Worker      int32  `json:"worker"`
	Kind        string `json:"kind"`
	Locality    string `json:"locality"`
	Speculative bool   `json:"speculative"`
	End         string `json:"end"`
	Route       string `json:"route"`
	Launch      int64  `json:"launch_ns"`
	Start       int64  `json:"start_ns"`
}

func (t *attempts) json(w *bufio.Writer) error {
	fmt.Fprintf(w, "{\"schema_version\":%d,\"attempts\":[", SchemaVersion)
	var r attemptRow
	var line []byte
	for i, k := range t.keys {
		t.row(k, &r)
		head, err := json.Marshal(jsonRow{r.stage, r.attempt, r.index, r.number, r.task, r.partition, r.executor, r.worker,
			r.kind.String(), r.locality.String(), r.speculative, r.reason.String(), r.route.String(), r.launch, r.start})
		if err != nil {
			return err
		}
		line = line[:0]
		if i > 0 {
			line = append(line, ',')
		}
		line = append(append(line, '\n'), head[:len(head)-1]...)
		for f, v := range r.figures {
			line = append(line, ',', '"')
			line = append(line, Figure(f).Key()...)
			line = strconv.AppendInt(append(line, '"', ':'), v, 10)
		}
		if _, err := w.Write(append(line, '}')); err != nil {
			return err
		}
	}
	_, err := w.WriteString("\n]}\n")
	return err
}

var errTooManyRows = errors.New("too many attempts for a table: choose csv or json")

func (t *attempts) table(w io.Writer, f Format) error {
	if len(t.keys) > tableRowsMax {
		return fmt.Errorf("%w (%d, a table takes %d)", errTooManyRows, len(t.keys), tableRowsMax)
	}
	out := &table.Table{Title: "Attempts", Left: []int{0, 1, 3, 4}, Header: []string{"stage", "task", "TID", "worker", "end"}}
	for fig := range FigureCount {
		if t.used[fig] != 0 {
			out.Header = append(out.Header, fig.Label())
		}
	}
	var r attemptRow
	for _, k := range t.keys {
		t.row(k, &r)
		cells := []string{id.StageAttempt{Stage: id.Stage(r.stage), Attempt: r.attempt}.String(), text(r.index) + "." + text(r.number),
			text(r.task), r.executor + "/" + text(r.worker), r.reason.String()}
		for fig := range FigureCount {
			if t.used[fig] != 0 {
				cells = append(cells, quantity(r.figures[fig], fig.Unit()))
			}
		}
		out.Add(cells...)
	}
	return out.Write(w, f == Markdown)
}
