// Package kmeans groups points around k centres.
package kmeans

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
	"github.com/execbench/execbench/workloads/internal/table"
)

// Workload is the kmeans workload. Register it with workloads.Register.
var Workload = &workloads.Workload{
	Name:     "kmeans",
	Summary:  "group points around k centres by Lloyd's algorithm, over cached points",
	Stresses: "floating point over cached data; with --storage disk-only, reading and decoding it again and again",
	Doc:      doc,
	Params:   params,
	Check:    check,
	Build:    build,
	Step:     step,
	Prepare:  prepare,
	Run:      run,
	Verify:   verify,
}

const doc = `Finds k centres of points by a fixed number of iterations of Lloyd's algorithm:

  1. Give every point to the centre nearest to it, of several the first.
  2. Move every centre to the mean of its points; one without points stays.

The first k points are the first centres. The points are made from the seed
before the clock starts, and cached; point i depends on the seed and on i alone.
They lie around as many places as --blobs says, at random within a cube of 64
around each; coordinates are multiples of 1/1024.

Each iteration is a job of one stage. The centres go to the tasks as a
broadcast; a task returns one record, with the sums and the number of the points
of each centre. Sums of the coordinates are exact in any order, so the centres
are the same to the bit whatever the cores and partitions.

--storage says where the points are kept: memory-and-disk moves to disk what
memory cannot hold, memory-only makes anew what it cannot hold, disk-only reads
from disk in each iteration. What is kept is compressed if rdd.compress is set.

Figures:

  cost            sum over all points of the squared distance to their centre,
                  as the last iteration found it
  points per second, wall per iteration
  read from block files, decompressed, read from copies
                  bytes of points that all iterations together read from disk,
                  decompressed, and found in the read-back cache instead
                  (storage.readBackFraction); only if there were any

What it stresses: floating point, with next to no shuffle: points x k x dim
multiplications an iteration. With few dimensions and centres, the decoding of
cached points; with --storage disk-only the disk, decompression, and the cache
of frames read back.

Verified against a plain loop over the same points, made again as it goes:
every coordinate of every centre to 1e-9 of the points' extent, the points of
every centre exactly, the cost to 1e-9. It holds k x dim numbers for each core.

  execbench run kmeans --points 1e6 --dim 20 --k 10
  execbench run kmeans --points 1e6 --dim 2 --k 3 --blobs 3 --rounds 30
  execbench run kmeans --storage disk-only --conf rdd.compress=true
`

var params = []workloads.Param{
	{Name: "points", Kind: workloads.Int, Default: "200000", Min: "1", Max: "10000000000",
		Doc: "how many points; at least k"},
	{Name: "dim", Kind: workloads.Int, Default: "20", Min: "1", Max: "4096",
		Doc: "coordinates of a point"},
	{Name: "k", Kind: workloads.Int, Default: "10", Min: "1", Max: "10000",
		Doc: "how many centres to find"},
	{Name: "rounds", Kind: workloads.Int, Default: "10", Min: "1", Max: "10000",
		Doc: "iterations of the algorithm"},
	{Name: "blobs", Kind: workloads.Int, Default: "10", Min: "1", Max: "1000000",
		Doc: "places that the points lie around"},
	{Name: "seed", Kind: workloads.Int, Default: "0",
		Doc: "another seed gives other points"},
	{Name: "partitions", Kind: workloads.Int, Default: "0", Min: "0", Max: "100000",
		Doc: "partitions of the points; 0 means two for each core"},
	{Name: "storage", Kind: workloads.String, Default: "memory-and-disk", Choices: []string{"memory-and-disk", "memory-only", "disk-only"},
		Doc: "where the points are kept"},
}

var levels = map[string]block.Level{"memory-and-disk": block.MemoryAndDisk, "memory-only": block.MemoryOnly, "disk-only": block.DiskOnly}

func check(v workloads.Values) error {
	if n, k := v.Int("points"), v.Int("k"); n < k {
		return fmt.Errorf("cannot find %d centres of %d points: give --points at least as many", k, n)
	}
	return nil
}

// shape is what decides the points, and how many centres are sought.
type shape struct {
	points, blobs int64
	dim, k        int
	seed          uint64
}

