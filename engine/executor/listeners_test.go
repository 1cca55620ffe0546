package executor_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/task"
)

// trail records what ran, in order; one goroutine at a time, or a race test
// tells.
type trail struct{ names []string }

func (r *trail) complete(name string, err error) func(*executor.Context) error {
	return func(*executor.Context) error { r.names = append(r.names, name); return err }
}

func (r *trail) fail(name string, err error) func(*executor.Context, error) error {
	return func(_ *executor.Context, cause error) error {
		r.names = append(r.names, name+"("+cause.Error()+")")
		return err
	}
}

func (r *trail) expect(t *testing.T, names ...string) {
	t.Helper()
	if !reflect.DeepEqual(r.names, names) {
		t.Errorf("ran %q, want %q", r.names, names)
	}
}

func TestEXE_005_CompletionListenersRunInReverse(t *testing.T) {
	h := start(t, 1)
	for _, err := range []error{nil, errors.New("no")} {
		var r trail
		var late *executor.Context
		h.run(func(c *executor.Context) (executor.Encode, error) {
			late = c
			for _, n := range []string{"A", "B", "C"} {
				c.OnComplete(r.complete(n, nil))
			}
			return nil, err
		})
		r.expect(t, "C", "B", "A")
		late.OnComplete(r.complete("late", nil))
		r.expect(t, "C", "B", "A", "late")
	}
}

func TestEXE_006_FailureListenersComeFirst(t *testing.T) {
	h := start(t, 1)
	var r trail
	var late *executor.Context
	body := func(err error) executor.Body {
		return func(c *executor.Context) (executor.Encode, error) {
			late = c
			c.OnFailure(r.fail("f1", nil))
			c.OnComplete(r.complete("c", nil))
			c.OnFailure(r.fail("f2", nil))
			return nil, err
		}
	}
	h.run(body(errors.New("no")))
	r.expect(t, "f2(no)", "f1(no)", "c")
	late.OnFailure(r.fail("late", nil))
	r.expect(t, "f2(no)", "f1(no)", "c", "late(no)")

	r = trail{}
	h.run(body(nil))
	r.expect(t, "c")
}

func TestEXE_007_ListenersErrorsBehindTheBodys(t *testing.T) {
	h := start(t, 1)
	var r trail
	body := func(err error, listeners ...error) executor.Body {
		return func(c *executor.Context) (executor.Encode, error) {
			c.OnFailure(r.fail("f", nil))
			for _, l := range listeners {
				c.OnComplete(r.complete("c", l))
			}
			return nil, err
		}
	}
	one, two := errors.New("one"), errors.New("two")
	o := h.run(body(nil, one))
	if o.State != task.Failed || o.failure.Message != "one" {
		t.Errorf("one listener fails: %v %q", o.State, o.failure.Message)
	}
	r.expect(t, "c", "f(one)")

	// A failing completion listener brings the failure listeners before the
	// remaining completion listeners.
	r = trail{}
	o = h.run(body(nil, two, nil, one))
	if o.failure.Message != "Exception 0: one\nException 1: two" {
		t.Errorf("two listeners fail: %q", o.failure.Message)
	}
	r.expect(t, "c", "f(one)", "c", "c")

	r = trail{}
	o = h.run(body(errFetch, one))
	if o.failure.Kind != task.FetchFailed {
		t.Errorf("body and listener fail: %+v", o.failure)
	}
	o = h.run(body(errors.New("body"), two, one))
	if m := o.failure.Message; !strings.HasPrefix(m, "body\n") || !strings.Contains(m, "Exception 0: one\nException 1: two") {
		t.Errorf("body and listeners fail: %q", m)
	}
	o = h.run(func(c *executor.Context) (executor.Encode, error) {
		c.OnComplete(func(*executor.Context) error { panic("listener") })
		c.OnComplete(r.complete("after the panic's turn", nil))
		return nil, nil
	})
	if o.State != task.Failed || o.failure.Class != "panic" || o.failure.Message != "listener" {
		t.Errorf("a listener panics: %+v", o.failure)
	}
	h.expectOK()
}

func TestEXE_008_ListenersRegisteredByListeners(t *testing.T) {
	h := start(t, 1)
	var r trail
	o := h.run(func(c *executor.Context) (executor.Encode, error) {
		c.OnComplete(r.complete("last", nil))
		c.OnComplete(func(c *executor.Context) error {
			r.complete("outer", nil)(c)
			c.OnComplete(r.complete("inner", nil))
			r.complete("outer goes on", nil)(c)
			registered := make(chan struct{})
			go func() {
				c.OnComplete(r.complete("of another goroutine", nil))
				close(registered)
			}()
			<-registered // registering does not wait for us: no deadlock
			return nil
		})
		return nil, nil
	})
	if o.State != task.Finished {
		t.Errorf("%+v", o.failure)
	}
	r.expect(t, "outer", "outer goes on", "of another goroutine", "inner", "last")
}

func TestEXE_009_InterruptListeners(t *testing.T) {
	h := start(t, 1)
	begun, reason, block := make(chan struct{}), make(chan string, 1), make(chan struct{})
	completed := false
	tid := h.launch(func(c *executor.Context) (executor.Encode, error) {
		released := make(chan struct{})
		c.OnInterrupt(func(_ *executor.Context, why string) error {
			reason <- why
			close(released)
			<-block
			return nil
		})
		c.OnComplete(func(*executor.Context) error { completed = true; return nil })
		close(begun)
		<-released // only the listener ends this body
		late := ""
		c.OnInterrupt(func(_ *executor.Context, why string) error { late = why; return errors.New("late one fails") })
		if late != "cancelled" {
			t.Errorf("a late listener got %q", late)
		}
		return nil, nil
	})
	<-begun
	h.Kill(tid, true, "cancelled") // returns although the listener blocks
	o := h.wait(tid)
	if o.State != task.Killed || !completed || <-reason != "cancelled" {
		t.Errorf("%v %+v, completed %v", o.State, o.failure, completed)
	}
	close(block)
	h.expectOK()
}

func TestEXE_009_FailingInterruptListenerMarksTheAttemptFailed(t *testing.T) {
	h := start(t, 1)
	failed := make(chan error, 1)
	o := h.run(func(c *executor.Context) (executor.Encode, error) {
		c.OnFailure(func(_ *executor.Context, err error) error { failed <- err; return nil })
		c.OnInterrupt(func(*executor.Context, string) error { panic("listener") })
		h.Kill(c.Task, true, "cancelled")
		if err := <-failed; err.Error() != "listener" {
			t.Errorf("failure listener got %v", err)
		}
		return nil, nil
	})
	if o.State != task.Killed || o.failure.Message != "cancelled" {
		t.Errorf("%v %+v", o.State, o.failure)
	}
}
