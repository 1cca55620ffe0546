package storage

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
)

// modelBlock is a block of one page, as the model sees it.
type modelBlock struct {
	id     block.ID
	node   int
	onDisk bool // its level has disk
	file   bool // it has a file
	pins   int
}

// lruModel is the memory tier as the rules say: blocks in order of access,
// oldest first, at most room of them.
type lruModel struct {
	room   int
	memory []*modelBlock
	all    map[block.ID]*modelBlock
}

// insert makes room for a block and adds it; false: it does not fit.
func (m *lruModel) insert(b *modelBlock) bool {
	if len(m.memory) == m.room {
		i := slices.IndexFunc(m.memory, func(v *modelBlock) bool { return v.pins == 0 && v.node != b.node })
		if i < 0 {
			return false
		}
		v := m.memory[i]
		m.memory = slices.Delete(m.memory, i, i+1)
		if v.onDisk {
			v.file = true
		} else {
			delete(m.all, v.id)
		}
	}
	m.memory = append(m.memory, b)
	return true
}

func (m *lruModel) inMemory(b *modelBlock) bool { return slices.Contains(m.memory, b) }

func (m *lruModel) where(b block.ID) string {
	e := m.all[b]
	switch {
	case e == nil:
		return "gone"
	case m.inMemory(e) && e.file:
		return "both"
	case m.inMemory(e):
		return "memory"
	}
	return "disk"
}

// Random writes, reads, pins and removals of blocks of one page each: after
// every step each block is where the model has it.
func TestRandomCallsKeepTheOrderOfAccess(t *testing.T) {
	for seed := range uint64(15) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		const room = 5
		r := newRig(t, room*64*kib)
		m := &lruModel{room: room, all: map[block.ID]*modelBlock{}}
		pins := map[block.ID][]*Reader{}
		for step := range 300 {
			n, p := 1+rnd.IntN(4), rnd.IntN(4)
			b := block.Node(id.Node(n), p)
			content := payload(n*10+p, full)
			known := m.all[b]
			switch op := rnd.IntN(10); {
			case known == nil:
				e := &modelBlock{id: b, node: n, onDisk: n%2 == 0}
				level := block.MemoryOnly
				if e.onDisk {
					level = block.MemoryAndDisk
				}
				want := m.insert(e)
				if !want && e.onDisk {
					want, e.file = true, true
				}
				if want {
					m.all[b] = e
				}
				if got := r.cache(1, b, level, content); got != want {
					t.Fatalf("seed %d, step %d: block %s stored %v, want %v", seed, step, b, got, want)
				}
			case op < 5 && m.inMemory(known): // read, or pin
				rd := r.open(1, b)
				if err := compare(rd, [][]byte{content}); err != nil {
					t.Fatal(err)
				}
				i := slices.Index(m.memory, known)
				m.memory = append(slices.Delete(m.memory, i, i+1), known)
				if op < 2 && len(pins[b]) == 0 {
					known.pins++
					pins[b] = append(pins[b], rd)
				} else {
					rd.Close()
				}
			case op < 8 && len(pins[b]) > 0:
				pins[b][0].Close()
				pins[b] = pins[b][1:]
				known.pins--
			case op == 9 && known.pins == 0:
				r.store.Remove(b)
				delete(m.all, b)
				if i := slices.Index(m.memory, known); i >= 0 {
					m.memory = slices.Delete(m.memory, i, i+1)
				}
			}
			for n := 1; n <= 4; n++ {
				for p := range 4 {
					b := block.Node(id.Node(n), p)
					if got, want := r.where(b), m.where(b); got != want {
						t.Fatalf("seed %d, step %d: block %s is %s, want %s", seed, step, b, got, want)
					}
				}
			}
			if got, want := r.account("cached partitions"), int64(len(m.memory))*64<<10; got != want {
				t.Fatalf("seed %d, step %d: cached partitions take %d bytes, want %d", seed, step, got, want)
			}
		}
		for _, readers := range pins {
			for _, rd := range readers {
				rd.Close()
			}
		}
	}
}
