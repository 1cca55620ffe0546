package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/execbench/execbench/engine/plan"
)

// streamed is one message from a streaming attempt to the consumer.
type streamed struct {
	begin bool   // a new attempt of the partition begins
	end   bool   // the partition is complete
	data  []byte // uvarint rows, then the encoded rows; the consumer's
}

// errLeft cancels the job of a consumer that left its loop.
var errLeft = errors.New("the consumer left the stream")

// stream runs a job whose attempts hand their batches to the caller through
// one unbuffered channel a partition: a producer waits until its batch is
// taken. The consumer reads the partitions in order, so the attempts of later
// partitions wait with their first batch in hand; the scheduler launches in
// partition order, so the one that is read always runs.
func stream[T any](ctx context.Context, d *Dataset[T], yield func([]T, error) bool) {
	c, err := d.codec()
	if err != nil {
		yield(nil, err)
		return
	}
	s := d.op.s
	if insideSink() {
		yield(nil, fmt.Errorf("cannot stream: %w", ErrInSink))
		return
	}
	ctx, back := s.streams.leave(ctx)
	defer back()
	me := s.streams.begin()
	defer s.streams.end(me)
	chans := make([]chan streamed, d.Partitions())
	for i := range chans {
		chans[i] = make(chan streamed)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan error, 1)
	go func() { // joined below: every return passes through finish
		done <- call(ctx, d, nil, "batches", func(t *Task, part int, each func(func([]T) error) error) (encodeFunc, error) {
			send := func(m streamed) error {
				s.streams.park(me, 1)
				defer s.streams.park(me, -1)
				for {
					select {
					case chans[part] <- m:
						return nil
					case <-t.Memory().Requested(): // by who may be what the consumer waits for
						t.Memory().Serve()
					case <-t.Context().Done():
						return context.Cause(t.Context())
					}
				}
			}
			none := func(dst []byte) ([]byte, error) { return dst, nil }
			if err := send(streamed{begin: true}); err != nil {
				return none, err
			}
			err := each(func(b []T) error {
				return send(streamed{data: c.Append(binary.AppendUvarint(nil, uint64(len(b))), b)})
			})
			if err == nil {
				err = send(streamed{end: true})
			}
			return none, err
		}, func(int, []byte) error { return nil })
	}()
	jobErr, ended := error(nil), false
	finish := func() {
		cancel(errLeft)
		if !ended {
			<-done
		}
	}
	defer finish()

	var rows []T
	for part := range chans {
		delivered, skip := 0, 0
		for complete := false; !complete; {
			var m streamed
			select {
			case m = <-chans[part]:
			case jobErr = <-done:
				ended = true
				if jobErr == nil {
					jobErr = fmt.Errorf("BUG: streaming job ended before partition %d was read", part)
				}
				yield(nil, jobErr)
				return
			}
			switch {
			case m.begin && delivered > 0 && d.op.node.Determinism != plan.Determinate:
				yield(nil, fmt.Errorf("cannot go on streaming partition %d: it failed after %d records were handed out, and a second run of %s may give other records (persist it first)",
					part, delivered, d.op.node.Name))
				return
			case m.begin:
				skip = delivered
			case m.end:
				complete = true
			default:
				n, k := binary.Uvarint(m.data)
				if rows, _, err = c.Decode(rows[:0], m.data[k:], int(n)); err != nil {
					yield(nil, err)
					return
				}
				b := rows[min(skip, len(rows)):]
				skip -= len(rows) - len(b)
				if len(b) == 0 {
					continue
				}
				delivered += len(b)
				if !yield(b, nil) {
					return
				}
			}
		}
	}
	jobErr = <-done
	ended = true
	if jobErr != nil {
		yield(nil, jobErr)
	}
}
