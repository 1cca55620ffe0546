package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/execbench/execbench"

// source is one file of the module that is no test.
type source struct {
	file    string // from the module's root, with slashes
	pkg     string // its folder, "." for the root
	syntax  *ast.File
	imports map[string]string // import path by the name used in the file
	fset    *token.FileSet
}

// at says where a node is.
func (s *source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.file, s.fset.Position(n.Pos()).Line)
}

// parse reads one file.
func parse(file string, text []byte) (*source, error) {
	s := &source{file: file, pkg: path.Dir(file), imports: map[string]string{}, fset: token.NewFileSet()}
	var err error
	if s.syntax, err = parser.ParseFile(s.fset, file, text, parser.SkipObjectResolution); err != nil {
		return nil, err
	}
	for _, i := range s.syntax.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return nil, err
		}
		name := path.Base(p)
		if name == "v2" || name == "v3" || name == "v4" {
			name = path.Base(path.Dir(p))
		}
		if i.Name != nil {
			name = i.Name.Name
		}
		s.imports[name] = p
	}
	return s, nil
}

// sources reads every file of the module that is no test.
func sources(t *testing.T) []*source {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("%s is not the module's root: %v", root, err)
	}
	var all []*source
	err = filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := e.Name()
		if e.IsDir() {
			if file != root && (name[0] == '.' || name == "testdata" || name == "results" || name == "data" && filepath.Dir(file) == root) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(rel), text)
		if err != nil {
			return err
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found %d files only: the walk is broken", len(all))
	}
	return all
}

// under reports whether a package is one of the folders or lies in one.
func under(pkg string, folders ...string) bool {
	for _, f := range folders {
		if pkg == f || strings.HasPrefix(pkg, f+"/") {
			return true
		}
	}
	return false
}
