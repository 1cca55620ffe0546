package engine

import (
	"log/slog"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/units"
)

// Config describes a session. The zero value is usable: every zero field
// means what it says below.
type Config struct {
	// Name of the application in events and logs; empty: "execbench".
	Name string
	// Cores is the number of workers; 0: what the master key says, else the
	// processors that the process may use (GOMAXPROCS).
	Cores int
	// Executors divides the workers into so many labelled groups, each with a
	// share of the memory, a block store and map outputs of its own, as
	// executors are processes in Spark: for what happens between executors
	// (locality, loss, remote blocks). They are named "0", "1" and so on, and
	// Cores must be a multiple. 0 or 1: one executor, which is the driver's,
	// as in Spark's local mode.
	Executors int
	// Hosts are labels, given to the executors in turn: where their blocks are,
	// for locality. Empty: all have the machine's name.
	Hosts []string
	// Memory is the budget of the whole process; 0: half of the machine's
	// memory. The session keeps its own part (pages, blocks, results) below
	// it; setting GOMEMLIMIT from Mapped is the host program's to do, since a
	// library leaves its process alone.
	Memory units.Bytes
	// Conf are configuration keys, Spark's, with or without "spark.".
	Conf map[string]string
	// Temp is the folder in which the session makes its own; empty:
	// os.TempDir.
	Temp string
	// Logger receives what people should read; nil: nothing.
	Logger *slog.Logger
	// Events receive every event of the session, in order. They are called in
	// the middle of scheduling, so a sink is quick and starts no job: what
	// would wait for the scheduler fails with ErrInSink, as Close does.
	// Cancelling and killing work. (A goroutine that a sink starts and waits
	// for must do neither.) A panic is logged and counted, Close reports it,
	// and the session lives on.
	Events []event.Sink
	// Listeners receive events through a queue with a goroutine of its own,
	// one for each name: they may take their time, and lose what comes while
	// the queue is full (scheduler.listenerbus.eventqueue.capacity). A panic
	// is handled as that of a sink, and Close in a listener fails with
	// ErrInSink. Close waits for them to take what is in the queues, no longer
	// than scheduler.listenerbus.exitTimeout.
	Listeners []Listener
	// Mapped is told, now and then, how many bytes of pages are mapped
	// outside the Go heap; nil: nobody.
	Mapped func(bytes int64)
	// Labels is asked at the start of each attempt whether it is to run under
	// pprof labels: its job, its stage attempt, its part, and those of
	// WithLabel. It must be as quick as the reading of a flag. nil: no attempt
	// does, at no cost.
	Labels func() bool
	// Record keeps what the executor is told and answers, for RunDetached;
	// nil: nothing is kept, at no cost.
	Record *Recording
}

// Listener is a sink that may be slow: it sits behind a queue.
type Listener struct {
	Queue string // listeners of one name share a queue; empty: "shared"
	Sink  event.Sink
}
