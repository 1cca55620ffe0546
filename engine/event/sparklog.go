package event

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/execbench/execbench/engine/internal/fsys"
)

// SparkLog is a Sink that writes Spark's JSON event log as a session runs, in
// the layout of a single file: DIR/NAME.inprogress, renamed to DIR/NAME by
// Close once the application has ended. Lines reach the file through one
// goroutine of the log's own, which Close joins; Emit waits only while all
// buffers are full. With RollBytes it is Spark's layout of several files,
// DIR/eventlog_v2_NAME/events_1_NAME, events_2_NAME and so on, beside an empty
// appstatus_NAME whose name carries the mark. As in Spark, the starts and ends of tasks and the starts
// of stages may wait in memory, every other event goes to the file at once.
type SparkLog struct {
	pump
	dir     string
	options SparkOptions
	spark   *spark
	path    string // final; empty before the application started
	marked  string // the file whose name says whether the log is complete
	opened  bool
	ended   bool // the application's end was written
}

var _ Sink = (*SparkLog)(nil)

// inProgress marks a log that is still being written.
const inProgress = ".inprogress"

// NewSparkLog prepares a log in the folder dir, which must exist. The file is
// made when the application starts, because it is named by its id.
func NewSparkLog(dir string, o SparkOptions) (*SparkLog, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("cannot write event logs to %s: %w", dir, fsys.Cause(err))
	} else if !info.IsDir() {
		return nil, fmt.Errorf("cannot write event logs to %s: it is not a folder", dir)
	}
	if o.RollBytes != 0 && o.RollBytes < RollBytesMin {
		return nil, fmt.Errorf("cannot write event logs in files of %d bytes: it must be at least %d", o.RollBytes, RollBytesMin)
	}
	l := &SparkLog{dir: dir, options: o}
	l.spark = newSpark(lineBuffer{&l.pump}, o)
	return l, nil
}

// SparkLogName returns the file name of an application's log, as Spark forms
// it: lower case, without the characters that its History Server gives a
// meaning.
func SparkLogName(appID string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', ':', '/':
			return '-'
		case '.', '$', '{', '}', '\'', '"':
			return '_'
		}
		return r
	}, strings.ToLower(appID))
}

// lineBuffer appends what is written to the pump's current buffer. It is used
// under the pump's lock.
type lineBuffer struct{ pump *pump }

func (b lineBuffer) Write(line []byte) (int, error) {
	b.pump.grewLocked(append(b.pump.cur, line...))
	return len(line), nil
}

// Emit writes the lines that stand for e. It keeps nothing of e.
func (l *SparkLog) Emit(e Event) {
	l.Lock()
	defer l.Unlock()
	if start, ok := e.(*ApplicationStart); ok && !l.opened && l.err == nil && !l.closed {
		l.openFileLocked(SparkLogName(start.ID))
	}
	if !l.opened {
		if l.err == nil {
			l.err = fmt.Errorf("the first event is %T, not the start of the application", e)
		}
		return
	}
	if !l.openLocked() {
		return
	}
	if err := l.spark.write(e); err != nil {
		l.err = err
		return
	}
	if _, end := e.(*ApplicationEnd); end {
		l.ended = true
	}
	if len(l.cur) >= blockBytes || len(l.cur) > 0 && flushed(e) {
		l.passLocked()
	}
}

// flushed reports whether Spark's logger flushes after such an event.
func flushed(e Event) bool {
	switch e.(type) {
	case *StageSubmitted, *TaskStart, *TaskEnd, *TaskGettingResult, *MemorySample, *WorkerTime:
		return false
	}
	return true
}

