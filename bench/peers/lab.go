package main

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/execbench/execbench/engine/units"
)

// ample is the budget of ours on a machine of 24 GiB and more; half of the
// memory on a smaller one.
const ample = 12 * units.GiB

// lab is where the comparison runs: a folder with the peers, the data and
// what is written, and the programs that are ours.
type lab struct {
	cache             string
	temp              string // for temporary files of all sides; of this process
	execbench, limits string
	before            string      // an earlier execbench, measured on every row; empty: none
	programs          string      // a digest of these
	commit            string      // of the module that the working directory is in
	scale             float64     // of every count; 1 measures the rows as they are
	budget            units.Bytes // ours' memory where a row states no other
	log               io.Writer
}

//go:embed scripts
var scripts embed.FS

// open makes the folders and writes the peers' scripts.
func (l *lab) open() error {
	for _, dir := range []string{"data", "out", "temp", "scripts", "bin"} {
		if err := os.MkdirAll(filepath.Join(l.cache, dir), 0o777); err != nil {
			return err
		}
	}
	var err error
	if l.temp, err = os.MkdirTemp(filepath.Join(l.cache, "temp"), "run-"); err != nil {
		return err
	}
	files, err := scripts.ReadDir("scripts")
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := scripts.ReadFile("scripts/" + f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(l.cache, "scripts", f.Name()), text, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// build compiles the programs that were not given, from the module that the
// working directory is in.
func (l *lab) build() error {
	for _, p := range []struct {
		path *string
		name string
		from string
	}{{&l.execbench, "execbench", "cmd/execbench"}, {&l.limits, "limit", "bench/peers/limit"}} {
		if *p.path != "" {
			continue
		}
		*p.path = filepath.Join(l.cache, "bin", p.name)
		c := exec.Command("go", "build", "-o", *p.path, "github.com/execbench/execbench/"+p.from)
		if said, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s: %w\n%s", p.name, err, said)
		}
	}
	return nil
}

// identify learns what is measured.
func (l *lab) identify() error {
	digest := sha256.New()
	for _, path := range []string{l.execbench, l.limits, l.before} {
		if path == "" {
			continue
		}
		f, err := os.Open(path)
		if err == nil {
			_, err = io.Copy(digest, f)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return fmt.Errorf("cannot read the program to measure: %w", err)
		}
	}
	l.programs = hex.EncodeToString(digest.Sum(nil)[:8])
	if said, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		l.commit = strings.TrimSpace(string(said))
	}
	return nil
}

func (l *lab) scaled(n int) int { return max(int(float64(n)*l.scale), 1) }

func (l *lab) part(b units.Bytes) units.Bytes {
	return max(units.Bytes(float64(b)*l.scale), 128*units.MiB)
}

func (l *lab) say(format string, args ...any) { fmt.Fprintf(l.log, format+"\n", args...) }

// memoryFlag writes bytes so that they are read back exactly.
func memoryFlag(b units.Bytes) string { return fmt.Sprintf("%dKiB", b/units.KiB) }
