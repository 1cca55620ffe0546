package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// packages are what npm installs, in the versions that the scripts are for.
var packages = []struct{ peer, name, version string }{
	{duckdb, "@duckdb/node-api", "1.5.6-r.1"},
	{clickhouse, "chdb", "3.4.0"},
	{polars, "nodejs-polars", "0.26.1"},
}

// pyspark is what pip installs; numpy is what Spark's k-means needs.
var pyspark = []string{"pyspark==4.3.0", "numpy"}

// missing says what a peer lacks here; empty: nothing.
func (l *lab) missing(peer string) string {
	need := func(program, why string) string {
		if _, err := exec.LookPath(program); err != nil {
			return why
		}
		return ""
	}
	switch peer {
	case "":
		return ""
	case gnusort:
		if said, err := exec.Command("sort", "--version").Output(); err != nil || !strings.Contains(string(said), "GNU") {
			return "the sort of this machine is not GNU's"
		}
		return ""
	case spark:
		if _, err := os.Stat(filepath.Join(l.cache, "spark", "bin", "spark-submit")); err != nil {
			return "pyspark is not installed: make bench-peers-setup"
		}
		return need("java", "there is no java: install a JDK of version 17 or later")
	}
	for _, p := range packages {
		if p.peer == peer {
			if _, err := os.Stat(filepath.Join(l.modules(), p.name)); err != nil {
				return p.name + " is not installed: make bench-peers-setup"
			}
		}
	}
	return need("node", "there is no node: install Node.js of version 20 or later, with npm")
}

func (l *lab) modules() string { return filepath.Join(l.cache, "js", "node_modules") }

// setup installs the peers by npm and pip, about 2 GB. What one of them
// lacks does not keep the other away.
func (l *lab) setup(ctx context.Context) error {
	js := filepath.Join(l.cache, "js")
	if err := os.MkdirAll(js, 0o777); err != nil {
		return err
	}
	install := []string{"install", "--no-audit", "--no-fund", "--prefix", js}
	for _, p := range packages {
		install = append(install, p.name+"@"+p.version)
	}
	python := filepath.Join(l.cache, "spark")
	return errors.Join(
		l.command(ctx, "npm", install...),
		l.command(ctx, "python3", "-m", "venv", python),
		l.command(ctx, filepath.Join(python, "bin", "pip"), append([]string{"install", "--quiet", "--disable-pip-version-check"}, pyspark...)...),
	)
}

func (l *lab) command(ctx context.Context, name string, args ...string) error {
	l.say("%s %s", name, strings.Join(args, " "))
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = l.log, l.log
	if err := c.Run(); err != nil {
		return fmt.Errorf("cannot run %s: %w", name, err)
	}
	return nil
}

// versions are those of what was measured.
func (l *lab) versions() map[string]string {
	v := map[string]string{}
	first := func(name string, args ...string) {
		if said, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err == nil {
			line, _, _ := strings.Cut(string(said), "\n")
			v[name] = strings.TrimSpace(line)
		}
	}
	first("execbench", l.execbench, "version")
	if l.before != "" {
		first(before, l.before, "version")
	}
	if l.commit != "" {
		v["commit"] = l.commit
	}
	if l.missing(gnusort) == "" {
		first(gnusort, "sort", "--version")
	}
	for _, p := range packages {
		if l.missing(p.peer) == "" {
			v[p.peer] = p.name + " " + installed(filepath.Join(l.modules(), p.name, "package.json"))
			first("node", "node", "--version")
		}
	}
	if l.missing(spark) == "" {
		first(spark, filepath.Join(l.cache, "spark", "bin", "python"), "-c", "import pyspark; print('pyspark', pyspark.__version__)")
		first("java", "java", "-version")
	}
	return v
}

// installed reads the version of a package of Node.
func installed(manifest string) string {
	var p struct {
		Version string `json:"version"`
	}
	text, err := os.ReadFile(manifest)
	if err != nil || json.Unmarshal(text, &p) != nil {
		return "(unknown)"
	}
	return p.Version
}
