package conf

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/units"
)

func TestTableIsSound(t *testing.T) {
	bound := map[any]string{}
	var s Settings
	for i := range table {
		k := &table[i]
		if k.Doc == "" || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: doc %q is not a sentence", k.Name, k.Doc)
		}
		if strings.HasPrefix(k.Name, Prefix) {
			t.Errorf("%s: name has the prefix", k.Name)
		}
		if i > 0 && table[i-1].Name == k.Name {
			t.Errorf("%s: twice in the table", k.Name)
		}
		if (k.bind == nil) == k.Honoured() {
			t.Errorf("%s: honoured is %v and bound is %v", k.Name, k.Honoured(), k.bind != nil)
		}
		if (k.Kind == KindBytes || k.Kind == KindDuration) && unitNames[k.Unit] == "" {
			t.Errorf("%s: unit %q is not known", k.Name, k.Unit)
		}
		if (k.Kind == KindChoice) != (len(k.Choices) > 0) {
			t.Errorf("%s: kind %v with choices %v", k.Name, k.Kind, k.Choices)
		}
		if k.bind == nil {
			continue
		}
		p := k.bind(&s)
		if _, isChoice := p.(text); isChoice {
			continue
		}
		if other, twice := bound[p]; twice {
			t.Errorf("%s and %s set the same field", k.Name, other)
		}
		bound[p] = k.Name
	}
	// Every exported scalar of Settings is some key's.
	want := countFields(reflect.TypeFor[Settings]())
	got := 0
	for i := range table {
		if table[i].Honoured() && table[i].Name != "redaction.regex" {
			got++
		}
	}
	if got != want {
		t.Errorf("%d honoured keys for %d fields of Settings", got, want)
	}
}

func countFields(t reflect.Type) (n int) {
	for f := range t.Fields() {
		switch {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[Master]():
			n += countFields(f.Type)
		default:
			n++
		}
	}
	return n
}

func TestDefaults(t *testing.T) {
	s, _, err := Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"memory.reserved", s.Reserved, 32 * units.MiB},
		{"memory.fraction", s.MemoryFraction, 1.0},
		{"memory.storageFraction", s.StorageFraction, 0.5},
		{"task.maxFailures", s.MaxFailures, 4},
		{"stage.maxConsecutiveAttempts", s.MaxConsecutiveStageAttempts, 4},
		{"driver.maxResultSize", s.MaxResultSize, units.GiB},
		{"task.maxDirectResultSize", s.MaxDirectResultSize, units.MiB},
		{"rpc.message.maxSize", s.MaxMessageSize, 128 * units.MiB},
		{"locality.wait.node", s.LocalityWait.Node, 3 * time.Second},
		{"barrier.sync.timeout", s.Barrier.SyncTimeout, 365 * 24 * time.Hour},
		{"task.reaper.killTimeout", s.Reaper.KillTimeout, -time.Millisecond},
		{"scheduler.mode", s.SchedulingMode, FIFO},
		{"io.compression.codec", s.Compression, CompressionNone},
		{"shuffle.storage", s.ShuffleStorage, ShuffleAuto},
		{"eventLog.logBlockUpdates.enabled", s.EventLog.BlockUpdates, false},
		{"master given", s.Master.Given(), false},
	} {
		if c.got != c.want {
			t.Errorf("%s = %v, want %v", c.name, c.got, c.want)
		}
	}
}

// Defaults that the conformance catalogue names.
func TestDefaultsOfTheCatalogue(t *testing.T) {
	s, _, err := Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	small, _, err := Parse(map[string]string{"rpc.message.maxSize": "1", "task.maxDirectResultSize": "3m"})
	if err != nil {
		t.Fatal(err)
	}
	for name, holds := range map[string]bool{
		"BAR-001 slots are looked for 40 times":      s.Barrier.CheckMaxFailures == 40,
		"BAR-001 every 15 s":                         s.Barrier.CheckInterval == 15*time.Second,
		"CAN-008 1000 groups":                        s.MaxCancelledGroups == 1000,
		"RES-001 results of 1 MiB travel":            s.MaxDirectResultSize == units.MiB,
		"RES-001 in a message if it is large enough": small.MaxDirectResultSize == units.MiB,
	} {
		t.Run(name, func(t *testing.T) {
			if !holds {
				t.Errorf("defaults %+v", s)
			}
		})
	}
}

