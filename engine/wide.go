package engine

import (
	"io"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

// Wide transformations: every partition of the result may need records of
// every partition of the input, so a stage ends and a shuffle begins. Here is
// what they share; each kind has its own file.

// newShuffleManager makes an executor's keeper of map outputs.
func (s *Session) newShuffleManager(g *group) (*shuffle.Manager, error) {
	compression, err := codec.CompressionByName(string(s.set.Compression))
	if err != nil {
		return nil, err
	}
	where, err := shuffle.ParseStorage(string(s.set.ShuffleStorage))
	if err != nil {
		return nil, err
	}
	if !s.set.ShuffleCompress {
		compression = codec.None
	}
	return shuffle.NewManager(shuffle.Config{
		At: task.Location{Host: g.host, Executor: g.id}, Memory: g.memory, Disk: g.disk,
		Storage: where, Compression: compression, RowChecksums: s.set.RowChecksums,
	})
}

// kernelEnv is what the attempt gives the kernels of packages spill and
// shuffle.
func (t *Task) kernelEnv() spill.Env {
	env := spill.Env{Memory: t.Memory(), Disk: t.g.disk, Metrics: &t.Metrics, Timer: &t.Timer, Check: t.Check}
	if t.s.set.ShuffleSpillCompress && t.s.set.Compression != conf.CompressionNone {
		env.Compression, _ = codec.CompressionByName(string(t.s.set.Compression)) // Open has checked the name
	}
	return env
}

// newWide makes the reading side of a shuffle: a dataset of reducers
// partitions over dep.
func newWide[T any](s *Session, name string, deps []*plan.ShuffleDep, level plan.Determinism, writers []mapWriter, run compute[T]) *Dataset[T] {
	spec := nodeSpec{name: name, parts: deps[0].Reducers, determinism: level}
	for _, d := range deps {
		spec.deps = append(spec.deps, d)
	}
	out := newDataset(s, spec, run)
	out.op.writers = writers
	for i, d := range deps {
		s.setReader(d.Shuffle, out.op, i)
	}
	return out
}

// shuffleOf makes the dependency on d cut for reducers.
func shuffleOf[T any](d *Dataset[T], reducers int) *plan.ShuffleDep {
	return &plan.ShuffleDep{Parent: d.op.node, Shuffle: d.op.s.graph.shuffle(d.op.s), Reducers: reducers}
}

// partitioned returns the map side that sends each row where partition says.
// The partitioner is made anew for every attempt.
func partitioned[T any](d *Dataset[T], dep *plan.ShuffleDep, c codec.Codec[T], partitioner func(t *Task, part int) (shuffle.Partitioner[T], error)) mapWriter {
	return func(t *Task, part int) (*task.MapStatus, error) {
		p, err := partitioner(t, part)
		if err != nil {
			return nil, err
		}
		w, err := shuffle.NewWriter(t.g.shuffles, t.kernelEnv(), t.target(dep), p, c)
		if err != nil {
			return nil, err
		}
		return writeAll(t, part, d, w)
	}
}

// mapOutput is what writes one map task's rows by reducer: with or without
// combining them first.
type mapOutput[T any] interface {
	Add(rows []T) error
	Commit() (*task.MapStatus, error)
	Close() error
}

// writeAll computes a partition into w, commits it and closes it.
func writeAll[T any](t *Task, part int, d *Dataset[T], w mapOutput[T]) (*task.MapStatus, error) {
	defer w.Close()
	if err := d.each(t, part, w.Add); err != nil && !stopped(err) {
		return nil, err
	}
	return w.Commit()
}

func (t *Task) target(dep *plan.ShuffleDep) shuffle.Target {
	return shuffle.Target{Shuffle: dep.Shuffle, Map: t.attemptContext.Task, Reducers: dep.Reducers}
}

// fetch pushes the frames that the map outputs hold for reducer part.
func (t *Task) fetch(dep *plan.ShuffleDep, part int, emit func(f *shuffle.Frame) error) error {
	return t.fetchRange(dep, part, part+1, emit)
}

// fetchRange is fetch for the reducers from and up to to, which is excluded:
// for all of them, map output by map output.
func (t *Task) fetchRange(dep *plan.ShuffleDep, from, to int, emit func(f *shuffle.Frame) error) error {
	statuses, err := t.MapOutputs(dep.Shuffle)
	if err != nil {
		return t.failure(fetchFailed(dep.Shuffle, from, err))
	}
	r := shuffle.NewReader(t.g.shuffles, t.kernelEnv(), shuffle.Source{
		Shuffle: dep.Shuffle, Statuses: statuses, From: from, To: to, Peer: t.s.groups.peer,
	})
	defer r.Close()
	for {
		f, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return t.failure(err)
		}
		if err := emit(&f); err != nil {
			return err
		}
	}
}

// fetchBytes returns about how many bytes there are to fetch for reducer part.
func (t *Task) fetchBytes(dep *plan.ShuffleDep, part int) (bytes int64, err error) {
	statuses, err := t.MapOutputs(dep.Shuffle)
	if err != nil {
		return 0, t.failure(fetchFailed(dep.Shuffle, part, err))
	}
	for _, s := range statuses {
		if s != nil {
			bytes += s.Size(part)
		}
	}
	return bytes, nil
}

// fetchRows is fetch with the frames decoded into batches.
func fetchRows[T any](t *Task, dep *plan.ShuffleDep, c codec.Codec[T], part int, emit func([]T) error) error {
	buf := takeBatch[T]()
	defer buf.put()
	return t.fetch(dep, part, func(f *shuffle.Frame) error {
		rows, err := buf.decode(c, f.Data, f.Rows)
		if err != nil {
			return err
		}
		return emit(rows)
	})
}

// byHash sends each pair to the reducer of its key's hash.
func byHash[K, V any](key codec.Key[K], reducers int) func(*Task, int) (shuffle.Partitioner[Pair[K, V]], error) {
	return func(*Task, int) (shuffle.Partitioner[Pair[K, V]], error) {
		return shuffle.ByKey[K, V](key, reducers), nil
	}
}

// Repartition spreads the records evenly over n partitions through a shuffle.
// Which partition a record goes to depends on its place in its partition, so
// over an unordered input a second run may spread them otherwise.
func Repartition[T any](d *Dataset[T], n int) *Dataset[T] {
	n = d.op.s.parts(n)
	c := mustCodec[T]("Repartition")
	dep := shuffleOf(d, n)
	level := d.op.node.Determinism
	if level == plan.Unordered {
		level = plan.Indeterminate
	}
	w := partitioned(d, dep, c, func(_ *Task, part int) (shuffle.Partitioner[T], error) {
		next := int32(part % n) // neighbours begin at different reducers
		return func(dst []int32, rows []T) {
			for i := range dst {
				dst[i] = next
				if next++; next == int32(n) {
					next = 0
				}
			}
		}, nil
	})
	return newWide(d.op.s, "repartition", []*plan.ShuffleDep{dep}, max(level, plan.Unordered), []mapWriter{w},
		func(t *Task, part int, emit func([]T) error) error { return fetchRows(t, dep, c, part, emit) })
}
