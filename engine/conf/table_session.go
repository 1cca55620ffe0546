package conf

// sessionKeys are about the session as a whole.
var sessionKeys = []Key{
	{Name: "app.name", Kind: KindString, Default: "execbench", Spark: "none",
		Doc:  "Name of the application in events and reports.",
		bind: func(s *Settings) any { return &s.AppName }},
	{Name: "master", Kind: KindString,
		Doc: "local, local[N], local[*] or local[N,M]: cores, and failures of one task that abort its job (1 unless M says otherwise). " +
			"Not given: all cores that the process may use, and task.maxFailures holds.",
		bind: func(s *Settings) any { return &s.Master }},
	{Name: "driver.memory", Kind: KindBytes, Unit: "m", Spark: "1g",
		Doc:  "Memory budget of the whole process; the command line's --memory goes before it. Not given: half of what the process may use.",
		bind: func(s *Settings) any { return &s.Memory }},
	{Name: "local.dir", Kind: KindString, Spark: "/tmp",
		Doc:  "Folder in which the session makes its own for spills and blocks. Not given: the system's temporary folder.",
		bind: func(s *Settings) any { return &s.Temp }},
	{Name: "output.direct", Kind: KindChoice, Default: string(DirectAuto), Spark: "-",
		Choices: []string{string(DirectAuto), string(DirectOn), string(DirectOff)},
		Doc:     "Write the full megabytes of output files past the system's file cache: whenever that was faster of late than through it (auto), always where the system can, or never.",
		bind:    func(s *Settings) any { return choice(&s.Direct) }},
	{Name: "default.parallelism", Kind: KindInt, Default: "0", Min: "0", Max: "16777216", Spark: "cores",
		Doc:  "Partitions of a source or a wide operation where the caller names none; 0 is the number of cores.",
		bind: func(s *Settings) any { return &s.Parallelism }},
	{Name: "logLineage", Kind: KindBool, Default: "false",
		Doc:  "Log the lineage of every job when it is submitted.",
		bind: func(s *Settings) any { return &s.LogLineage }},
	{Name: "redaction.regex", Kind: KindString, Default: `(?i)` + defaultRedaction,
		Doc:  "Configuration whose key or value matches is not shown in reports and logs.",
		bind: func(s *Settings) any { return &s.redaction }},
	{Name: "rdd.cache.visibilityTracking.enabled", Kind: KindBool, Default: "false",
		Doc:  "Show a cached partition to other attempts once the one that cached it has succeeded, so that accumulators count every partition.",
		bind: func(s *Settings) any { return &s.CacheVisibility }},
}
