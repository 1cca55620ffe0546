package conf

// speculationKeys are about second attempts of slow tasks. Spark makes none in
// local mode; here they run in another worker slot (scheduler, speculate.go).
var speculationKeys = []Key{
	{Name: "speculation", Kind: KindBool, Default: "false",
		Doc:  "Start a second attempt of a task that takes much longer than the others of its stage; the first to succeed counts.",
		bind: func(s *Settings) any { return &s.Speculation.Enabled }},
	{Name: "speculation.interval", Kind: KindDuration, Unit: "ms", Default: "100ms", Min: "1ms",
		Doc:  "Pause between looks for slow tasks.",
		bind: func(s *Settings) any { return &s.Speculation.Interval }},
	{Name: "speculation.multiplier", Kind: KindFloat, Default: "3", Min: "0",
		Doc:  "A task is slow once it has run for so many times the median of the tasks that succeeded.",
		bind: func(s *Settings) any { return &s.Speculation.Multiplier }},
	{Name: "speculation.quantile", Kind: KindFloat, Default: "0.9", Min: "0", Max: "1",
		Doc:  "The part of a stage's tasks that must have succeeded before their median counts.",
		bind: func(s *Settings) any { return &s.Speculation.Quantile }},
	{Name: "speculation.minTaskRuntime", Kind: KindDuration, Unit: "ms", Default: "100ms", Min: "0s",
		Doc:  "A task that has run for less is not slow.",
		bind: func(s *Settings) any { return &s.Speculation.MinTaskRuntime }},
	{Name: "speculation.task.duration.threshold", Kind: KindDuration, Unit: "ms", Min: "0s",
		Doc:  "Without enough successes a task is slow after this long, if its stage has no more tasks than an executor has slots. Not given: never.",
		bind: func(s *Settings) any { return &s.Speculation.TaskDurationThreshold }},
	{Name: "speculation.efficiency.enabled", Kind: KindBool, Default: "true",
		Doc:  "Let a slow task be that reads its records about as fast as the others of its stage.",
		bind: func(s *Settings) any { return &s.Speculation.Efficiency }},
	{Name: "speculation.efficiency.processRateMultiplier", Kind: KindFloat, Default: "0.75", Min: "0.000001", Max: "1",
		Doc:  "The part of the others' rate from which a slow task is let be.",
		bind: func(s *Settings) any { return &s.Speculation.ProcessRateMultiplier }},
	{Name: "speculation.efficiency.longRunTaskFactor", Kind: KindFloat, Default: "2", Min: "1",
		Doc:  "No rate excuses a task that has run for so many times what makes it slow.",
		bind: func(s *Settings) any { return &s.Speculation.LongRunTaskFactor }},
}
