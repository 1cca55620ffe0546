package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/id"
)

// action says what a result stage does with a partition. It is data: it
// travels in the task binary.
type action struct {
	kind actionKind
	n    int64   // take: records; sample: keys; write: the write's number
	seed uint64  // sample
	fn   int64   // call: the function's number in this process
	node id.Node // sample: the sorted dataset whose key is sampled
	dir  string  // write: the output folder
}

type actionKind uint8

const (
	actionCount actionKind = iota
	actionCollect
	actionTake
	actionSample
	actionWrite
	actionSave
	actionCall // a function of this process: not portable
)

func (a *action) append(dst []byte) []byte {
	dst = append(dst, byte(a.kind))
	dst = binary.AppendVarint(dst, a.n)
	dst = binary.AppendUvarint(dst, a.seed)
	dst = binary.AppendVarint(dst, a.fn)
	dst = binary.AppendVarint(dst, int64(a.node))
	return appendString(dst, a.dir)
}

func (a *action) decode(d *decoder) {
	if len(d.b) == 0 {
		d.bad = true
		return
	}
	a.kind, d.b = actionKind(d.b[0]), d.b[1:]
	a.n, a.seed, a.fn, a.node = d.varint(), d.uvarint(), d.varint(), id.Node(d.varint())
	a.dir = d.string()
}

// partitionFunc is what a call action runs on one partition. each pushes the
// partition's batches; returning errStop from emit ends it early.
type partitionFunc[T any] func(t *Task, part int, each func(emit func([]T) error) error) (encodeFunc, error)

// result implements resulter.
func (d *Dataset[T]) result(t *Task, part int, a action) (encodeFunc, error) {
	switch a.kind {
	case actionCount:
		var n int64
		err := d.each(t, part, func(b []T) error { n += int64(len(b)); return nil })
		return func(dst []byte) ([]byte, error) { return binary.AppendVarint(dst, n), nil }, err
	case actionCollect:
		return d.collectPart(t, part, -1)
	case actionTake:
		return d.collectPart(t, part, a.n)
	case actionSave:
		return func(dst []byte) ([]byte, error) { return dst, nil }, d.save(t, part)
	case actionCall:
		fn, ok := d.op.s.functions.get(a.fn).(partitionFunc[T])
		if !ok {
			return nil, fmt.Errorf("cannot call function %d of the driver: %w", a.fn, ErrNotPortable)
		}
		return fn(t, part, func(emit func([]T) error) error {
			if err := d.each(t, part, emit); err != nil && !stopped(err) {
				return err
			}
			return nil
		})
	}
	return nil, fmt.Errorf("cannot run action %d on %s", a.kind, d.op.node.Name)
}

// collectPart encodes up to limit records (-1: all). Records are encoded as
// they come, since a batch is valid only during its call.
func (d *Dataset[T]) collectPart(t *Task, part int, limit int64) (encodeFunc, error) {
	c, err := d.codec()
	if err != nil {
		return nil, err
	}
	fail := func(err error) error { return fmt.Errorf("cannot collect partition %d: %w", part, err) }
	buf, err := newResultBuffer(t)
	if err != nil {
		return nil, fail(err)
	}
	var rows int64
	err = d.each(t, part, func(b []T) error {
		if limit >= 0 && rows+int64(len(b)) > limit {
			b = b[:limit-rows]
		}
		if len(b) > 0 {
			rows += int64(len(b))
			if err := appendRows(buf, c, b); err != nil {
				return fail(err)
			}
		}
		if limit >= 0 && rows >= limit {
			return errStop
		}
		return nil
	})
	if err == nil || stopped(err) {
		err = buf.room(resultTail)
	}
	if err != nil {
		return nil, err
	}
	return func(dst []byte) ([]byte, error) { return buf.result(dst, rows), nil }, nil
}

// decodeRows reads what collectPart encoded, appending to dst. The records
// are copies of nothing: views into value.
func (d *Dataset[T]) decodeRows(dst []T, value []byte) ([]T, error) {
	c, err := d.codec()
	if err != nil {
		return dst, err
	}
	rows, n := binary.Uvarint(value)
	if n <= 0 {
		return dst, fmt.Errorf("cannot decode a result of %d bytes", len(value))
	}
	out, rest, err := c.Decode(dst, value[n:], int(rows))
	if err != nil {
		return dst, err
	}
	if len(rest) != 0 || len(out)-len(dst) != int(rows) {
		return dst, fmt.Errorf("cannot decode a result: %d of %d records, %d bytes left over", len(out)-len(dst), rows, len(rest))
	}
	return out, nil
}

