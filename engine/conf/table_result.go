package conf

// resultKeys are about the way of results from executor to driver.
var resultKeys = []Key{
	{Name: "driver.maxResultSize", Kind: KindBytes, Unit: "b", Default: "1g",
		Doc:  "Limit of one result, and of all results of a job together; 0: none. A job above it is aborted.",
		bind: func(s *Settings) any { return &s.MaxResultSize }},
	{Name: "task.maxDirectResultSize", Kind: KindBytes, Unit: "b", Default: "1MiB", Min: "0",
		Doc:  "Results up to this size travel in the status message, larger ones as stored blocks. Never above rpc.message.maxSize.",
		bind: func(s *Settings) any { return &s.MaxDirectResultSize }},
	{Name: "rpc.message.maxSize", Kind: KindBytes, Unit: "m", Default: "128", Min: "1", Max: "2047",
		Doc:  "Largest message between driver and executor.",
		bind: func(s *Settings) any { return &s.MaxMessageSize }},
	{Name: "resultGetter.threads", Kind: KindInt, Default: "4", Min: "1", Max: "256",
		Doc:  "Getters that fetch stored results.",
		bind: func(s *Settings) any { return &s.ResultGetters }},
}
