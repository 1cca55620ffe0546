package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// Cache is a folder of data sets that runs share. Several processes may use
// one at once.
type Cache struct{ Dir string }

// DefaultDir is where the user's cache is unless they say otherwise.
func DefaultDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "execbench", "data")
}

// path is where the set for v belongs: its name holds a digest of what
// decides the data.
func (c Cache) path(w *workloads.Workload, v workloads.Values) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\x00%s\n", schemaVersion, w.Name)
	for _, p := range decisive(w, v) {
		fmt.Fprintf(h, "%s\x00%s\n", p.Name, p.Value)
	}
	return filepath.Join(c.Dir, w.Name+"-"+hex.EncodeToString(h.Sum(nil)[:8]))
}

// Get returns the data set for v, made now if it is not there. One that is
// there is read and compared with its manifest first. A damaged one is made
// anew, and warn is told why; so is one whose making was cut off.
func (c Cache) Get(ctx context.Context, w *workloads.Workload, v workloads.Values, g workloads.Gen, warn func(error)) (*Set, error) {
	dir := c.path(w, v)
	m, err := Check(ctx, g, dir)
	switch {
	case err == nil && m != nil:
		return &Set{Dir: dir, Manifest: m, Reused: true}, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case Damaged(err):
		warn(fmt.Errorf("%w; they are made anew", err))
	case err != nil:
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(dir), removeFile(ManifestPath(dir))); err != nil {
		return nil, fmt.Errorf("cannot remove old data: %w", err)
	}
	set, err := Make(ctx, w, v, g, dir)
	if err != nil {
		// Another process may have been faster.
		if m, cerr := Check(ctx, g, dir); cerr == nil && m != nil {
			return &Set{Dir: dir, Manifest: m, Reused: true}, nil
		}
	}
	return set, err
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Clean removes every data set of the cache, and what processes that are
// gone left unfinished. It leaves alone whatever it did not make. dry only
// lists. It returns what was (or would be) removed.
func (c Cache) Clean(dry bool) (removed []string, bytes units.Bytes, err error) {
	entries, err := os.ReadDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("cannot clean the data cache %s: %w", c.Dir, err)
	}
	names := map[string]bool{}
	for _, e := range entries {
		names[e.Name()] = true
	}
	var errs []error
	for _, e := range entries {
		if !e.IsDir() || !c.ours(e.Name(), names) {
			continue
		}
		dir := filepath.Join(c.Dir, e.Name())
		size := sizeOf(dir)
		if !dry {
			// The manifest first: a set without one counts as unfinished.
			if err := errors.Join(removeFile(ManifestPath(dir)), os.RemoveAll(dir)); err != nil {
				errs = append(errs, fmt.Errorf("cannot remove %s: %w", dir, err))
				continue
			}
		}
		removed, bytes = append(removed, dir), bytes+size
	}
	slices.Sort(removed)
	return removed, bytes, errors.Join(errs...)
}

// ours says whether a folder of the cache may go: it has a manifest, or its
// maker is gone.
func (c Cache) ours(name string, names map[string]bool) bool {
	if pid, partial := partialOwner(name); partial {
		return !alive(pid)
	}
	return names[name+manifestSuffix] || looksLikeSet(name)
}

// looksLikeSet recognises "name-0123456789abcdef", a set that was renamed
// when its maker died before the manifest was there.
func looksLikeSet(name string) bool {
	i := strings.LastIndexByte(name, '-')
	if i < 1 {
		return false
	}
	digest, err := hex.DecodeString(name[i+1:])
	return err == nil && len(digest) == 8
}

// sizeOf adds up the files below dir; what cannot be read counts nothing.
func sizeOf(dir string) units.Bytes {
	n := units.Bytes(0)
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is only a size for people
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			n += units.Bytes(info.Size())
		}
		return nil
	})
	return n
}