// Collect returns every record, by partition. The records are the caller's.
func (d *Dataset[T]) Collect(ctx context.Context) ([]T, error) {
	parts := make([][]T, d.Partitions())
	total := 0
	err := d.collectEach(ctx, true, func(part int, rows []T) error {
		parts[part] = rows
		total += len(rows)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]T, 0, total)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out, nil
}

// CollectEach is Collect for a caller that need not hold everything at once:
// it hands over the records of each partition as its result comes in, on the
// calling goroutine, in the order of completion. The records are the
// caller's; what it keeps of them is on no account of the session's. An error
// from handle ends the job.
func (d *Dataset[T]) CollectEach(ctx context.Context, handle func(part int, rows []T) error) error {
	return d.collectEach(ctx, false, handle)
}

func (d *Dataset[T]) collectEach(ctx context.Context, keeps bool, handle func(part int, rows []T) error) error {
	return d.op.s.runJob(ctx, job{op: d.op, action: action{kind: actionCollect}, name: "collect", keeps: keeps}, func(i int, value []byte) error {
		rows, err := d.decodeRows(nil, value)
		if err != nil {
			return err
		}
		return handle(i, rows)
	})
}

// Count returns the number of records.
func (d *Dataset[T]) Count(ctx context.Context) (int64, error) {
	var total int64
	err := d.op.s.runJob(ctx, job{op: d.op, action: action{kind: actionCount}, name: "count"}, func(_ int, value []byte) error {
		n, k := binary.Varint(value)
		if k <= 0 {
			return fmt.Errorf("cannot decode a count of %d bytes", len(value))
		}
		total += n
		return nil
	})
	return total, err
}

