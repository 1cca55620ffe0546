package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/execbench/execbench/bench"
)

// signalled returns a context that the first interrupt or termination signal
// ends, with a *bench.Signal as its cause. The second signal ends the
// process. stop gives the signals back.
func signalled(parent context.Context, stderr io.Writer) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals, done, joined := make(chan os.Signal, 2), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer close(joined)
		for first := true; ; first = false {
			select {
			case <-done:
				return
			case s := <-signals:
				cause := &bench.Signal{Signal: s}
				if !first {
					os.Exit(bench.ExitCode(cause))
				}
				fmt.Fprintf(stderr, "execbench: %v: ending what runs; once more ends at once and leaves temporary files\n", cause)
				cancel(cause)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-joined
		cancel(nil)
	}
}
