package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime/trace"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/task"
)

// cpuApart is the size of a description and binary, or of a result, from
// which the CPU time of decoding or encoding it is read apart: at 64 KiB the
// two take upwards of 10 µs, and a reading is then below a twentieth.
const cpuApart = 64 << 10

// attempt runs one attempt on the calling worker and leaves its terminal
// status in w.msg. If user code calls runtime.Goexit it does not return: the
// attempt is completed while the goroutine unwinds, and a new one carries the
// worker on.
func (w *worker) attempt() {
	c := w.mu.current // which nobody else changes
	if !w.chained {   // else it goes with others
		w.e.deps.Driver.StatusUpdate(w.running(c))
	}
	t := try{w: w, c: c}
	done := false
	defer func() {
		if !done {
			if !t.reported { // a listener, too, called runtime.Goexit
				t.report(errGoexit, true)
			}
			w.begin(true)
		}
	}()
	defer func() {
		if !done {
			t.fail(errGoexit, true)
		}
	}()
	t.run()
	done = true
}

// running returns the message RUNNING of an attempt, valid until the next. It
// is made before the stamp Start, since what it causes at the driver is none
// of the attempt's time.
func (w *worker) running(c *Context) []byte {
	w.status = task.Status{Task: c.launched, Executor: w.e.cfg.ID, State: task.Running, Worker: w.n}
	w.small = task.AppendStatus(w.small[:0], &w.status)
	return w.small
}

// try is the state of an attempt from step to step.
type try struct {
	w  *worker
	c  *Context
	st task.Stamps

	cpuStart int64 // at Start, or when decoding turned out large
	cpuFrom  int64 // the moment of that reading
	cpuBegun bool  // cpuStart was read
	cpuRun   int64 // at RunStart, then at RunEnd

	// How far it got.
	began    bool // RunStart is stamped
	ran      bool // the body was started
	heard    bool // listeners have run
	stopped  bool // RunEnd is stamped
	closed   bool // memory and blocks are given back
	reported bool // w.msg holds the terminal status
}

// run takes the attempt from decode to its terminal status.
func (t *try) run() {
	w, c, e := t.w, t.c, t.w.e
	t.st.Start = e.cfg.Now()
	w.start.Store(t.st.Start)
	c.gc = e.gc.load()
	if len(w.desc) > cpuApart {
		t.readCPU(t.st.Start)
	}
	body, err := t.decode()
	t.beginRun()
	if err != nil {
		t.fail(err, false)
		return
	}
	encode, err := t.body(body)
	err = t.end(err)
	if err != nil {
		t.fail(err, false)
		return
	}
	t.succeed(encode)
}

func (t *try) readCPU(at int64) {
	t.cpuStart, t.cpuBegun = threadCPU()
	t.cpuFrom = at
}

// decode decodes the description, brings files here, and decodes the task
// binary into a body.
func (t *try) decode() (Body, error) {
	w, c, e := t.w, t.c, t.w.e
	if err := w.dec.Decode(w.desc, &c.Description); err != nil {
		c.Description = task.Description{Executor: e.cfg.ID}
		c.Task = c.launched
		return nil, err
	}
	if c.Task != c.launched {
		return nil, fmt.Errorf("cannot decode the description of task %d: it describes task %d: %w", c.launched, c.Task, task.ErrCorrupt)
	}
	c.known.Store(true)
	t.label()
	if err := c.Check(); err != nil {
		return nil, err
	}
	e.outputs.advance(c.Epoch)
	if len(c.Files) > 0 {
		from := e.cfg.Now()
		err := e.files.fetch(c.Files)
		c.Metrics[task.FileFetchTime] += e.cfg.Now() - from
		if err != nil {
			return nil, err
		}
	}
	if err := w.fetchBinary(c); err != nil {
		return nil, err
	}
	if !t.cpuBegun && len(w.bin.data) > cpuApart {
		t.readCPU(e.cfg.Now())
	}
	return c.decode(w.bin.data)
}

// fetchBinary makes w.bin the attempt's task binary. The copy is the
// worker's own, so that the driver can drop the block as soon as the stage
// is over.
func (w *worker) fetchBinary(c *Context) error {
	if w.bin.held && w.bin.id == c.Binary {
		return nil
	}
	w.bin.held = false
	data, release, err := w.e.deps.Store.GetBytes(block.Broadcast(c.Binary))
	if err != nil {
		return fmt.Errorf("cannot get the task binary of stage %s: %w", c.StageAttempt, err)
	}
	w.bin.data = append(w.bin.data[:0], data...)
	if release != nil {
		release()
	}
	w.bin.id, w.bin.held = c.Binary, true
	return nil
}

