package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const events = `{"Action":"run","Package":"p","Test":"TestDAG_001_Aborts"}
{"Action":"pass","Package":"p","Test":"TestDAG_001_Aborts"}
{"Action":"run","Package":"p","Test":"TestShares"}
{"Action":"run","Package":"p","Test":"TestShares/MEM-002_grants"}
{"Action":"fail","Package":"p","Test":"TestShares/MEM-002_grants"}
{"Action":"fail","Package":"p","Test":"TestShares"}
{"Action":"run","Package":"p","Test":"TestBLK_003"}
{"Action":"skip","Package":"p","Test":"TestBLK_003"}
{"Action":"run","Package":"q","Test":"TestCAN_004_Ends"}
{"Action":"output","Package":"q","Output":"panic: no\n"}
{"Action":"fail","Package":"q"}
`

func TestJudge(t *testing.T) {
	ids, err := readCatalogue(strings.NewReader("# x\n- **DAG-001** [u] a\n- **MEM-002** [u] b\n- **BLK-003** c\n- **CAN-004** d\n- **OCC-005** e\n- **POOL-006** f\n"))
	if err != nil {
		t.Fatal(err)
	}
	aside, err := readReasons(fstest.MapFS{"a/b_test.go": {Data: []byte(
		"package b\n\n// Blocks.\n// NOT APPLICABLE: POOL-006, because there is\n// no file.\n// NOT APPLICABLE: OCC-005 as to files, because no.\n")}})
	if err != nil {
		t.Fatal(err)
	}
	tests, failures, err := readTests(strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"p: TestShares: FAILED", "q: FAILED\n\tpanic: no"}; !slices.Equal(failures, want) {
		t.Errorf("failures %q, want %q", failures, want)
	}
	rows, problems := judge(ids, aside, tests)
	want := []row{
		{"DAG-001", "pass", "TestDAG_001_Aborts"},
		{"MEM-002", "FAILED", "TestShares/MEM-002_grants"},
		{"BLK-003", "SKIPPED", "TestBLK_003"},
		{"CAN-004", "FAILED", "TestCAN_004_Ends (did not end)"},
		{"OCC-005", "MISSING", "no test carries this ID"},
		{"POOL-006", "n/a", "there is no file"},
		{"total", "2 of 6", "1 pass, 1 not applicable"},
	}
	if !slices.Equal(rows, want) {
		t.Errorf("rows\n%q\nwant\n%q", rows, want)
	}
	if len(problems) != 4 {
		t.Errorf("problems %q", problems)
	}
	var out bytes.Buffer
	if err := write(&out, rows); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != len(rows)+3 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

func TestUnknownIDs(t *testing.T) {
	_, problems := judge([]string{"DAG-001"}, map[string]string{"DAG-001": "x", "ZZZ-001": "y"}, map[string]*outcome{"ABC-001": {}})
	if len(problems) != 2 {
		t.Errorf("problems %q", problems)
	}
	if _, err := readCatalogue(strings.NewReader("- **DAG-001** a\n- **DAG-001** b\n")); err == nil {
		t.Error("a behaviour stands twice in the catalogue")
	}
	if got := idsOf("TestX/EVT-001_and_EVT-002"); !slices.Equal(got, []string{"EVT-001", "EVT-002"}) {
		t.Errorf("IDs %q", got)
	}
	if got := idsOf("TestDAG_001/late"); got != nil {
		t.Errorf("a subtest without an ID has %q", got)
	}
}
