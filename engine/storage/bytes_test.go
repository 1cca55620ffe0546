package storage

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/execbench/execbench/engine/block"
)

func TestBytesAtEveryLevel(t *testing.T) {
	for _, level := range []block.Level{block.MemoryOnlySer, block.MemoryAndDiskSer, block.DiskOnly, block.MemoryAndDisk} {
		for _, n := range []int{0, 1, 4095, 1 << 20, 3<<20 + 17} {
			r := newRig(t, 16<<20)
			id := block.TaskResult(7)
			want := payload(n, n)
			if err := r.store.PutBytes(id, level, want); err != nil {
				t.Fatal(err)
			}
			if err := r.store.PutBytes(id, level, []byte("later")); err != nil {
				t.Errorf("a second put: %v, want the first to stay without an error", err)
			}
			for range 2 { // a block read from its file may come from memory next
				got, release, err := r.store.GetBytes(id)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%v: %d bytes are not the %d written", level, len(got), n)
				}
				release()
				release()
			}
			if !r.store.Contains(id) || !r.store.Remove(id) || r.store.Contains(id) {
				t.Error("the block was not there until it was removed")
			}
			if _, _, err := r.store.GetBytes(id); !errors.Is(err, ErrBlockNotFound) {
				t.Errorf("after removal: %v, want ErrBlockNotFound", err)
			}
		}
	}
}

// A view stays as it is while the block is removed and memory is wanted.
func TestViewOfBytesOutlivesTheirRemoval(t *testing.T) {
	r := newRig(t, 256*kib)
	id := block.Broadcast(1)
	want := payload(1, 100<<10)
	if err := r.store.PutBytes(id, block.MemoryAndDisk, want); err != nil {
		t.Fatal(err)
	}
	got, release, err := r.store.GetBytes(id)
	if err != nil {
		t.Fatal(err)
	}
	r.store.Remove(id)
	if r.account("broadcasts") != 128<<10 {
		t.Errorf("%d bytes are reserved while they are read, want 128 KiB", r.account("broadcasts"))
	}
	r.cache(1, b1, block.MemoryOnly, payload(2, full))
	if !bytes.Equal(got, want) {
		t.Error("the view changed")
	}
	release()
	if r.account("broadcasts") != 0 {
		t.Errorf("%d bytes are reserved after the last reader", r.account("broadcasts"))
	}
}

// Bytes that were evicted to disk can be read even when no managed memory is
// left for them.
func TestBytesAreReadWithoutManagedMemory(t *testing.T) {
	r := newRig(t, 256*kib)
	id := block.TaskResult(1)
	want := payload(1, 100<<10)
	table := r.task(1).Consumer("table", nil)
	if got := table.Acquire(256 << 10); got != 256<<10 {
		t.Fatalf("got %d", got)
	}
	if err := r.store.PutBytes(id, block.MemoryAndDisk, want); err != nil {
		t.Fatal(err)
	}
	r.mustBe("disk", id)
	got, release, err := r.store.GetBytes(id)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the bytes differ")
	}
	release()
	table.Close()
	got, release, err = r.store.GetBytes(id)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatal("the bytes differ", err)
	}
	release()
	r.mustBe("both", id)
}

func TestGetWaitsForThePut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1<<20)
		e, err := r.store.create(b1, block.MemoryOnly, r.store.caller()) // as a put does first
		if err != nil {
			t.Fatal(err)
		}
		done := false
		go func() {
			_, _, err = r.store.GetBytes(b1)
			done = true
		}()
		synctest.Wait()
		if done || r.store.Contains(b1) {
			t.Fatal("a block that is being put was got")
		}
		r.store.abandon(e)
		synctest.Wait()
		if !done || !errors.Is(err, ErrBlockNotFound) {
			t.Errorf("done %v, %v; want ErrBlockNotFound after the put failed", done, err)
		}
	})
}

func TestClosedStoreSaysSo(t *testing.T) {
	r := newRig(t, 1<<20)
	if err := r.store.PutBytes(block.Broadcast(1), block.MemoryAndDisk, payload(1, 10)); err != nil {
		t.Fatal(err)
	}
	_, release, err := r.store.GetBytes(block.Broadcast(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.Close(); err == nil {
		t.Error("Close says nothing of a block in use")
	}
	if _, _, err := r.store.GetBytes(block.Broadcast(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("get: %v, want ErrClosed", err)
	}
	if err := r.store.PutBytes(block.Broadcast(2), block.MemoryAndDisk, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("put: %v, want ErrClosed", err)
	}
	if _, err := r.store.Open(r.task(1), b1); !errors.Is(err, ErrClosed) {
		t.Errorf("open: %v, want ErrClosed", err)
	}
	release()
}
