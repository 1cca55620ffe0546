package cli

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/data"
	"github.com/execbench/execbench/bench/machine"
	"github.com/execbench/execbench/engine/units"
)

// diagnosis is what doctor found.
type diagnosis struct {
	SchemaVersion int            `json:"schema_version"`
	Limits        machine.Limits `json:"limits"`
	Budget        units.Bytes    `json:"default_memory_bytes"`
	Machine       machine.Facts  `json:"machine"`
	Fingerprint   string         `json:"fingerprint"`
	Noise         machine.Noise  `json:"noise"`
	Temp          machine.Space  `json:"temp"`
	Data          machine.Space  `json:"data"`
	Disk          *machine.Disk  `json:"disk,omitempty"`
	Warnings      []string       `json:"warnings"`
}

func (a *app) doctorCommand() *cobra.Command {
	var temp, dir string
	var asJSON, strict, noDisk bool
	c := &cobra.Command{
		Use: "doctor [flags]", Short: "Say what this machine lets you measure",
		Long: `Shows the cores and the memory that this process may use and who says so
(control groups, affinity), what else uses the machine now, how fast the disk
of the temporary folder is, and how much space there is.`,
		Example: `  execbench doctor
  execbench doctor --strict && execbench run terasort   # only on a quiet machine
  execbench doctor --temp /mnt/scratch --json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			d, err := diagnose(cmp.Or(temp, os.TempDir()), cmp.Or(dir, data.DefaultDir()), !noDisk)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(a.out, d)
			} else {
				err = d.write(a)
			}
			if err == nil && strict && len(d.Warnings) > 0 {
				return &exit{bench.ExitInconclusive}
			}
			return err
		},
	}
	c.Flags().StringVar(&temp, "temp", "", "`FOLDER` for temporary files (default: the system's)")
	c.Flags().StringVar(&dir, "data", "", "`FOLDER` in which generated data are kept (default: in the user's cache)")
	c.Flags().BoolVar(&noDisk, "no-disk", false, "do not measure the disk, which takes some seconds and writes 256 MiB")
	c.Flags().BoolVar(&strict, "strict", false, "exit with 4 when something may disturb a measurement")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

// noiseTime is how long doctor watches the machine: long enough for steal and
// throttling to show, which are counted in ticks of 10 ms.
const noiseTime = 500 * time.Millisecond

func diagnose(temp, dataDir string, disk bool) (*diagnosis, error) {
	root := machine.Root()
	d := &diagnosis{SchemaVersion: schemaVersion, Limits: machine.ReadLimits(root), Machine: machine.ReadFacts(root), Warnings: []string{}}
	d.Budget, d.Fingerprint = d.Limits.Budget(), d.Machine.Fingerprint()
	before := machine.ReadCounters(root)
	time.Sleep(noiseTime)
	d.Noise = machine.Between(before, machine.ReadCounters(root))
	d.Warnings = append(d.Warnings, d.Noise.Warnings(d.Limits.Machine)...)
	var err error
	if d.Temp, err = machine.ReadSpace(temp); err != nil {
		return nil, &bench.Usage{Err: err}
	}
	if d.Temp.InMemory() {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%s is in memory (%s): what spills there frees none; use --temp on a disk", temp, d.Temp.FS))
	}
	if d.Temp.Free < units.GiB {
		d.Warnings = append(d.Warnings, fmt.Sprintf("only %s are free in %s", d.Temp.Free, temp))
	}
	d.Data = nearestSpace(dataDir)
	if g := d.Machine.Governor; g != "" && g != "performance" {
		d.Warnings = append(d.Warnings, fmt.Sprintf("the processors' governor is %q: clock rates will vary; set it to performance", g))
	}
	if disk {
		probe, err := machine.ProbeDisk(temp)
		if err != nil {
			return nil, &bench.Usage{Err: err}
		}
		d.Disk = &probe
	}
	return d, nil
}

// nearestSpace looks at the file system on which a folder would be made.
func nearestSpace(dir string) machine.Space {
	for parent := dir; ; {
		if s, err := machine.ReadSpace(parent); err == nil {
			s.Folder = dir
			return s
		}
		i := strings.LastIndexByte(strings.TrimRight(parent, "/"), '/')
		if i <= 0 {
			return machine.Space{Folder: dir}
		}
		parent = parent[:i]
	}
}

// write shows a diagnosis to people.
func (d *diagnosis) write(a *app) error {
	l, f := d.Limits, d.Machine
	quota := "none"
	if l.Quota > 0 {
		quota = fmt.Sprintf("%.2f cores", l.Quota)
	}
	rows := [][]string{
		{"cores", fmt.Sprintf("%d of %d", l.Cores, l.Machine), l.CoresSource},
		{"processors", machine.FormatCPUs(l.CPUs), "affinity mask"},
		{"CPU quota", quota, "control groups"},
		{"memory", l.Memory.String(), l.MemorySource},
		{"available now", l.Available.String(), ""},
		{"default --memory", d.Budget.String(), "half of the memory"},
		{"temporary files", d.Temp.Free.String() + " free", d.Temp.Folder + " (" + d.Temp.FS + ")"},
		{"generated data", d.Data.Free.String() + " free", d.Data.Folder + " (" + d.Data.FS + ")"},
	}
	if d.Disk != nil {
		read := "temporary folder, sequential, past the page cache"
		if d.Disk.Cached {
			read = "temporary folder, from the page cache"
		}
		rows = append(rows,
			[]string{"disk write", rate(d.Disk.WriteSpeed), fmt.Sprintf("temporary folder, sequential, %s with sync", d.Disk.Probed)},
			[]string{"disk read", rate(d.Disk.ReadSpeed), read},
			[]string{"sync", units.Duration(d.Disk.Sync), "4 KiB, median of nine"})
	}
	if err := writeTable(a.out, "What this process may use", []string{"", "value", "by"}, rows); err != nil {
		return err
	}
	if err := writeTable(a.out, "The machine", []string{"", "value"}, present([][]string{
		{"processor", f.CPU}, {"cores, threads", fmt.Sprintf("%d, %d", f.Physical, f.Cores)}, {"caches", strings.Join([]string{f.L1d, f.L2, f.L3}, ", ")},
		{"NUMA nodes", fmt.Sprint(f.Nodes)}, {"memory", f.Memory.String()}, {"system", f.Platform + ", kernel " + f.Kernel}, {"virtual", f.Virtualization},
		{"governor", f.Governor}, {"turbo", f.Turbo}, {"huge pages", f.HugePages}, {"swap", f.Swap.String()}, {"fingerprint", d.Fingerprint},
	})); err != nil {
		return err
	}
	n := d.Noise
	if err := writeTable(a.out, "Noise", []string{"", "value"}, [][]string{
		{"steal", share(n.Steal)}, {"throttled", fmt.Sprintf("%.0f periods", n.Throttled)}, {"pressure cpu", share(n.CPU)},
		{"pressure memory", share(n.Memory)}, {"pressure io", share(n.IO)}, {"load", fmt.Sprintf("%.2f", n.Load)},
	}); err != nil {
		return err
	}
	verdict := "Nothing seen that would disturb a measurement.\n"
	if len(d.Warnings) > 0 {
		verdict = "What may disturb a measurement:\n- " + strings.Join(d.Warnings, "\n- ") + "\n"
	}
	_, err := fmt.Fprint(a.out, verdict)
	return err
}

func rate(bytesPerSecond float64) string { return units.Bytes(bytesPerSecond).String() + "/s" }

func share(v float64) string {
	if v < 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.1f %%", 100*v)
}

// present leaves out the rows that the machine says nothing about.
func present(rows [][]string) [][]string {
	var out [][]string
	for _, r := range rows {
		if strings.Trim(r[1], ", ") != "" {
			out = append(out, r)
		}
	}
	return out
}
