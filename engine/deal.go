package engine

import (
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

// learnDeal has an aggregation of in, whose keys are whole numbers, deal them
// out to its reducers where in is cached and its keys are known to lie close
// together: see [spill.Deal]. It is learned before the first job over the
// aggregation, without a job, and stays, whatever becomes of the cached
// partitions: a key that was not dealt is hashed.
func (o *operator) learnDeal(in *operator, dep *plan.ShuffleDep) {
	o.learning = make(chan struct{}, 1)
	o.learn = func(l *learning) error {
		data := []byte{hashed}
		if l.s.cachedWhole(in.node) {
			if span, known := l.s.nodeKeys(in.node.ID); known {
				data = encodeDeal(span, dep)
			}
		}
		l.s.learn(o.node.ID, data)
		return nil
	}
}

// encodeDeal makes the deal of a span to the reducers of a shuffle, if there
// is one.
func encodeDeal(span task.KeySpan, dep *plan.ShuffleDep) []byte {
	deal, ok := spill.NewDeal(span, dep.Reducers)
	if !ok {
		return []byte{hashed}
	}
	return deal.Append([]byte{dealt})
}

// What an aggregation learned: a deal, or that there is none.
const (
	dealt  = 'D' // followed by the deal
	hashed = '-'
)

// dealOf returns the deal of a shuffle that was learned; nil: none.
func dealOf(learned []byte, dep *plan.ShuffleDep) *spill.Deal {
	if len(learned) == 0 || learned[0] != dealt {
		return nil
	}
	if d, ok := spill.DecodeDeal(learned[1:], dep.Reducers); ok {
		return &d
	}
	return nil
}
