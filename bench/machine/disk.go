package machine

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/execbench/execbench/engine/units"
)

// Space is what a folder's file system has.
type Space struct {
	Folder string      `json:"folder"`
	FS     string      `json:"file_system"`
	Total  units.Bytes `json:"total_bytes"`
	Free   units.Bytes `json:"free_bytes"` // for this user
}

// InMemory reports whether the file system lives in memory: what is spilled
// there frees none.
func (s Space) InMemory() bool { return s.FS == "tmpfs" || s.FS == "ramfs" }

// ReadSpace looks at the file system of an existing folder.
func ReadSpace(folder string) (Space, error) {
	u, err := disk.Usage(folder)
	if err != nil {
		return Space{}, fmt.Errorf("cannot look at the free space of %s: %w", folder, err)
	}
	return Space{Folder: folder, FS: u.Fstype, Total: units.Bytes(u.Total), Free: units.Bytes(u.Free)}, nil
}

// Disk is what a probe measured, bytes a second.
type Disk struct {
	Probed     units.Bytes   `json:"probed_bytes"`
	WriteSpeed float64       `json:"write_bytes_per_second"` // sequential, with the sync that ends it
	ReadSpeed  float64       `json:"read_bytes_per_second"`  // sequential, dropped from the page cache before
	Sync       time.Duration `json:"sync_ns"`                // one 4 KiB write with its sync, median of nine
	// Cached says that the pages could not be dropped before reading: the
	// read speed is that of memory.
	Cached bool `json:"read_from_cache"`
}

const (
	probeBlock = 4 << 20
	probeMax   = 256 << 20
	// probeTime bounds the writing; reading takes less.
	probeTime = 1500 * time.Millisecond
)

// ProbeDisk writes up to 256 MiB for at most 1.5 s into a file of folder,
// syncs, reads it back and removes it. The bytes are counted ones, not
// zeroes, which some disks do not store.
func ProbeDisk(folder string) (Disk, error) { return probeDisk(folder, probeMax) }

func probeDisk(folder string, most units.Bytes) (d Disk, err error) {
	f, err := os.CreateTemp(folder, "execbench-probe-*")
	if err != nil {
		return Disk{}, fmt.Errorf("cannot probe the disk of %s: %w", folder, err)
	}
	defer func() {
		_ = f.Close() // its content is of no use to anybody
		if rerr := os.Remove(f.Name()); err == nil && rerr != nil {
			err = fmt.Errorf("cannot remove the probe file: %w", rerr)
		}
	}()
	if err := d.probe(f, most); err != nil {
		return Disk{}, fmt.Errorf("cannot probe the disk of %s: %w", folder, err)
	}
	return d, nil
}

func (d *Disk) probe(f *os.File, most units.Bytes) error {
	block := make([]byte, probeBlock)
	x := uint64(1)
	for i := range block {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		block[i] = byte(x)
	}
	start := time.Now()
	for d.Probed < most && time.Since(start) < probeTime {
		n, err := f.Write(block)
		d.Probed += units.Bytes(n)
		if err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	d.WriteSpeed = float64(d.Probed) / time.Since(start).Seconds()

	d.Cached = !dropCache(f)
	start = time.Now()
	for off := int64(0); off < int64(d.Probed); off += probeBlock {
		if _, err := f.ReadAt(block, off); err != nil {
			return err
		}
	}
	d.ReadSpeed = float64(d.Probed) / time.Since(start).Seconds()

	syncs := make([]time.Duration, 9)
	for i := range syncs {
		start := time.Now()
		if _, err := f.WriteAt(block[:4096], 0); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		syncs[i] = time.Since(start)
	}
	slices.Sort(syncs)
	d.Sync = syncs[len(syncs)/2] // the median: they are an odd number
	return nil
}