func (c *Context) decode(data []byte) (body Body, err error) {
	defer recovered(&err)
	body, err = c.e.deps.Decode(c, data)
	if err == nil && body == nil {
		err = errors.New("cannot decode the task binary: the decoder returned no body")
	}
	return body, err
}

// beginRun ends decode and begins run.
func (t *try) beginRun() {
	t.began = true
	t.st.RunStart = t.w.e.cfg.Now()
	t.cpuRun = t.w.cpu.at(t.st.RunStart, t.cpuBegun)
	t.c.Timer.Start(t.w.e.cfg.Now, t.st.RunStart)
	t.labelRun()
}

func (t *try) body(body Body) (Encode, error) {
	t.ran = true
	if err := t.c.Check(); err != nil {
		return nil, err
	}
	if trace.IsEnabled() {
		ctx, attempt := trace.NewTask(context.Background(), "attempt")
		trace.Log(ctx, "attempt", t.c.TaskAttempt.String())
		defer attempt.End()
	}
	return t.c.run(body)
}

func (c *Context) run(body Body) (encode Encode, err error) {
	defer recovered(&err)
	return body(c)
}

// end runs the listeners and ends run. A kill that came meanwhile counts.
// What it has done already it does not do again.
func (t *try) end(err error) error {
	if !t.heard {
		err = t.c.end(err)
		t.heard = true
	}
	if err == nil {
		err = t.c.Check()
	}
	t.endRun()
	return err
}

// endRun stamps the end of run and sets the figures of decode and run.
func (t *try) endRun() {
	if t.stopped {
		return
	}
	t.stopped = true
	c, e := t.c, t.w.e
	t.st.RunEnd = e.cfg.Now()
	c.Timer.Stop(t.st.RunEnd, &c.Metrics)
	t.labelEncode()
	decode, run := t.st.RunStart-t.st.Start, t.st.RunEnd-t.st.RunStart
	cpu, read := t.w.cpu.after(t.st.RunEnd, t.cpuRun, run)
	c.Metrics[task.ExecutorDeserializeTime] = decode
	c.Metrics[task.ExecutorDeserializeCPUTime] = decode
	c.Metrics[task.ExecutorRunTime] = run
	c.Metrics[task.ExecutorCPUTime] = run
	c.Metrics[task.JVMGCTime] = e.gc.load() - c.gc
	if read {
		c.Metrics[task.ExecutorCPUTime] = cpuWithin(cpu-t.cpuRun, run)
	}
	if t.cpuBegun {
		before := t.cpuFrom - t.st.Start
		c.Metrics[task.ExecutorDeserializeCPUTime] = before + cpuWithin(t.cpuRun-t.cpuStart, decode-before)
	}
	t.cpuRun = cpu
}

// cpuWithin bounds a CPU time by the wall time it was spent in: the readings
// lie outside the stamps, and one thread cannot use more.
func cpuWithin(cpu, wall int64) int64 { return max(0, min(cpu, wall)) }

// succeed encodes the value, sends the result on its route and reports
// FINISHED.
func (t *try) succeed(encode Encode) {
	w, c, e := t.w, t.c, t.w.e
	if f := c.fetch.Load(); f != nil {
		e.log.Warn("attempt succeeded although it could not fetch a map output", "attempt", c.TaskAttempt.String(), "error", f.Message)
	}
	w.status = task.Status{Task: c.launched, Executor: e.cfg.ID, State: task.Finished, Worker: w.n}
	msg := task.BeginStatus(w.msg[:0], &w.status)
	mark := len(msg)
	msg = task.BeginResult(msg)
	value := len(msg)
	msg, err := c.encode(encode, msg)
	if err == nil && len(msg) < value {
		err = &encodeError{errors.New("the encoder cut off what it was to append to")}
	}
	if err != nil {
		t.fail(err, false)
		return
	}
	if len(msg)-value > cpuApart {
		if cpu, ok := threadCPU(); ok {
			c.Metrics[task.ResultSerializationCPUTime] = max(1, cpu-t.cpuRun) // 0 says that it is not clocked apart
		}
	}
	if err := t.giveBack(true); err != nil {
		t.fail(err, false)
		return
	}
	accums, err := c.collect(false)
	if err != nil {
		t.fail(err, false)
		return
	}
	msg = task.EndResult(msg, mark, &c.Metrics, accums)
	w.msg = msg
	w.status.Size = int64(len(msg) - mark)
	w.status.Route = e.cfg.Limits.Route(w.status.Size)
	switch w.status.Route {
	case task.RouteDirect:
	case task.RouteIndirect:
		b := block.TaskResult(c.Task)
		if err := e.deps.Store.PutBytes(b, block.MemoryAndDiskSer, msg[mark:]); err != nil {
			t.fail(fmt.Errorf("cannot store the result of %d bytes: %w", w.status.Size, err), false)
			return
		}
		w.status.Block = string(b)
	default:
		e.log.Warn("result is dropped: it is above the limit", "attempt", c.TaskAttempt.String(),
			"bytes", w.status.Size, "limit", int64(e.cfg.Limits.MaxResult))
	}
	t.endEncode()
	if w.status.Route == task.RouteDirect {
		w.msg = task.EndStatus(msg, 0, &w.status)
	} else {
		w.msg = task.AppendStatus(msg[:0], &w.status)
	}
	t.finish()
}

