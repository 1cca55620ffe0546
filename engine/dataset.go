package engine

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// Dataset is a partitioned collection of T, described and not yet computed:
// transformations build Datasets, actions run jobs. A Dataset may be used
// from several goroutines at once.
//
// Records travel in batches ([]T). A batch handed to a function is valid
// until the function returns; strings and byte slices in it may be views
// into pages of the engine and are valid as long (strings.Clone keeps one).
type Dataset[T any] struct {
	op  *operator
	run compute[T]
	// sampler reads k records of a partition at random and tells how many it
	// holds, where that costs less than reading them all; nil elsewhere.
	sampler func(t *Task, part, k int, seed uint64) (records int64, rows []T, err error)
	// restored is the checkpoint that replaced the computing; nil: none.
	restored atomic.Pointer[Dataset[T]]
}

// compute pushes the records of one partition to emit, batch by batch, on
// the attempt's goroutine. An error from emit must be returned at once.
type compute[T any] func(t *Task, part int, emit func([]T) error) error

// operator is the run-time side of a node of the lineage. The task binary of
// a stage names operators by node id.
type operator struct {
	s       *Session
	node    *plan.Node
	program *instance // the program that built it; nil: none did
	self    resulter
	writers []mapWriter // the shuffles this operator reads, by the order of its shuffle dependencies
	// learn is run on the driver before the first job over this operator
	// (range bounds); nil for most.
	learn      func(l *learning) error
	learning   chan struct{} // has room for one job, the one that learns; nil where learn is
	checkpoint checkpointing
	bytes      int64 // that a source reads, compressed ones as they are; 0: unknown, or no source
}

// resulter is the typed side of an operator: what actions need of it.
type resulter interface {
	// result runs an action on one partition and returns how to encode what
	// it found.
	result(t *Task, part int, a action) (encodeFunc, error)
	// save computes one partition for its checkpoint.
	save(t *Task, part int) error
}

// encodeFunc appends an attempt's encoded result to dst. It is timed apart
// from the run that produced it.
type encodeFunc func(dst []byte) ([]byte, error)

// mapWriter computes partition part of a shuffle's map side, writes its
// output by reducer and returns where it is.
type mapWriter func(t *Task, part int) (*task.MapStatus, error)

// nodeSpec says what newDataset is to build.
type nodeSpec struct {
	name        string
	parts       int
	deps        []plan.Dep
	determinism plan.Determinism
	barrier     bool
	preferred   func(part int) []task.Location
	bytes       int64 // of a source, as far as they are known
}

func newDataset[T any](s *Session, spec nodeSpec, run compute[T]) *Dataset[T] {
	node := &plan.Node{
		Name: spec.name, Site: callSite(), Partitions: spec.parts, Barrier: spec.barrier,
		Determinism: spec.determinism, Preferred: spec.preferred,
	}
	node.SetDeps(spec.deps...)
	d := &Dataset[T]{op: &operator{node: node, bytes: spec.bytes}, run: run}
	d.op.self = d
	s.graph.add(s, d.op)
	return d
}

// named renames the operation, for sugar over another one.
func (d *Dataset[T]) named(name string) *Dataset[T] {
	d.op.node.Name = name
	return d
}

// Partitions returns the number of partitions.
func (d *Dataset[T]) Partitions() int { return d.op.node.Partitions }

// Node returns the dataset's place in the lineage. It must not be changed.
func (d *Dataset[T]) Node() *plan.Node { return d.op.node }

// Session returns the session that the dataset belongs to.
func (d *Dataset[T]) Session() *Session { return d.op.s }

// codec returns T's codec, or an error that names T and the operation.
func (d *Dataset[T]) codec() (codec.Codec[T], error) {
	c, err := codec.For[T]()
	if err != nil {
		return nil, fmt.Errorf("cannot encode the records of %s at %s: %w", d.op.node.Name, d.op.node.Site, err)
	}
	return c, nil
}

// mustCodec is codec for graph building: a record type that cannot be
// encoded where it must be is a mistake of the programmer.
func mustCodec[T any](operation string) codec.Codec[T] {
	c, err := codec.For[T]()
	if err != nil {
		panic(fmt.Sprintf("engine: %s at %s: %v", operation, callSite(), err))
	}
	return c
}

// each pushes partition part, from the checkpoint or the cache where there
// is one, else computed.
func (d *Dataset[T]) each(t *Task, part int, emit func([]T) error) error {
	if r := d.restored.Load(); r != nil {
		return r.run(t, part, emit)
	}
	if level := d.op.node.Level(); level != block.LevelNone {
		return d.cached(t, part, level, emit)
	}
	return d.run(t, part, emit)
}

// callSite returns the first caller outside this package, as "file.go:12".
func callSite() string {
	var pcs [24]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.HasPrefix(f.Function, enginePrefix) {
			return filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
		}
		if strings.HasSuffix(f.File, "_test.go") {
			return filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return "unknown"
		}
	}
}

const enginePrefix = "github.com/execbench/execbench/engine."
