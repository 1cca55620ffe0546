package scheduler

import "github.com/execbench/execbench/engine/id"

// commits decides which attempt may commit the output of a partition
// (spark-semantics §7.2). The first to ask wins and keeps the right until it
// fails; rights outlive a stage attempt that will be retried, but not the map
// output that they were asked for.
type commits struct{ stages map[id.Stage]*commitStage }

type commitStage struct {
	owner  []commitOwner // [partitions of the stage's dataset]
	failed map[commitAsker]bool
}

// commitOwner is who may commit a partition; the zero value: nobody yet.
type commitOwner struct {
	set            bool
	stage, attempt int32
}

type commitAsker struct{ partition, stage, attempt int32 }

func (k *commits) init() { k.stages = map[id.Stage]*commitStage{} }

// start makes a stage known and keeps what is known of it.
func (k *commits) start(s id.Stage, partitions int) {
	if k.stages[s] == nil {
		k.stages[s] = &commitStage{owner: make([]commitOwner, partitions)}
	}
}

func (k *commits) end(s id.Stage) { delete(k.stages, s) }

// ask reports whether the attempt may commit; asking again changes nothing.
func (k *commits) ask(s id.StageAttempt, partition, attempt int32) bool {
	st := k.stages[s.Stage]
	if st == nil || partition < 0 || int(partition) >= len(st.owner) ||
		st.failed[commitAsker{partition, s.Attempt, attempt}] {
		return false
	}
	o := &st.owner[partition]
	if !o.set {
		*o = commitOwner{true, s.Attempt, attempt}
	}
	return o.stage == s.Attempt && o.attempt == attempt
}

// again gives up the rights to partitions of a map stage that are computed
// again, since their outputs are gone, unless who has one still runs. Whoever
// wrote them succeeded, so that nothing else would ever take its right.
func (k *commits) again(s *stage, parts []int32) {
	owner := k.stages[s.id].owner
	for _, part := range parts {
		if o := &owner[part]; o.set && !s.runs(part, o.stage, o.attempt) {
			*o = commitOwner{}
		}
	}
}

// ended tells how an attempt ended. A failed one will never commit; if it had
// the right, the next to ask gets it, as it does if a success counts for
// nothing. Other successes and a denied commit change nothing.
func (k *commits) ended(s id.StageAttempt, partition, attempt int32, denied bool) {
	st := k.stages[s.Stage]
	if st == nil || denied || partition < 0 || int(partition) >= len(st.owner) {
		return
	}
	if st.failed == nil {
		st.failed = map[commitAsker]bool{}
	}
	st.failed[commitAsker{partition, s.Attempt, attempt}] = true
	if o := &st.owner[partition]; o.set && o.stage == s.Attempt && o.attempt == attempt {
		*o = commitOwner{}
	}
}
