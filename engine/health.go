package engine

import (
	"time"

	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/scheduler"
	"github.com/execbench/execbench/engine/task"
)

// exclusion returns what failures exclude among so many executors. Of one,
// nothing: a task that failed there could run nowhere.
func (s *Session) exclusion(executors int) conf.Exclusion {
	if executors > 1 || !s.set.Exclusion.On() {
		return s.set.Exclusion
	}
	s.warnings = append(s.warnings, conf.Warning{Key: conf.Prefix + "excludeOnFailure.enabled",
		Text: conf.Prefix + "excludeOnFailure.enabled has no effect with one executor: excluding it would leave none"})
	s.log.Warn(s.warnings[len(s.warnings)-1].Text)
	return conf.Exclusion{}
}

// heartbeatTimeout returns the silence after which an executor is lost; 0:
// there is one, and nobody else to do its work.
func (s *Session) heartbeatTimeout() time.Duration {
	if s.groups.shares == nil {
		return 0
	}
	return s.set.Heartbeat.Timeout
}

// starvationTimeout is how long a first job waits for a slot until people are
// told; 0: never, as in Spark's local mode.
func (s *Session) starvationTimeout() time.Duration {
	if s.groups.shares == nil {
		return 0
	}
	return s.set.StarvationTimeout
}

// beat tells the driver which executors live, and, where it looks for slow
// attempts, how far they are. The driver drops an executor in the step in
// which it loses it, so none that it does not know tells that it lives.
//
// Workers share the driver's process, so no executor falls silent by itself.
// One that does not serve is: it would hold its tasks' places for ever.
func (s *Session) beat() {
	sp := &s.set.Speculation
	measure, due := sp.Enabled && sp.Efficiency, false
	if now := s.now(); s.groups.shares != nil && now >= s.nextBeat {
		s.nextBeat, due = now+int64(s.set.Heartbeat.Interval), true
	}
	if !measure && !due {
		return
	}
	for g := range s.groups.live() {
		if !g.executor.Serves() {
			continue
		}
		var list []scheduler.Progress
		if measure {
			list = progress(g.executor)
		}
		s.driver.Heartbeat(g.id, list)
	}
}

// progress returns what the attempts of an executor last told, and has them
// tell again.
func progress(e *executor.Executor) (list []scheduler.Progress) {
	for _, r := range e.Running() {
		if r.Latest != nil && r.Start > 0 {
			m := &r.Latest.Metrics
			list = append(list, scheduler.Progress{Task: r.Task, RunTime: r.Latest.At - r.Start,
				Records: m[task.InputRecordsRead] + m[task.ShuffleRecordsRead]})
		}
	}
	return list
}
