package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	catalogued = regexp.MustCompile(`^- \*\*([A-Z]{3,4}-\d{3})\*\*`)
	named      = regexp.MustCompile(`(?:^|[^A-Z]|Test)([A-Z]{3,4})[-_](\d{3})(?:\D|$)`)
	asideLine  = regexp.MustCompile(`NOT APPLICABLE: ([A-Z]{3,4}-\d{3}(?:, [A-Z]{3,4}-\d{3})*), because (.*)`)
)

// readModule reads the catalogue of the module in a folder, and why behaviours
// stand aside.
func readModule(dir string) (ids []string, aside map[string]string, err error) {
	f, err := os.Open(filepath.Join(dir, catalogueFile))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if ids, err = readCatalogue(f); err != nil {
		return nil, nil, err
	}
	aside, err = readReasons(os.DirFS(filepath.Join(dir, testsBelow)))
	return ids, aside, err
}

// readCatalogue returns the IDs in the order of the catalogue.
func readCatalogue(r io.Reader) ([]string, error) {
	var ids []string
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := catalogued.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if seen[m[1]] {
			return nil, fmt.Errorf("%s stands twice in the catalogue", m[1])
		}
		seen[m[1]] = true
		ids = append(ids, m[1])
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the catalogue: %w", err)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("the catalogue lists no behaviour")
	}
	return ids, nil
}

// readReasons returns why behaviours stand aside, by ID, from the comments of
// the test files.
func readReasons(tests fs.FS) (map[string]string, error) {
	aside := map[string]string{}
	err := fs.WalkDir(tests, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(tests, path)
		if err != nil {
			return err
		}
		for _, block := range comments(string(text)) {
			for _, m := range asideLine.FindAllStringSubmatch(block, -1) {
				for id := range strings.SplitSeq(m[1], ", ") {
					if aside[id] != "" {
						return fmt.Errorf("%s: %s has a reason to stand aside already", path, id)
					}
					aside[id] = strings.TrimSuffix(strings.TrimSpace(m[2]), ".")
				}
			}
		}
		return nil
	})
	return aside, err
}

// comments returns the // comments of a file, each paragraph on a line of its
// own: a reason may run over several lines.
func comments(text string) []string {
	var blocks []string
	block := ""
	flush := func() {
		if block != "" {
			blocks = append(blocks, block)
		}
		block = ""
	}
	for line := range strings.SplitSeq(text, "\n") {
		words, ok := strings.CutPrefix(strings.TrimSpace(line), "//")
		words = strings.TrimSpace(words)
		if !ok || words == "" || strings.HasPrefix(words, "NOT APPLICABLE:") {
			flush()
		}
		if ok && words != "" {
			block = strings.TrimSpace(block + " " + words)
		}
	}
	flush()
	return blocks
}
