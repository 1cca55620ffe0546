package conf

// memoryKeys are about the unified memory manager and the block store.
var memoryKeys = []Key{
	{Name: "memory.reserved", Kind: KindBytes, Unit: "b", Default: "32MiB", Min: "1MiB", Spark: "300m, a constant",
		Doc:  "Part of the budget left to the Go runtime and the harness; the rest is managed. Spark's constant is for a JVM.",
		bind: func(s *Settings) any { return &s.Reserved }},
	{Name: "memory.fraction", Kind: KindFloat, Default: "1", Min: "0.01", Max: "1", Spark: "0.6",
		Doc:  "Share of (budget - memory.reserved) that execution and storage use. Spark leaves 0.4 to user objects on its heap; here they are charged by estimate.",
		bind: func(s *Settings) any { return &s.MemoryFraction }},
	{Name: "memory.storageFraction", Kind: KindFloat, Default: "0.5", Min: "0", Max: "1",
		Doc:  "Share of the managed memory below which execution does not evict cached blocks.",
		bind: func(s *Settings) any { return &s.StorageFraction }},
	{Name: "buffer.pageSize", Kind: KindBytes, Unit: "b", Default: "0", Max: "1GiB", Spark: "computed",
		Doc:  "Size of a memory page; 0: computed from managed memory and cores.",
		bind: func(s *Settings) any { return &s.PageSize }},
	{Name: "storage.readBackFraction", Kind: KindFloat, Default: "0.05", Min: "0", Max: "0.5", Spark: "-",
		Doc:  "Share of the managed memory for copies of blocks that live on disk; given up whole when execution needs it. 0: none.",
		bind: func(s *Settings) any { return &s.ReadBackFraction }},
	{Name: "unsafe.exceptionOnMemoryLeak", Kind: KindBool, Default: "false",
		Doc:  "An attempt that ends holding memory fails instead of being reported.",
		bind: func(s *Settings) any { return &s.LeakedMemoryIsFailure }},
	{Name: "storage.exceptionOnPinLeak", Kind: KindBool, Default: "false",
		Doc:  "An attempt that ends holding blocks fails instead of being reported.",
		bind: func(s *Settings) any { return &s.LeakedPinIsFailure }},
}