func TestValues(t *testing.T) {
	s, warnings, err := Parse(map[string]string{
		"spark.memory.fraction":              "0.6",
		"memory.storageFraction":             " 0.25 ",
		"spark.rpc.message.maxSize":          "64",
		"spark.driver.memory":                "2g",
		"locality.wait":                      "500",
		"spark.locality.wait.node":           "1min",
		"barrier.sync.timeout":               "30",
		"spark.scheduler.mode":               "fair",
		"io.compression.codec":               "LZ4",
		"spark.broadcast.compress":           "False",
		"spark.unsafe.exceptionOnMemoryLeak": "true",
	})
	if err != nil || len(warnings) != 0 {
		t.Fatalf("Parse: %v, warnings %v", err, warnings)
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"fraction", s.MemoryFraction, 0.6},
		{"storage fraction", s.StorageFraction, 0.25},
		{"message", s.MaxMessageSize, 64 * units.MiB},
		{"memory", s.Memory, 2 * units.GiB},
		{"wait", s.LocalityWait, LocalityWait{All: 500 * time.Millisecond, Process: 500 * time.Millisecond, Node: time.Minute}},
		{"barrier", s.Barrier.SyncTimeout, 30 * time.Second},
		{"mode", s.SchedulingMode, FAIR},
		{"codec", s.Compression, CompressionLZ4},
		{"compressed broadcasts", s.BroadcastCompress, false},
		{"leak", s.LeakedMemoryIsFailure, true},
	} {
		if c.got != c.want {
			t.Errorf("%s = %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestErrorsNameKeyValueAndWhatIsAccepted(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       []string
	}{
		{"memory.fraction", "2", []string{"memory.fraction=2", "above 1", "a number from 0.01 to 1"}},
		{"memory.fraction", "x", []string{"not a number"}},
		{"task.maxFailures", "0", []string{"below 1"}},
		{"task.maxFailures", "", []string{"not a whole number"}},
		{"scheduler.mode", "LIFO", []string{"one of FIFO, FAIR"}},
		{"shuffle.compress", "yes", []string{"true or false"}},
		{"memory.reserved", "3e0MiB", []string{"memory.reserved=3e0MiB"}},
		{"driver.maxResultSize", "lots", []string{"driver.maxResultSize=lots", "a size"}},
		{"barrier.sync.timeout", "soon", []string{"a duration", "counts seconds"}},
		{"io.compression.codec", "snappy", []string{"none, lz4, zstd"}},
		{"rpc.message.maxSize", "4096", []string{"above 2047"}},
		{"master", "yarn", []string{`"yarn"`, "local[N,M]"}},
		{"memory.fracton", "1", []string{"no such key", "did you mean memory.fraction?"}},
		{"redaction.regex", "(", []string{"redaction.regex=("}},
		{"speculation.efficiency.processRateMultiplier", "0", []string{"below 0.000001"}},
		{"speculation.interval", "0", []string{"below 1ms"}},
		{"network.timeout", "10", []string{"network.timeout=10", "it must be below"}},
		{"executor.heartbeatInterval", "3min", []string{"executor.heartbeatInterval=3min", "it must be below"}},
	} {
		_, _, err := Parse(map[string]string{c.key: c.value})
		if _, ok := errors.AsType[*KeyError](err); !ok {
			t.Errorf("%s=%s: error %v is no *KeyError", c.key, c.value, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s=%s: %q does not say %q", c.key, c.value, err, want)
			}
		}
	}
	_, _, err := ParseLayers(Layer{Source: "--conf", Values: map[string]string{"db.password": "hunter2", "memory.fraction": "9"}})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error shows a secret: %v", err)
	}
	if !strings.Contains(err.Error(), "from --conf") || !strings.Contains(err.Error(), "memory.fraction=9") {
		t.Errorf("error does not name the source and both keys: %v", err)
	}
}

