package engine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
)

// contents returns what the tasks of a job read from an added file.
func contents(t *testing.T, r *rig, name string, parts int) ([]string, error) {
	t.Helper()
	d := engine.FromFunc(r.Session, "contents", parts, func(t *engine.Task, _ int, emit func([]string) error) error {
		path, err := t.File(name)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return emit([]string{string(data)})
	})
	return d.Collect(t.Context())
}

func TestAddFile(t *testing.T) {
	r := start(t, engine.Config{Cores: 3, Conf: conf("task.maxFailures", "1")})
	dir := t.TempDir()
	path := filepath.Join(dir, "side.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.AddFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file was added: %v", err)
	}
	if err := r.AddFile(dir); err == nil {
		t.Error("a folder was added")
	}
	_, err := contents(t, r, "side.txt", 1)
	wantError(t, err, "side.txt")

	for round := range 3 { // fetched, then updated
		text := fmt.Sprintf("version %d %s", round, strings.Repeat("x", 100*(3-round)))
		write(text)
		if err := r.AddFile(path); err != nil {
			t.Fatal(err)
		}
		got, err := contents(t, r, "side.txt", 6)
		check(t, err, got, []string{text, text, text, text, text, text})
	}
	// The copy is the engine's own: the source may go.
	remove(t, path)
	got, err := contents(t, r, "side.txt", 2)
	check(t, err, len(got), 2)
	_, err = contents(t, r, "other.txt", 1)
	wantError(t, err, "other.txt")

	// A source that is gone before anybody fetched it.
	write("gone soon")
	if err := r.AddFile(path); err != nil {
		t.Fatal(err)
	}
	remove(t, path)
	_, err = contents(t, r, "side.txt", 2)
	wantError(t, err, "side.txt")
	write("here again") // added before, so the next attempt fetches it
	got, err = contents(t, r, "side.txt", 1)
	check(t, err, got, []string{"here again"})
}
