package engine

import (
	"fmt"

	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/task"
)

// decodeTask is the executor's way from a task binary to something to run:
// it decodes the bytes and finds the operator they name. Attempts whose bytes
// are those of the attempt before share what was decoded: like the program's
// functions it is read only. (Spark decodes for each attempt, because there
// each may change its copy.) Comparing the bytes is part of decode time.
func (s *Session) decodeTask(g *group, c *executor.Context, binary []byte) (executor.Body, error) {
	st := s.lastStage.Load()
	if st == nil || st.binary != c.Binary || st.encoded != string(binary) {
		b, err := decodeStage(binary)
		if err != nil {
			return nil, err
		}
		if st, err = s.resolve(b); err != nil {
			return nil, err
		}
		st.binary, st.encoded = c.Binary, string(binary)
		s.lastStage.Store(st)
	}
	t := &Task{attemptContext: c, s: s, g: g, stage: st}
	return t.run, nil
}

// decoderOf makes decodeTask an executor's.
func (s *Session) decoderOf(g *group) executor.DecodeFunc {
	return func(c *executor.Context, binary []byte) (executor.Body, error) { return s.decodeTask(g, c, binary) }
}

// run computes the attempt's partition: the map side of a shuffle, or an
// action on a result partition.
func (t *Task) run(*executor.Context) (executor.Encode, error) {
	part := int(t.Partition)
	if t.Kind == task.ShuffleMapTask {
		status, err := t.stage.op.writers[t.stage.bin.dep](t, part)
		if err != nil {
			return nil, err
		}
		return func(dst []byte) ([]byte, error) { return task.AppendMapStatus(dst, status), nil }, nil
	}
	act := t.stage.bin.action
	op := t.stage.op
	if act.kind == actionSample {
		target, ok := t.s.graph.op(act.node)
		if !ok {
			return nil, fmt.Errorf("cannot sample for node %d in this process: %w", act.node, ErrNotPortable)
		}
		op = target
	}
	encode, err := op.self.result(t, part, act)
	if err != nil {
		return nil, err
	}
	return executor.Encode(encode), nil
}

// failure tells the executor of a map output that could not be read, where
// the error is made: whatever user code makes of it on its way up, the
// attempt fails with that.
func (t *Task) failure(err error) error {
	if f := asFetchFailure(err); f != nil {
		t.SetFetchFailed(f)
	}
	return err
}
