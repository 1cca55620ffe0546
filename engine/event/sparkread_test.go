package event

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// FuzzReadSpark: a log of any bytes gives events that begin with the
// application and that our own file holds, and at most one error, the last.
func FuzzReadSpark(f *testing.F) {
	for _, name := range []string{"session", "reasons"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".spark.jsonl"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(text[:len(text)*2/3])
	}
	const start = sparkBegins + "}\n" + `{"Event":"SparkListenerApplicationStart","Timestamp":-9223372036854775808}` + "\n"
	f.Add([]byte(start + `{"Event":"SparkListenerStageCompleted","Stage Info":{"Number of Tasks":-1,"RDD Info":[null],"Completion Time":9223372036854775807}}`))
	f.Add([]byte(start + `{"Event":"SparkListenerTaskEnd","Task Info":{"Index":-1,"Accumulables":[{"Update":[1],"Value":null}]},"Task Metrics":{"Executor Run Time":-1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var events []Event
		var last error
		for e, err := range ReadSpark(bytes.NewReader(text)) {
			if last != nil {
				t.Fatalf("%v, and then %T, %v", last, e, err)
			}
			if last = err; err == nil {
				events = append(events, e)
			}
		}
		if cut := (*Truncated)(nil); last != nil && !errors.Is(last, ErrNotSparkLog) && !(errors.As(last, &cut) && cut.Events == int64(len(events))) {
			t.Fatalf("after %d events: %v", len(events), last)
		}
		if len(events) == 0 {
			return
		}
		if _, ok := events[0].(*ApplicationStart); !ok {
			t.Fatalf("it begins with %T", events[0])
		}
		again, err := decoded(encoded(t, events))
		if err != nil || len(again) != len(events) {
			t.Fatalf("%d events became %d, %v", len(events), len(again), err)
		}
	})
}

// A log without an application is not held in memory until its end.
func TestSparkLogWithoutAnApplication(t *testing.T) {
	line := `{"Event":"SparkListenerJobEnd","Job Result":{"Result":"` + strings.Repeat("x", 1000) + "\"}}\n"
	read := &countingReader{Reader: strings.NewReader(sparkBegins + "}\n" + strings.Repeat(line, 20*sparkHeldMax/1000))}
	for e, err := range ReadSpark(read) {
		if cut := (*Truncated)(nil); e != nil || !errors.As(err, &cut) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%T, %v", e, err)
		}
	}
	if read.n > 2*sparkHeldMax {
		t.Errorf("%d bytes were read", read.n)
	}
}

type countingReader struct {
	*strings.Reader
	n int
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += n
	return n, err
}

// What is said with few bytes takes little memory, or is refused with the
// bound that it is above.
func TestSparkLinesTakeMemoryInBounds(t *testing.T) {
	const size = 1 << 20
	const start = sparkBegins + "}\n" + `{"Event":"SparkListenerApplicationStart","App ID":"a"}` + "\n"
	fill := func(head, element, tail string) string {
		return head + strings.Repeat(element+",", size/(len(element)+1)) + element + tail
	}
	numbered := func(head, tail string, element func(n int) string) string {
		var b strings.Builder
		b.WriteString(head)
		for n := 0; b.Len() < size; n++ {
			b.WriteString(element(n) + ",")
		}
		return b.String() + element(-1) + tail
	}
	for _, c := range []struct {
		name, line string
		refused    bool
	}{
		{"stages", fill(`{"Event":"SparkListenerJobStart","Stage Infos":[`, `{}`, `]}`), true},
		{"datasets", fill(`{"Event":"SparkListenerStageSubmitted","Stage Info":{"RDD Info":[`, `{}`, `]}}`), true},
		{"accumulators", fill(`{"Event":"SparkListenerTaskEnd","Task Info":{"Accumulables":[`, `{"ID":1}`, `]}}`), true},
		{"objects that are not read", fill(`{"Event":"SparkListenerJobEnd","Notes":[`, `{}`, `]}`), true},
		{"resources", numbered(`{"Event":"SparkListenerResourceProfileAdded","Executor Resource Requests":{`, `}}`,
			func(n int) string { return fmt.Sprintf(`"%x":{}`, n) }), true},
		{"braces in a text", fill(`{"Event":"SparkListenerJobEnd","Job Result":{"Result":"JobFailed","Exception":{"Message":"`, `\"{`, `"}}}`), false},
		{"parents", fill(`{"Event":"SparkListenerStageSubmitted","Stage Info":{"Parent IDs":[`, `1`, `]}}`), false},
		{"stages of the least size", fill(`{"Event":"SparkListenerJobStart","Stage Infos":[`, `{"Stage ID":1,"Stage Name":"","RDD Info":[]                       }`, `]}`), false},
		{"properties", numbered(`{"Event":"SparkListenerJobStart","Properties":{`, `}}`, func(n int) string { return fmt.Sprintf(`"%x":""`, n) }), false},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		events, err := 0, error(nil)
		for e, failed := range ReadSpark(strings.NewReader(start + c.line + "\n")) {
			if err = failed; e != nil {
				events++
			}
		}
		runtime.ReadMemStats(&after)
		if c.refused {
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "objects") || events != 1 {
				t.Errorf("%s: %d events, %v", c.name, events, err)
			}
		} else if err != nil || events != 2 {
			t.Errorf("%s: %d events, %v", c.name, events, err)
		}
		took := after.TotalAlloc - before.TotalAlloc

		if took > uint64(32*len(c.line)) {
			t.Errorf("%s: %d bytes were made of a line of %d", c.name, took, len(c.line))
		}
	}
}
