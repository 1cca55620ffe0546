package engine

import "github.com/execbench/execbench/engine/conf"

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
