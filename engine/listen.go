package engine

import (
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
)

// OnComplete registers f to run when the attempt ends, however it ends. The
// last registered runs first, each once; one registered after the end runs at
// once. Its error fails an attempt that had succeeded.
func (t *Task) OnComplete(f func(t *Task) error) {
	t.attemptContext.OnComplete(func(*executor.Context) error { return f(t) })
}

// OnFailure registers f to run when the attempt fails, before what OnComplete
// registered.
func (t *Task) OnFailure(f func(t *Task, err error) error) {
	t.attemptContext.OnFailure(func(_ *executor.Context, err error) error { return f(t, err) })
}

// OnInterrupt registers f to run when the attempt is killed, on a goroutine
// of its own: it may unblock what the attempt waits for.
func (t *Task) OnInterrupt(f func(t *Task, reason string) error) {
	t.attemptContext.OnInterrupt(func(_ *executor.Context, reason string) error { return f(t, reason) })
}

// CancelTag ends the jobs that carry a tag (WithTags).
func (s *Session) CancelTag(tag, reason string) { s.driver.CancelTag(tag, reason) }

// CancelStage ends the jobs that use a stage.
func (s *Session) CancelStage(n id.Stage, reason string) { s.driver.CancelStage(n, reason) }
