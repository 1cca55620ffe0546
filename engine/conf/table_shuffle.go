package conf

const notMeasured = "measured on this kind of machine, lz4 compresses 0.39 GB/s a core while the disk takes 1.6 to 1.9 GB/s, so local shuffles lose by compressing"

// shuffleKeys are about shuffles and compression.
var shuffleKeys = []Key{
	{Name: "shuffle.storage", Kind: KindChoice, Default: string(ShuffleAuto), Spark: "-",
		Choices: []string{string(ShuffleAuto), string(ShuffleMemory), string(ShuffleDisk)},
		Doc:     "Where committed map outputs live: memory pages while the budget allows (auto), always memory, or always files as in Spark.",
		bind:    func(s *Settings) any { return choice(&s.ShuffleStorage) }},
	{Name: "io.compression.codec", Kind: KindChoice, Default: string(CompressionNone), Spark: "lz4",
		Choices: []string{string(CompressionNone), string(CompressionLZ4), string(CompressionZstd)},
		Doc:     "Codec of whatever the *.compress keys switch on. None by default: " + notMeasured + ".",
		bind:    func(s *Settings) any { return choice(&s.Compression) }},
	{Name: "shuffle.compress", Kind: KindBool, Default: "true",
		Doc:  "Compress map outputs with io.compression.codec.",
		bind: func(s *Settings) any { return &s.ShuffleCompress }},
	{Name: "shuffle.spill.compress", Kind: KindBool, Default: "true",
		Doc:  "Compress spilled runs with io.compression.codec.",
		bind: func(s *Settings) any { return &s.ShuffleSpillCompress }},
	{Name: "rdd.compress", Kind: KindBool, Default: "false",
		Doc:  "Compress cached partitions with io.compression.codec.",
		bind: func(s *Settings) any { return &s.RDDCompress }},
	{Name: "broadcast.compress", Kind: KindBool, Default: "true",
		Doc:  "Compress broadcasts with io.compression.codec.",
		bind: func(s *Settings) any { return &s.BroadcastCompress }},
	{Name: "shuffle.orderIndependentChecksum.enabled", Kind: KindBool, Default: "false",
		Doc:  "Checksum the rows of map outputs, whatever their order, and tell when a map task that runs again writes other ones. Outputs that are combined on the map side have no such checksum.",
		bind: func(s *Settings) any { return &s.RowChecksums }},
	{Name: "shuffle.orderIndependentChecksum.enableFullRetryOnMismatch", Kind: KindBool, Default: "false",
		Doc:  "When such a checksum differs, run all of the stages again that read the output; a job that has results already fails.",
		bind: func(s *Settings) any { return &s.RetryOnMismatch }},
	{Name: "sql.autoBroadcastJoinThreshold", Kind: KindBytes, Unit: "b", Default: "64MiB", Spark: "10MB", Off: true,
		Doc:  "A side of a join whose map outputs are no larger, nor than a quarter of a core's share of memory, is held whole in a table that the tasks of an executor share, and the other side is not shuffled; a side whose keys are not dense whole numbers up to an eighth of that. 0 or -1: never.",
		bind: func(s *Settings) any { return &s.BroadcastJoin }},
}
