package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every example that help, a workload's text or the README shows is carried
// out as it stands, one after another as a reader would, on little data: only
// sizes and counts are made smaller, and folders that the example takes for
// granted are made.
func TestExamples(t *testing.T) {
	if raceEnabled {
		t.Skip("hundreds of whole programs take most of ten minutes with the race detector; the scripts run every verb with it")
	}
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("the examples are for bash")
	}
	p := newProgram(t, shell)
	groups := examples(t, p)
	if len(groups) < 15 {
		t.Errorf("only %d texts have examples", len(groups))
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, line := range g.lines {
				ready(t, p, dir, line)
				short := shorter(line)
				out, code := p.run(t, dir, short)
				if !slices.Contains(codes(line), code) {
					t.Fatalf("exit code %d, want %v\n  %s\n  as %s\n%s", code, codes(line), line, short, out)
				}
			}
		})
	}
}

// codes are the exit codes that an example may have.
func codes(line string) []int {
	switch {
	case strings.Contains(line, "driver.maxResultSize"):
		return []int{3} // the example says that the job fails
	case strings.Contains(line, " compare "):
		return []int{0, 1, 4} // what the machine's noise makes of two runs
	case strings.Contains(line, "--strict"):
		return []int{0, 4}
	}
	return []int{0}
}

// program runs command lines with execbench in the path.
type program struct {
	shell string
	env   []string
	home  string // what is made once: runs, data
	src   string // the source of this program, as text to read
}

func newProgram(t *testing.T, shell string) *program {
	t.Helper()
	home := t.TempDir()
	for _, dir := range []string{"temp", "cache"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	src, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	return &program{shell, append(os.Environ(), "TMPDIR="+filepath.Join(home, "temp"),
		"EXECBENCH_DATA="+filepath.Join(home, "cache"), "EXECBENCH_ITERATIONS=1", "EXECBENCH_WARMUP=0", "EXECBENCH_RUNS=1"), home, src}
}

func (p *program) run(t *testing.T, dir, line string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.shell, "-c", line)
	cmd.Dir, cmd.Env = dir, p.env
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(b), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b), 0
}

// must runs a line that cannot fail.
func (p *program) must(t *testing.T, dir, line string) string {
	t.Helper()
	out, code := p.run(t, dir, line)
	if code != 0 {
		t.Fatalf("%s: exit code %d\n%s", line, code, out)
	}
	return out
}

// group is the examples of one text.
type group struct {
	name  string
	lines []string
}

var (
	exampleLine = regexp.MustCompile(`^ +((?:execbench|source <\(execbench) .*)$`)
	commandLine = regexp.MustCompile(`^  ([a-z]+) {2,}[A-Z]`)
)

