package bench

import (
	"context"
	"errors"
	"time"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/proc"
	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/workloads"
)

// Explain builds the lineage of a plan's job and returns it as text. It runs
// no job, but makes the data if they are not there: their files decide the
// partitions.
func Explain(ctx context.Context, p Plan, o Observer) (text string, err error) {
	r, err := p.resolve()
	if err != nil {
		return "", err
	}
	e := &execution{resolved: r, o: o, began: time.Now(), folder: &folder.Writer{Manifest: &folder.Manifest{}}}
	if e.setup, err = proc.Start(proc.Config{Cores: e.Cores, Memory: e.Memory}); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, e.setup.Close()) }()
	defer func() { folder.RemoveEmpty(e.made) }()
	if err := e.makeFolder(e.tempParent()); err != nil {
		return "", Usagef("cannot make temporary folder %s: %w", e.tempParent(), err)
	}
	e.session, err = engine.Open(engine.Config{Name: e.Workload.Name, Cores: e.Cores, Executors: e.Executors, Memory: e.Memory, Conf: e.conf, Temp: e.Temp})
	if err != nil {
		return "", &Usage{err}
	}
	defer func() { err = errors.Join(err, e.session.Close()) }()
	if err := e.prepareInput(ctx); err != nil {
		return "", cause(ctx, err)
	}
	built, err := workloads.Build(e.session, e.Workload, e.Values, e.input)
	if err != nil {
		return "", &Usage{err}
	}
	node, ok := built.(interface{ Node() *plan.Node })
	if !ok {
		return "", Usagef("cannot show the plan of %s: what it builds has no lineage of its own (its Build returns a %T)", e.Workload.Name, built)
	}
	return engine.Explain(node), nil
}
