package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/workloads"
)

// Main registers the program's own workloads, runs the command line of the
// process and returns its exit code. The first interrupt or termination
// signal ends what runs, with what was done written down; the second one
// ends the process at once.
func Main(own ...*workloads.Workload) int {
	for _, w := range own {
		workloads.Register(w)
	}
	ctx, stop := signalled(context.Background(), os.Stderr)
	defer stop()
	return Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// Run carries out one command line, over the registered workloads, and
// returns its exit code. Errors are written to stderr, in one sentence each.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	a := &app{args: args, in: stdin, out: stdout, err: stderr}
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(stderr, "execbench: a bug of execbench: %v\n%s", p, debug.Stack())
			code = bench.ExitInternal
		}
	}()
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var quiet *exit
	if errors.As(err, &quiet) {
		return quiet.code
	}
	if err != nil {
		fmt.Fprintf(stderr, "execbench: %v\n", err)
	}
	return bench.ExitCode(err)
}

// app is one command line.
type app struct {
	args     []string
	in       io.Reader
	out, err io.Writer
}

// exit ends a command whose own output has said everything.
type exit struct{ code int }

func (e *exit) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// warn writes a warning for people.
func (a *app) warn(text string) { fmt.Fprintf(a.err, "execbench: warning: %s\n", text) }
