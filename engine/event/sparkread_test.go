package event

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
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