// Take returns the first n records in partition order. It runs a job over
// the first partition, then over four times as many, until it has enough, as
// Spark does.
func (d *Dataset[T]) Take(ctx context.Context, n int) ([]T, error) {
	var out []T
	for done, width := 0, 1; len(out) < n && done < d.Partitions(); width *= 4 {
		parts := make([]int32, 0, width)
		for p := done; p < min(done+width, d.Partitions()); p++ {
			parts = append(parts, int32(p))
		}
		found := make([][]T, len(parts))
		err := d.op.s.runJob(ctx, job{
			op: d.op, parts: parts, name: "take", keeps: true,
			action: action{kind: actionTake, n: int64(n - len(out))},
		}, func(i int, value []byte) (err error) {
			found[i], err = d.decodeRows(nil, value)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, rows := range found {
			out = append(out, rows[:min(len(rows), n-len(out))]...)
		}
		done += len(parts)
	}
	return out, nil
}

// Reduce combines all records with f, which must be associative and
// commutative. ok is false when there are none.
func (d *Dataset[T]) Reduce(ctx context.Context, f func(a, b T) T) (result T, ok bool, err error) {
	type some struct {
		v  T
		ok bool
	}
	parts := make([]some, d.Partitions())
	c, err := d.codec()
	if err != nil {
		return result, false, err
	}
	err = call(ctx, d, nil, "reduce", func(t *Task, part int, each func(func([]T) error) error) (encodeFunc, error) {
		var acc some
		err := each(func(b []T) error {
			for i := range b {
				if acc.ok {
					acc.v = f(acc.v, b[i])
				} else {
					acc = some{b[i], true}
				}
			}
			// A batch's views end with it: keep a copy of what they point to.
			kept, err := reEncode(c, acc.v, acc.ok)
			acc.v = kept
			return err
		})
		return func(dst []byte) ([]byte, error) {
			if !acc.ok {
				return dst, nil
			}
			return c.Append(dst, []T{acc.v}), nil
		}, err
	}, func(i int, value []byte) error {
		if len(value) == 0 {
			return nil
		}
		rows, _, err := c.Decode(nil, value, 1)
		if err == nil {
			parts[i] = some{rows[0], true}
		}
		return err
	})
	if err != nil {
		return result, false, err
	}
	for _, p := range parts { // in partition order, so that the answer does not depend on timing
		switch {
		case p.ok && ok:
			result = f(result, p.v)
		case p.ok:
			result, ok = p.v, true
		}
	}
	return result, ok, nil
}

// Fold combines all records with f, starting every partition and the whole
// from zero, as Spark does.
func (d *Dataset[T]) Fold(ctx context.Context, zero T, f func(a, b T) T) (T, error) {
	c, err := d.codec()
	if err != nil {
		return zero, err
	}
	parts := make([]T, d.Partitions())
	err = call(ctx, d, nil, "fold", func(t *Task, part int, each func(func([]T) error) error) (encodeFunc, error) {
		acc := zero
		err := each(func(b []T) error {
			for i := range b {
				acc = f(acc, b[i])
			}
			var err error
			acc, err = reEncode(c, acc, true)
			return err
		})
		return func(dst []byte) ([]byte, error) { return c.Append(dst, []T{acc}), nil }, err
	}, func(i int, value []byte) error {
		rows, _, err := c.Decode(nil, value, 1)
		if err == nil {
			parts[i] = rows[0]
		}
		return err
	})
	if err != nil {
		return zero, err
	}
	acc := zero
	for _, p := range parts {
		acc = f(acc, p)
	}
	return acc, nil
}

// Foreach calls f with every batch, on the workers.
func (d *Dataset[T]) Foreach(ctx context.Context, f func(t *Task, batch []T) error) error {
	return call(ctx, d, nil, "foreach", func(t *Task, part int, each func(func([]T) error) error) (encodeFunc, error) {
		err := each(func(b []T) error { return f(t, b) })
		return func(dst []byte) ([]byte, error) { return dst, nil }, err
	}, func(int, []byte) error { return nil })
}

// RunJob runs f over the chosen partitions of d (nil: all) and hands what it
// returns to handle, on the calling goroutine, in the order of completion;
// index counts the chosen partitions. An error from handle ends the job. R
// needs a codec. next pushes the partition's batches to its argument.
func RunJob[T, R any](ctx context.Context, d *Dataset[T], parts []int, f func(t *Task, next func(emit func([]T) error) error) (R, error),
	handle func(index int, r R) error) error {
	c := mustCodec[R]("RunJob")
	var chosen []int32
	if parts != nil {
		chosen = make([]int32, len(parts))
		for i, p := range parts {
			if p < 0 || p >= d.Partitions() {
				return fmt.Errorf("cannot run a job over partition %d of %d", p, d.Partitions())
			}
			chosen[i] = int32(p)
		}
	}
	return call(ctx, d, chosen, "runJob", func(t *Task, part int, each func(func([]T) error) error) (encodeFunc, error) {
		r, err := f(t, each)
		return func(dst []byte) ([]byte, error) { return c.Append(dst, []R{r}), nil }, err
	}, func(i int, value []byte) error {
		rows, _, err := c.Decode(nil, value, 1)
		if err != nil {
			return err
		}
		return handle(i, rows[0])
	})
}

// call runs a call action: a function of this process over partitions of d.
func call[T any](ctx context.Context, d *Dataset[T], parts []int32, name string, fn partitionFunc[T], handle func(i int, value []byte) error) error {
	s := d.op.s
	n := s.functions.add(fn)
	defer s.functions.remove(n)
	return s.runJob(ctx, job{op: d.op, parts: parts, action: action{kind: actionCall, fn: n}, name: name}, handle)
}

// Batches streams the records to the caller in partition order: a batch is
// valid until the next iteration. Producers are held back while the caller
// works, and what streams does not count towards driver.maxResultSize. While
// the loop runs, its partitions occupy workers; leaving it cancels the job. A
// job or stream that is started inside the loop fails with ErrWorkersHeld when
// the loop's own partitions hold every worker.
func (d *Dataset[T]) Batches(ctx context.Context) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) { stream(ctx, d, yield) }
}

// reEncode returns v with its views turned into memory of its own, by way of
// its codec. Plain types have no views and stay.
func reEncode[T any](c codec.Codec[T], v T, ok bool) (T, error) {
	if !ok || codec.IsPlain[T]() {
		return v, nil
	}
	rows, _, err := c.Decode(nil, c.Append(nil, []T{v}), 1)
	if err != nil {
		return v, err
	}
	return rows[0], nil
}