func shapeOf(v workloads.Values) shape {
	return shape{v.Int("points"), v.Int("blobs"), int(v.Int("dim")), int(v.Int("k")), table.Mix(uint64(v.Int("seed")))}
}

// Coordinates are multiples of 1/grid: below 2^11 in all, so that even the
// sum of 2^30 of them is exact.
const (
	grid      = 1024
	placeBits = 10 // places lie at whole numbers below 2^10
	noiseBits = 16 // and points within 2^16 steps of the grid
	extent    = 1<<placeBits + 1<<noiseBits/grid
)

// put writes point i to p, which is dim long.
func (s *shape) put(p []float64, i int64) {
	state := table.Mix(s.seed + uint64(i))
	blob := table.Mix(state) % uint64(s.blobs)
	place := s.seed ^ table.Mix(blob+1)
	noise := uint64(0)
	for j := range p {
		if j%4 == 0 { // one draw makes the noise of four coordinates
			state += 0x9e3779b97f4a7c15
			noise = table.Mix(state)
		}
		at := table.Mix(place+uint64(j)) >> (64 - placeBits)
		p[j] = float64(at) + float64(noise&(1<<noiseBits-1))/grid
		noise >>= noiseBits
	}
}

// data is what Build lays out.
type data struct {
	shape  shape
	points *engine.Dataset[point]
}

// pointBatch is how many bytes of points are made at once. A batch becomes a
// frame of the cache, and this is the size of a page: a little more would
// take a page of twice the size.
const pointBatch = 128 * units.KiB

func build(s *engine.Session, v workloads.Values, _ workloads.Input) (any, error) {
	parts := v.Int("partitions")
	if parts == 0 {
		parts = int64(2 * s.Cores())
	}
	sh := shapeOf(v)
	points := engine.FromFunc(s, "points", int(parts), func(t *engine.Task, part int, emit func([]point) error) error {
		at, end := sh.points*int64(part)/parts, sh.points*int64(part+1)/parts
		rows := max(1, int(pointBatch)/(sh.dim*8+8)) // as the codec writes them
		held, err := t.Reserve("new points", units.Bytes(rows*(sh.dim*8+24)))
		if err != nil {
			return err
		}
		defer held.Release()
		batch, flat := make([]point, rows), make([]float64, rows*sh.dim)
		for i := range batch {
			batch[i] = flat[i*sh.dim:][:sh.dim:sh.dim]
		}
		for at < end {
			n := int(min(int64(rows), end-at))
			for i, p := range batch[:n] {
				sh.put(p, at+int64(i))
			}
			if err := emit(batch[:n]); err != nil {
				return err
			}
			at += int64(n)
		}
		return nil
	})
	return &data{sh, points.Persist(levels[v.String("storage")])}, nil
}

func prepare(ctx context.Context, _ *engine.Session, built any, _ workloads.Values) error {
	if _, err := built.(*data).points.Count(ctx); err != nil {
		return fmt.Errorf("cannot make the points: %w", err)
	}
	return nil
}

// tally is what a task finds: for each centre the sums of its points'
// coordinates and then their number, and last the cost.
type tally []float64

func (s *shape) newTally() tally { return make(tally, s.k*(s.dim+1)+1) }

// of returns the sums and the number of centre c.
func (t tally) of(c, dim int) (sums []float64, count *float64) {
	row := t[c*(dim+1):][:dim+1]
	return row[:dim], &row[dim]
}

func (t tally) cost() *float64 { return &t[len(t)-1] }

func (t tally) add(o tally) {
	for i, v := range o {
		t[i] += v
	}
}