func (l *SparkLog) openFileLocked(name string) {
	l.path = filepath.Join(l.dir, name)
	l.marked = l.path
	if l.options.RollBytes > 0 {
		l.path = filepath.Join(l.dir, "eventlog_v2_"+name)
		l.marked = filepath.Join(l.path, "appstatus_"+name)
		if err := os.MkdirAll(l.path, 0o770); err != nil {
			l.err = err
			return
		}
	}
	mark, err := createLog(l.marked + inProgress)
	if err != nil {
		l.err = err
		return
	}
	var out io.WriteCloser = mark
	if l.options.RollBytes > 0 {
		if l.err = mark.Close(); l.err != nil {
			return
		}
		out = &rollingFile{folder: l.path, name: name, most: l.options.RollBytes}
	}
	l.pump.start(out)
	l.opened = true
}

// createLog makes a file with Spark's mode: its History Server may run as
// another user of the group.
func createLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o660)
}

// RollBytesMin is the least SparkOptions.RollBytes, Spark's: below it there
// would be more files than a History Server likes to list.
const RollBytesMin = 2 << 20

// rollingFile writes one file after another. What comes in one Write is whole
// lines and stays in one file; a file is longer than most only when a single
// Write is.
type rollingFile struct {
	folder, name string
	most         int64
	file         *os.File // nil: before the first
	number       int
	size         int64
}

func (r *rollingFile) Write(lines []byte) (int, error) {
	if r.file == nil || r.size > 0 && r.size+int64(len(lines)) > r.most {
		if err := r.Close(); err != nil {
			return 0, err
		}
		r.number++
		f, err := createLog(filepath.Join(r.folder, fmt.Sprintf("events_%d_%s", r.number, r.name)))
		if err != nil {
			return 0, err
		}
		r.file, r.size = f, 0
	}
	n, err := r.file.Write(lines)
	r.size += int64(n)
	return n, err
}

func (r *rollingFile) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// Path returns the finished log's path, empty before the application started.
// Until Close, and forever if the application did not end, the file is there
// with ".inprogress" added; with RollBytes the path is that of a folder, and
// its file appstatus_… has the mark.
func (l *SparkLog) Path() string {
	l.Lock()
	defer l.Unlock()
	return l.path
}

// BufferBytes returns the bytes of the log's buffers. They stay below about
// 300 KiB plus the size of the largest line.
func (l *SparkLog) BufferBytes() int64 {
	l.Lock()
	defer l.Unlock()
	return l.held
}

// Err returns the first failure, nil when there was none.
func (l *SparkLog) Err() error {
	l.Lock()
	defer l.Unlock()
	return l.named(l.err)
}

// Close writes what is left, joins the writer, and gives the file its final
// name if the application has ended. A finished log of that name is an error
// unless Overwrite was chosen. It returns the first failure of the log's
// life. Closing twice is harmless.
func (l *SparkLog) Close() error {
	l.Lock()
	if l.closed || !l.opened {
		defer l.Unlock()
		l.closed = true
		return l.named(l.err)
	}
	if len(l.cur) > 0 && l.err == nil {
		l.passLocked()
	}
	l.closed = true
	l.Unlock()
	if err := l.pump.close(); err != nil {
		if info, serr := os.Stat(l.path + inProgress); serr == nil && info.Size() == 0 {
			_ = os.Remove(l.path + inProgress) // the failure is what matters
		}
		return l.named(err)
	}
	if !l.ended {
		return nil
	}
	err := l.rename()
	l.Lock()
	l.err = err
	l.Unlock()
	return l.named(err)
}

// Discard closes the log and removes what is unfinished of it.
func (l *SparkLog) Discard() error {
	_ = l.Close() // what it holds is thrown away
	if err := os.Remove(l.path + inProgress); l.opened && err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l.named(err)
	}
	return nil
}

func (l *SparkLog) rename() error {
	if !l.options.Overwrite {
		if _, err := os.Lstat(l.marked); err == nil {
			return fmt.Errorf("%s is there already; the log stays in %s", l.marked, l.marked+inProgress)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(l.marked+inProgress, l.marked)
}

func (l *SparkLog) named(err error) error {
	if err == nil {
		return nil
	}
	if l.path == "" {
		return fmt.Errorf("cannot write event log in %s: %w", l.dir, fsys.Cause(err))
	}
	return fmt.Errorf("cannot write event log %s: %w", l.path, fsys.Cause(err))
}