func TestExclusion(t *testing.T) {
	s, w, err := Parse(map[string]string{"spark.excludeOnFailure.enabled": "true", "excludeOnFailure.application.enabled": "false"})
	if e := s.Exclusion; err != nil || len(w) > 0 || !e.On() || !e.TaskAndStage || e.Application || e.TaskAttemptsPerExecutor != 1 || e.TaskAttemptsPerHost != 2 ||
		e.StageTasksPerExecutor != 2 || e.StageExecutorsPerHost != 2 || e.ApplicationTasksPerExecutor != 2 || e.ApplicationExecutorsPerHost != 2 ||
		e.Timeout != time.Hour || e.UnschedulableTimeout != 2*time.Minute {
		t.Errorf("%+v, warnings %v, error %v", e, w, err)
	}
	if s, _, _ := Parse(nil); s.Exclusion.On() {
		t.Error("it is on by default")
	}
	for _, values := range []map[string]string{
		{"excludeOnFailure.enabled": "true", "master": "local[2]"},
		{"excludeOnFailure.enabled": "true", "excludeOnFailure.task.maxTaskAttemptsPerNode": "4"},
	} {
		_, _, err := Parse(values)
		if e, ok := errors.AsType[*KeyError](err); !ok || e.Key != "excludeOnFailure.task.maxTaskAttemptsPerNode" {
			t.Errorf("%v: error %v", values, err)
		}
	}
	if _, _, err := Parse(map[string]string{"excludeOnFailure.application.enabled": "true", "master": "local[2]"}); err != nil {
		t.Errorf("without tasks that avoid hosts: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		values map[string]string
		want   []string
	}{
		{map[string]string{"spark.executor.cores": "4"}, []string{"spark.executor.cores has no effect"}},
		{map[string]string{"spark.sql.shuffle.partitions": "200"}, []string{"spark.sql.shuffle.partitions has no effect: there is no SQL"}},
		{map[string]string{"spark.memory.fracton": "1"}, []string{"did you mean spark.memory.fraction?"}},
		{map[string]string{"spark.zzz": "1"}, []string{"spark.zzz has no effect: it is not a key"}},
		{map[string]string{"shuffle.compress": "true"}, []string{"no effect while io.compression.codec is none"}},
		{map[string]string{"task.maxFailures": "3", "master": "local[2]"}, []string{"task.maxFailures=3 has no effect", "local[2]"}},
		{map[string]string{"task.maxDirectResultSize": "3m", "rpc.message.maxSize": "2"}, []string{"lowered to rpc.message.maxSize"}},
	} {
		_, warnings, err := Parse(c.values)
		if err != nil || len(warnings) != 1 {
			t.Errorf("%v: %d warnings %v, error %v; want one warning", c.values, len(warnings), warnings, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(warnings[0].Text, want) {
				t.Errorf("%v: %q does not say %q", c.values, warnings[0], want)
			}
		}
	}
	if _, w, err := Parse(map[string]string{"shuffle.compress": "true", "io.compression.codec": "zstd"}); err != nil || len(w) != 0 {
		t.Errorf("compression with a codec: %v %v", w, err)
	}
}

func TestLayers(t *testing.T) {
	s, _, err := ParseLayers(
		Layer{"spark-defaults.conf", map[string]string{"spark.memory.fraction": "0.6", "spark.app.name": "file", "spark.yarn.queue": "q"}},
		Layer{"--conf", map[string]string{"memory.fraction": "0.8", "spark.my.secret": "s3"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	byKey := map[string]Entry{}
	for i, e := range s.Resolved() {
		byKey[e.Key] = e
		if i > 0 && s.Resolved()[i-1].Key >= e.Key {
			t.Errorf("%s is not after %s", e.Key, s.Resolved()[i-1].Key)
		}
	}
	for _, want := range []Entry{
		{Key: "spark.memory.fraction", Value: "0.8", Source: "--conf", Given: true, Honoured: true},
		{Key: "spark.app.name", Value: "file", Source: "spark-defaults.conf", Given: true, Honoured: true},
		{Key: "spark.yarn.queue", Value: "q", Source: "spark-defaults.conf", Given: true},
		{Key: "spark.my.secret", Value: Redacted, Source: "--conf", Given: true},
		{Key: "spark.task.maxFailures", Value: "4", Source: "default", Honoured: true},
		{Key: "spark.locality.wait.node", Value: "3s", Source: "spark.locality.wait", Honoured: true},
	} {
		if got := byKey[want.Key]; got != want {
			t.Errorf("%s: %+v, want %+v", want.Key, got, want)
		}
	}
	if s.MemoryFraction != 0.8 {
		t.Errorf("fraction %v, want the later layer's", s.MemoryFraction)
	}
	if s.Map()["spark.memory.fraction"] != "0.8" {
		t.Errorf("Map: %v", s.Map())
	}
	if _, _, err := Parse(map[string]string{"memory.fraction": "0.6", "spark.memory.fraction": "0.7"}); err == nil {
		t.Error("one key given with and without its prefix: no error")
	}
}

func TestCTX_001_ParseMaster(t *testing.T) {
	for _, c := range []struct {
		text            string
		cores, failures int
	}{
		{"local", 1, 1}, {"local[5]", 5, 1}, {"local[*]", 0, 1}, {"local[4,2]", 4, 2}, {"local[ 4 , 2 ]", 4, 2}, {"local[*,3]", 0, 3},
	} {
		m, err := ParseMaster(c.text)
		if err != nil || m.Cores != c.cores || m.MaxFailures != c.failures || m.String() != c.text {
			t.Errorf("ParseMaster(%q) = %+v, %v; want %d cores, %d failures", c.text, m, err, c.cores, c.failures)
		}
	}
	for _, text := range []string{"", "local[2*]", "localhost:7077", "spark://host:7077", "local[0]", "local[-1]", "local[4,0]",
		"local[]", "local[99999999999]", "local-cluster[2,1,1024]", "LOCAL", "local[2] "} {
		if m, err := ParseMaster(text); err == nil || !strings.Contains(err.Error(), "local[N,M]") {
			t.Errorf("ParseMaster(%q) = %+v, %v; want a refusal that says what is accepted", text, m, err)
		}
	}
	for master, want := range map[string]int{"local[2]": 1, "local[2,7]": 7, "": 4} {
		values := map[string]string{}
		if master != "" {
			values["master"] = master
		}
		if s, _, err := Parse(values); err != nil || s.MaxFailures != want {
			t.Errorf("master %q: %d failures, %v; want %d", master, s.MaxFailures, err, want)
		}
	}
}

func TestPOOL_005_BadFieldsFallBack(t *testing.T) {
	pools, warnings, err := ReadPools(strings.NewReader(`<?xml version="1.0"?>
<allocations>
  <pool name=" a "><minShare> 2 </minShare><weight>3</weight><schedulingMode> fair </schedulingMode></pool>
  <pool name="b"><minShare></minShare><weight>x</weight><schedulingMode>LIFO</schedulingMode></pool>
  <pool name="c"/>
</allocations>`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Pool{{"a", FAIR, 3, 2}, {"b", FIFO, 1, 0}, {"c", FIFO, 1, 0}}
	if !reflect.DeepEqual(pools, want) {
		t.Errorf("pools %+v, want %+v", pools, want)
	}
	if len(warnings) != 3 {
		t.Errorf("%d warnings %v, want one for each bad field of b", len(warnings), warnings)
	}
	if _, _, err := ReadPools(strings.NewReader("<allocations><pool")); err == nil {
		t.Error("a file cut in the middle: no error")
	}
}
