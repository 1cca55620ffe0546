package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// root is the module's folder.
const root = "../.."

// carriers returns the test functions below folders by the IDs in their names.
// They count as passed, but as skipped if they do nothing else: when a
// statement of the function's own body skips it, or Linux does not compile it.
func carriers(t *testing.T, folders ...string) map[string]*outcome {
	linux := build.Default
	linux.GOOS = "linux"
	tests := map[string]*outcome{}
	read := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		compiled, err := linux.MatchFile(filepath.Dir(path), d.Name())
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			for _, id := range idsOf(f.Name.Name) {
				if tests[id] == nil {
					tests[id] = &outcome{}
				}
				if o := tests[id]; compiled && !skips(f) {
					o.passed = append(o.passed, f.Name.Name)
				} else {
					o.skipped = append(o.skipped, f.Name.Name)
				}
			}
		}
		return nil
	}
	for _, folder := range folders {
		if err := filepath.WalkDir(folder, read); err != nil {
			t.Fatal(err)
		}
	}
	return tests
}

// skips reports whether a test skips itself whatever happens.
func skips(f *ast.FuncDecl) bool {
	for _, stmt := range f.Body.List {
		expr, ok := stmt.(*ast.ExprStmt)
		if !ok {
			continue
		}
		if call, ok := expr.X.(*ast.CallExpr); ok {
			if name, ok := call.Fun.(*ast.SelectorExpr); ok && strings.HasPrefix(name.Sel.Name, "Skip") {
				return true
			}
		}
	}
	return false
}

// TestEveryBehaviourIsCarried finds a test function or a reason for each
// behaviour of the catalogue without running any, so that whoever renames or
// drops one hears of it at once. Whether they pass only a run tells.
func TestEveryBehaviourIsCarried(t *testing.T) {
	ids, aside, err := readModule(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) != behaviours {
		t.Errorf("the catalogue has %d behaviours, not %d", len(ids), behaviours)
	}
	_, problems := judge(ids, aside, carriers(t, filepath.Join(root, testsBelow), filepath.Join(root, "bench", "report")))
	for _, p := range problems {
		t.Error(p)
	}
}

// behaviours is how many the catalogue has had from the start; none may go.
const behaviours = 258

func TestSkips(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "x_test.go", `package x
func TestA(t *testing.T) { t.Log(); t.Skip("not now") }
func TestB(t *testing.T) { if testing.Short() { t.Skip() } }
func TestC(t *testing.T) { t.Parallel(); t.SkipNow() }
`, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, true} {
		if f := file.Decls[i].(*ast.FuncDecl); skips(f) != want {
			t.Errorf("%s skips: %v, want %v", f.Name.Name, !want, want)
		}
	}
}