// examples finds them: below "Examples:" in the help of every command, in the
// text of every workload, and in the README.
func examples(t *testing.T, p *program) []group {
	var groups []group
	add := func(name, text string) {
		g := group{name: name}
		for _, l := range strings.Split(text, "\n") {
			if m := exampleLine.FindStringSubmatch(l); m != nil {
				g.lines = append(g.lines, m[1])
			}
		}
		if len(g.lines) > 0 {
			groups = append(groups, g)
		}
	}
	help := p.must(t, p.home, "execbench help")
	_, body, _ := strings.Cut(help, "Examples:")
	add("help", body)
	for _, l := range strings.Split(help, "\n") {
		if m := commandLine.FindStringSubmatch(l); m != nil {
			_, body, _ := strings.Cut(p.must(t, p.home, "execbench help "+m[1]), "Examples:")
			add("help "+m[1], body)
		}
	}
	var list struct {
		Workloads []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(p.must(t, p.home, "execbench list --json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, w := range list.Workloads {
		var d struct{ Doc string }
		if err := json.Unmarshal([]byte(p.must(t, p.home, "execbench describe "+w.Name+" --json")), &d); err != nil {
			t.Fatal(err)
		}
		add("describe "+w.Name, d.Doc)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	add("README", strings.ReplaceAll("\n"+string(readme), "\n./execbench ", "\n execbench "))
	return groups
}

// small are the values of flags that an example keeps only while they are
// below.
var small = []struct {
	flag, value string
	keep        *regexp.Regexp
}{
	{"--size", "300kB", regexp.MustCompile(`^\d+kB$`)},
	{"--records", "3000", regexp.MustCompile(`^\d{1,4}$`)},
	{"--rows", "3000", regexp.MustCompile(`^\d{1,4}$`)},
	{"--keys", "500", regexp.MustCompile(`^\d{1,3}$`)},
	{"--tasks", "200", regexp.MustCompile(`^\d{1,2}$`)},
	{"--rounds", "100", regexp.MustCompile(`^\d{1,3}$`)},
	{"--points", "3000", regexp.MustCompile(`^\d{1,4}$`)},
	{"--nodes", "500", regexp.MustCompile(`^\d{1,3}$`)},
	{"--edges", "3000", regexp.MustCompile(`^\d{1,4}$`)},
	{"--vocabulary", "1000", regexp.MustCompile(`^\d{1,4}$`)},
	{"--runs", "1", regexp.MustCompile(`^1$`)},
	{"--iterations", "2", regexp.MustCompile(`^\d$`)},
}

// profiledSize is what is sorted under a profile: it takes some tenths of a
// second, and so some samples.
const profiledSize = "100MB"

// shorter makes an example quick.
func shorter(line string) string {
	for _, s := range small {
		line = regexp.MustCompile(s.flag+`[ =](\S+)`).ReplaceAllStringFunc(line, func(given string) string {
			value := given[len(s.flag)+1:]
			if !('0' <= value[0] && value[0] <= '9') || s.keep.MatchString(value) { // a switch of that name, or small
				return given
			}
			return s.flag + "=" + s.value
		})
	}
	line = strings.NewReplacer("/usr/share/doc", "src", "/mnt/scratch", "scratch", "| source", "> script.fish", "--input DIR", "--input src",
		"execbench doctor", "execbench doctor --no-disk", "run tasks", "run tasks --metg=false").Replace(line)
	line = regexp.MustCompile(`((?:run|gen|describe) (?:terasort|wordcount))(.*)`).ReplaceAllStringFunc(line, func(s string) string {
		if regexp.MustCompile(`--(size|records|input)`).MatchString(s) {
			return s
		}
		size := "300kB"
		if strings.Contains(s, "--profile") {
			size = profiledSize
		}
		return regexp.MustCompile(`^\w+ \w+`).ReplaceAllString(s, "$0 --size="+size)
	})
	return "fpath=(x .); " + line
}

// What an example takes for granted.
var (
	runFolder   = regexp.MustCompile(`execbench (?:report|compare|explain|export spark|profile \w+) ([\w/.-]+)(?:\s|$)(?:([\w/.-]+)(?:\s|$))?`)
	profileFile = regexp.MustCompile(`[\w-]+\.pb\.gz`)
	inputPaths  = regexp.MustCompile(`execbench \w+ (\w+).* --input[ =](\S+)`)
	outputs     = regexp.MustCompile(`execbench verify (\w+) (\w+)(?:.* --input[ =](\S+))?`)
	settings    = regexp.MustCompile(`--properties[ =](\S+)`)
)

// ready makes what a line names as its own and is not there.
func ready(t *testing.T, p *program, dir, line string) {
	t.Helper()
	missing := func(name string) bool {
		if name == "" || strings.HasPrefix(name, "-") {
			return false
		}
		_, err := os.Stat(filepath.Join(dir, name))
		return err != nil
	}
	if missing("src") {
		p.must(t, dir, "mkdir -p src scratch && cp '"+p.src+"'/*.go src")
	}
	if m := runFolder.FindStringSubmatch(line); m != nil {
		flags := " --size 300kB"
		if strings.Contains(line, "execbench profile") {
			flags = " --profile cpu,heap --size " + profiledSize
		}
		for _, name := range m[1:] {
			if missing(name) {
				p.must(t, dir, "mkdir -p results && execbench run terasort --quiet --out "+name+flags)
			}
		}
	}
	for _, name := range profileFile.FindAllString(line, -1) {
		if missing(name) {
			p.must(t, dir, "test -d profiled || execbench run terasort --size "+profiledSize+" --quiet --profile cpu --out profiled; cp $(find profiled -name '*cpu*.pb.gz') "+name)
		}
	}
	if m := settings.FindStringSubmatch(line); m != nil && missing(m[1]) {
		p.must(t, dir, "echo 'spark.memory.fraction 0.8' > "+m[1])
	}
	if m := outputs.FindStringSubmatch(line); m != nil && missing(m[2]) {
		in := strings.ReplaceAll(m[3], "/usr/share/doc", "src")
		if in == "" || missing(in) {
			in = "data"
			p.must(t, dir, fmt.Sprintf("execbench gen %s --size 300kB --out data", m[1]))
		}
		p.must(t, dir, fmt.Sprintf("execbench run %s --input %s --quiet --output %s", m[1], in, m[2]))
	}
	if m := inputPaths.FindStringSubmatch(line); m != nil {
		for _, name := range strings.Split(m[2], ",") {
			switch {
			case filepath.IsAbs(name) || name == "DIR" || !missing(name):
			case m[1] == "pagerank":
				p.must(t, dir, `{ echo source,destination; for i in {1..50}; do echo $i,$((i%7)); done; } > `+name)
			case strings.HasSuffix(name, ".csv"):
				p.must(t, dir, `{ echo product,customer,id,k,v,w,f,src,dst,source,target,x,y; for i in {1..50}; do echo p$((i%7)),$((i%5)),$i,$((i%9)),$i,$i,0.5,$i,$((i%7)),$i,$((i%7)),$i.5,$i; done; } > `+name)
			default:
				p.must(t, dir, fmt.Sprintf("execbench gen %s --size 300kB --out %s", m[1], name))
			}
		}
	}
}
