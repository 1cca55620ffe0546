package executor

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
)

// hooks are an attempt's listeners, guarded by Context.mu. Lists are stacks:
// the last registered runs first, each once. One goroutine at a time invokes
// completion and failure listeners, with no lock held; what is registered
// meanwhile it takes along. Interrupt listeners run apart, so that one of
// them blocking does not keep the attempt from ending.
type hooks struct {
	complete  []func(*Context) error
	fail      []func(*Context, error) error
	interrupt []func(*Context, string) error

	ended    bool  // completion listeners may run
	failure  error // failure listeners may run, with this
	invoking bool
	idle     *sync.Cond // invoking became false; nil until waited for
	errs     []error    // of listeners, until the attempt's end collects them
	reported bool       // errs have been collected; later ones are logged
}

// drop lets go of listeners that have run or, since nobody killed the attempt,
// never will.
func (h *hooks) drop(killed bool) {
	if len(h.complete) == 0 {
		h.complete = nil
	}
	if len(h.fail) == 0 {
		h.fail = nil
	}
	if len(h.interrupt) == 0 || !killed {
		h.interrupt = nil
	}
}

// OnComplete registers f to run once when the attempt ends, however it does;
// if it has ended, f runs at once. An error or panic of f fails an attempt
// that would have succeeded. Any goroutine may register.
func (c *Context) OnComplete(f func(*Context) error) {
	c.mu.Lock()
	c.mu.complete = append(c.mu.complete, f)
	c.mu.Unlock()
	c.invoke()
}

// OnFailure registers f to run once, before the completion listeners, with
// the error if the attempt fails; if it has failed, f runs at once. Any
// goroutine may register.
func (c *Context) OnFailure(f func(*Context, error) error) {
	c.mu.Lock()
	c.mu.fail = append(c.mu.fail, f)
	c.mu.Unlock()
	c.invoke()
}

// OnInterrupt registers f to run once, on another goroutine and at once,
// with the reason when the attempt is killed; if it has been, f runs here and
// now. An error or panic of f marks the attempt as failed and does not reach
// the killer. Any goroutine may register.
func (c *Context) OnInterrupt(f func(*Context, string) error) {
	c.mu.Lock()
	c.mu.interrupt = append(c.mu.interrupt, f)
	c.mu.Unlock()
	if k := c.killed.Load(); k != nil {
		c.interrupt(k)
	}
}

// interrupt runs the interrupt listeners there are.
func (c *Context) interrupt(k *KilledError) {
	for {
		c.mu.Lock()
		n := len(c.mu.interrupt)
		if n == 0 {
			c.mu.Unlock()
			return
		}
		f := c.mu.interrupt[n-1]
		c.mu.interrupt = c.mu.interrupt[:n-1]
		c.mu.Unlock()
		if err := protect(func() error { return f(c, k.Reason) }); err != nil {
			c.mu.Lock()
			c.noteLocked(err)
			if c.mu.failure == nil {
				c.mu.failure = err
			}
			c.mu.Unlock()
			c.invoke()
		}
	}
}

// noteLocked keeps the error of a listener.
func (c *Context) noteLocked(err error) {
	if c.mu.reported {
		c.e.log.Warn("listener failed after its attempt's end", "task", int64(c.launched), "error", err)
		return
	}
	c.mu.errs = append(c.mu.errs, err)
}

// invoke runs the listeners that are due, unless another goroutine is at it,
// which then runs them.
func (c *Context) invoke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.invoking {
		return
	}
	c.mu.invoking = true
	defer func() { // also when a listener ends the goroutine
		c.mu.invoking = false
		if c.mu.idle != nil {
			c.mu.idle.Broadcast()
		}
	}()
	for {
		var due func() error
		if n := len(c.mu.fail); n > 0 && c.mu.failure != nil {
			f, cause := c.mu.fail[n-1], c.mu.failure
			c.mu.fail = c.mu.fail[:n-1]
			due = func() error { return f(c, cause) }
		} else if n := len(c.mu.complete); n > 0 && c.mu.ended {
			f := c.mu.complete[n-1]
			c.mu.complete = c.mu.complete[:n-1]
			due = func() error { return f(c) }
		} else {
			return
		}
		err := c.unlocked(due)
		if err == nil {
			continue
		}
		c.noteLocked(err)
		if c.mu.failure == nil {
			c.mu.failure = err // a completion listener failed the attempt
		}
	}
}

// unlocked runs f with Context.mu released.
func (c *Context) unlocked(f func() error) error {
	c.mu.Unlock()
	defer c.mu.Lock()
	return protect(f)
}

// end runs the listeners of an attempt that ended with err and returns the
// error to report: err with what listeners added, or their errors if it was
// nil. A second call only returns the same.
func (c *Context) end(err error) error {
	c.mu.Lock()
	if c.mu.failure == nil {
		c.mu.failure = err
	}
	marked := c.mu.failure // by an interrupt listener, if err is nil
	plain := len(c.mu.fail) == 0 && len(c.mu.complete) == 0 && !c.mu.invoking && len(c.mu.errs) == 0
	if plain {
		c.mu.ended, c.mu.reported = true, true
		c.mu.Unlock()
		return err
	}
	failed := c.mu.failure != nil
	c.mu.Unlock()
	if failed { // failure listeners first, all of them, then completion
		c.invoke()
	}
	c.mu.Lock()
	c.mu.ended = true
	c.mu.Unlock()
	c.invoke()

	c.mu.Lock()
	defer c.mu.Unlock()
	for c.mu.invoking { // another goroutine registered late and is at it
		if c.mu.idle == nil {
			c.mu.idle = sync.NewCond(&c.mu.Mutex)
		}
		c.mu.idle.Wait()
	}
	c.mu.reported = true
	errs := c.mu.errs
	c.mu.errs = nil
	if len(errs) == 0 {
		if err == nil {
			return marked
		}
		return err
	}
	return &ListenerError{Body: err, Errs: errs}
}

// ListenerError is the error of an attempt some of whose listeners failed.
type ListenerError struct {
	Body error   // the body's own error, nil if it succeeded
	Errs []error // the listeners', in the order they ran
}

// Error returns the body's error first, since it is the one that matters.
func (e *ListenerError) Error() string {
	var b strings.Builder
	if e.Body != nil {
		fmt.Fprintf(&b, "%v\nListeners failed too:\n", e.Body)
	} else if len(e.Errs) == 1 {
		return e.Errs[0].Error()
	}
	for i, err := range e.Errs {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "Exception %d: %v", i, err)
	}
	return b.String()
}

// Unwrap returns the body's error, or else the listeners'.
func (e *ListenerError) Unwrap() []error {
	if e.Body != nil {
		return []error{e.Body}
	}
	return e.Errs
}

// protect runs user code and turns its panic into a *PanicError.
func protect(f func() error) (err error) {
	defer recovered(&err)
	return f()
}

// recovered, deferred, turns a panic into a *PanicError.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: fromPanic(debug.Stack())}
	}
}

// fromPanic leaves out of a stack what handles the panic: it keeps the
// goroutine's line and what lies below the first line that says panic.
func fromPanic(stack []byte) []byte {
	head, frames, _ := bytes.Cut(stack, []byte("\n"))
	if i := bytes.Index(frames, []byte("\npanic(")); i >= 0 {
		return slices.Concat(head, frames[i:])
	}
	return stack
}
