package scheduler

import (
	"fmt"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/task"
)

// getter fetches stored results, one at a time, until the driver closes.
func (d *Driver) getter() {
	defer d.fetches.wg.Done()
	for {
		x, ok := d.fetches.take()
		if !ok {
			return
		}
		d.box.post(item{event: &FetchBegun{Task: x.Task}})
		got := &ResultFetched{Task: x.Task}
		if err := d.fetch(x.Block, got); err != nil {
			got.Lost = fmt.Sprintf("cannot fetch result %s: %v", x.Block, err)
		}
		d.box.post(item{event: got})
	}
}

// fetch reads and decodes a stored result, and removes its block.
func (d *Driver) fetch(b block.ID, got *ResultFetched) error {
	view, release, err := d.deps.Blocks.GetBytes(b)
	if err != nil {
		return err
	}
	data := append([]byte(nil), view...) // the result outlives its block
	release()
	d.deps.Blocks.Remove(b)
	got.Size = int64(len(data))
	return task.DecodeResult(data, &got.Result)
}

// housekeeper tells the core when the moment that it asked for has come.
func (d *Driver) housekeeper() {
	defer d.fetches.wg.Done()
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		select {
		case at := <-d.timer:
			t.Reset(time.Duration(max(0, at-d.deps.Now())))
		case <-t.C:
			d.box.post(item{event: &TimerDue{}})
		case <-d.quit:
			return
		}
	}
}
