package scheduler

import (
	"fmt"
	"time"
)

// Heartbeats (spark-semantics §3.6): who gives no sign of life for
// Config.HeartbeatTimeout is lost. What a sign of life is, executors decide;
// they beat much more often than that.

// heartbeat takes a sign of life. An executor that is not known, or was given
// up, is told to come again, unless nothing will.
func (c *Core) heartbeat(e *Heartbeat) {
	x := c.executor(e.Executor)
	known := x != nil && x.alive
	if known {
		x.seen = c.now
		c.progress(e.Progress)
	}
	c.answer(&Answer{Token: e.Token, OK: known || c.closing})
}

// tooSilent returns the first moment at which an executor has been silent for
// longer than it may.
func (c *Core) tooSilent(x *executor) int64 { return x.seen + int64(c.cfg.HeartbeatTimeout) + 1 }

// expireSilent gives up the executors that were silent too long, and comes
// back when the next of them might have been. A look that comes much too late
// tells that the driver stood still (it was stopped, or its machine): then it
// is not the executors that were silent.
func (c *Core) expireSilent() {
	if late := c.now - c.silence; late > int64(c.cfg.HeartbeatTimeout)/10 {
		for _, x := range c.executors {
			x.seen = min(c.now, x.seen+late+1)
		}
	}
	c.silence = 0
	for _, x := range c.executors {
		if !x.alive {
			continue
		}
		at := c.tooSilent(x)
		if c.now >= at {
			c.executorLost(x.id, fmt.Sprintf("it gave no sign of life for %v (%s is %v)",
				time.Duration(c.now-x.seen), keyNetworkTimeout, c.cfg.HeartbeatTimeout), true)
		} else if c.silence == 0 || at < c.silence {
			c.silence = at
		}
	}
}