// endEncode ends encode, which is all that follows run: encoding the value,
// giving back memory and blocks, closing the result and storing it, closing
// the attempt's context. What is left is the message's head.
func (t *try) endEncode() {
	c := t.c
	if m := c.account.Load(); m != nil {
		m.Close() // what held the value
	}
	c.mu.Lock()
	c.mu.over = true
	cancel := c.mu.cancel
	c.mu.drop(c.killed.Load() != nil)
	c.mu.Unlock()
	if cancel != nil {
		cancel(errEnded)
	}
	// The Context may stay for a while, with others that were made with it.
	c.accums = nil
	c.snapshot.Store(nil)
	t.st.EncodeEnd = t.w.e.cfg.Now()
	t.w.status.Stamps = t.st
}

func (c *Context) encode(encode Encode, dst []byte) (out []byte, err error) {
	if encode == nil {
		return dst, nil
	}
	defer func() {
		if err != nil {
			err = &encodeError{err}
		}
	}()
	defer recovered(&err)
	return encode(dst)
}

// collect encodes the accumulators, whose types are the user's.
func (c *Context) collect(failed bool) (list []task.AccumUpdate, err error) {
	if len(c.accums) == 0 {
		return nil, nil
	}
	defer recovered(&err)
	return c.updates(failed), nil
}

// giveBack frees the attempt's memory, but for what holds its value, and unpins
// its blocks. What a successful attempt still held is a leak: an error or a
// warning.
func (t *try) giveBack(success bool) error {
	if t.closed {
		return nil
	}
	t.closed = true
	c, e := t.c, t.w.e
	pins := e.deps.Store.ReleaseTask(c.launched) // first: readers and writers give back memory too
	var bytes int64
	if m := c.account.Load(); m != nil {
		c.Metrics[task.PeakExecutionMemory] = max(c.Metrics[task.PeakExecutionMemory], m.Peak())
		bytes = m.CloseBut(c.result)
		c.Metrics[task.LeakedMemory] = bytes
	}
	if !success || bytes == 0 && pins == 0 {
		return nil
	}
	if bytes > 0 && e.cfg.LeakIsError || pins > 0 && e.cfg.PinLeakIsError {
		return &LeakError{Bytes: bytes, Pins: pins}
	}
	e.log.Warn("attempt did not give back all it held", "attempt", c.TaskAttempt.String(), "bytes", bytes, "pins", pins)
	return nil
}

// fail runs what listeners have not run yet, gives everything back and
// reports the attempt as failed or killed.
func (t *try) fail(err error, fatal bool) {
	if t.reported {
		return
	}
	if !t.began {
		t.beginRun()
	}
	t.report(t.end(err), fatal)
}

// report makes the terminal status of an attempt that did not succeed.
func (t *try) report(err error, fatal bool) {
	w, c, e := t.w, t.c, t.w.e
	t.endRun()
	_ = t.giveBack(false) // nothing counts as a leak then
	state, failure := classify(err, c.killed.Load(), c.fetch.Load(), fatal)
	switch failure.Kind {
	case task.ExceptionFailure, task.TaskKilled:
		if t.ran {
			failure.Metrics[task.ExecutorRunTime] = c.Metrics[task.ExecutorRunTime]
		}
		failure.Metrics[task.JVMGCTime] = c.Metrics[task.JVMGCTime]
		failure.Metrics[task.PeakExecutionMemory] = c.Metrics[task.PeakExecutionMemory]
		accums, err := c.collect(true)
		if err != nil {
			e.log.Warn("cannot encode the accumulators of a failed attempt", "attempt", c.identity(), "error", err)
		}
		failure.Accums = accums
	}
	w.failure = task.AppendFailure(w.failure[:0], &failure)
	w.status = task.Status{Task: c.launched, Executor: e.cfg.ID, State: state, Worker: w.n, Result: w.failure}
	t.endEncode()
	w.msg = task.AppendStatus(w.msg[:0], &w.status)
	t.finish()
}

// finish ends the attempt: the stamp End is the last thing to be set.
func (t *try) finish() {
	w := t.w
	t.reported = true
	t.unlabel()
	t.st.End = w.e.cfg.Now()
	w.status.Stamps.End = t.st.End
	task.PatchEnd(w.msg, t.st.End)
}
