package conf

// eventKeys are about Spark's JSON event log, written beside the run's own
// event file.
var eventKeys = []Key{
	{Name: "eventLog.enabled", Kind: KindBool, Default: "false",
		Doc:  "Write Spark's JSON event log as the run goes (the command line's --event-log does too).",
		bind: func(s *Settings) any { return &s.EventLog.Enabled }},
	{Name: "eventLog.dir", Kind: KindString, Default: "/tmp/spark-events",
		Doc:  "Folder of the event log.",
		bind: func(s *Settings) any { return &s.EventLog.Dir }},
	{Name: "eventLog.overwrite", Kind: KindBool, Default: "false",
		Doc:  "Replace a finished event log of the same name.",
		bind: func(s *Settings) any { return &s.EventLog.Overwrite }},
	{Name: "eventLog.logBlockUpdates.enabled", Kind: KindBool, Default: "false",
		Doc:  "Log every change of a cached block, which the History Server's Storage tab needs.",
		bind: func(s *Settings) any { return &s.EventLog.BlockUpdates }},
}