// step lays out one iteration. Its parameters name the broadcast that holds
// the centres.
func step(s *engine.Session, base any, params []byte) (any, error) {
	b, ok := base.(*data)
	n, used := binary.Varint(params)
	if !ok || used <= 0 {
		return nil, fmt.Errorf("cannot build a step of kmeans from %d bytes upon a %T", len(params), base)
	}
	sh := b.shape
	centres := engine.BroadcastByID[[]float64](s, id.Broadcast(n))
	tallies := engine.MapPartitions(engine.Reuse(s, b.points), func(t *engine.Task, _ int, each func(func([]point) error) error, emit func([]tally) error) error {
		at, err := centres.Value()
		if err != nil {
			return err
		}
		found := sh.newTally()
		held, err := t.Reserve("sums of points", units.Bytes(8*(len(found)+tileLen(sh.dim)*tiles(sh.k))))
		if err != nil {
			return err
		}
		defer held.Release()
		near := newNearest(at, sh.dim)
		if err := each(func(points []point) error { near.add(found, points); return nil }); err != nil {
			return err
		}
		return emit([]tally{found})
	})
	return tallies, nil
}

// result is what a run answers.
type result struct {
	Centres []float64 // [k][dim]
	Counts  []int64   // points of each, before it moved for the last time
	Cost    float64
}

func run(ctx context.Context, s *engine.Session, built any, v workloads.Values, _ string) (*workloads.Answer, error) {
	d := built.(*data)
	sh := &d.shape
	first, err := d.points.Take(ctx, sh.k)
	if err != nil {
		return nil, err
	}
	r := result{Counts: make([]int64, sh.k)}
	for _, p := range first {
		r.Centres = append(r.Centres, p...)
	}
	began := s.BlockReads()
	begin := time.Now()
	for range v.Int("rounds") {
		if err := d.iterate(ctx, s, &r); err != nil {
			return nil, err
		}
	}
	each := time.Since(begin).Seconds() / float64(v.Int("rounds"))
	figures := []workloads.Figure{
		{Name: "cost", Value: r.Cost, Unit: "1"},
		{Name: "wall per iteration", Value: each, Unit: "s"},
		{Name: "points per second", Value: float64(sh.points) / each, Unit: "1/s"},
	}
	if read := s.BlockReads().Sub(began); read != (engine.BlockReads{}) {
		figures = append(figures,
			workloads.Figure{Name: "read from block files", Value: float64(read.File), Unit: "B"},
			workloads.Figure{Name: "decompressed", Value: float64(read.Decoded), Unit: "B"},
			workloads.Figure{Name: "read from copies", Value: float64(read.Copied), Unit: "B"})
	}
	return &workloads.Answer{Records: int64(sh.k), Checksum: r.checksum(), Detail: r, Figures: figures}, nil
}

// iterate runs one iteration and moves the centres.
func (d *data) iterate(ctx context.Context, s *engine.Session, r *result) error {
	centres, err := engine.NewBroadcast(s, r.Centres)
	if err != nil {
		return err
	}
	scope := s.Scope()
	defer scope.Release()
	found, err := func() (tally, error) {
		tallies, err := scope.Step(d, binary.AppendVarint(nil, int64(centres.ID())))
		if err != nil {
			return nil, err
		}
		byPart := make([]tally, tallies.(*engine.Dataset[tally]).Partitions())
		err = tallies.(*engine.Dataset[tally]).CollectEach(ctx, func(part int, t []tally) error {
			byPart[part] = slices.Clone(t[0])
			return nil
		})
		if err != nil {
			return nil, err
		}
		all := d.shape.newTally()
		for _, t := range byPart { // in their order, so that the cost does not depend on time
			all.add(t)
		}
		return all, nil
	}()
	if derr := centres.Destroy(); err == nil {
		err = derr
	}
	if err != nil {
		return err
	}
	r.move(&d.shape, found)
	return nil
}

// move moves the centres to the means of their points.
func (r *result) move(s *shape, found tally) {
	r.Centres, r.Cost = slices.Clone(r.Centres), *found.cost()
	for c := range s.k {
		sums, count := found.of(c, s.dim)
		r.Counts[c] = int64(*count)
		if *count == 0 {
			continue
		}
		for j, sum := range sums {
			r.Centres[c*s.dim+j] = sum / *count
		}
	}
}

// checksum sums up the centres and their points, to the bit. The cost is
// left out: its sum is rounded.
func (r *result) checksum() string {
	h := uint64(0)
	for _, v := range r.Centres {
		h = table.Mix(h + math.Float64bits(v))
	}
	for _, n := range r.Counts {
		h = table.Mix(h + uint64(n))
	}
	return fmt.Sprintf("%016x", h)
}
