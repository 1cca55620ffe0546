package terasort

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/execbench/execbench/workloads"
)

// values returns the defaults changed by name, value pairs.
func values(t testing.TB, pairs ...string) workloads.Values {
	t.Helper()
	v := Workload.Values()
	for i := 0; i < len(pairs); i += 2 {
		if err := v.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// generated returns the file that generate writes for v.
func generated(t testing.TB, g workloads.Gen, v workloads.Values) string {
	t.Helper()
	dir := t.TempDir()
	if err := generate(t.Context(), g, v, dir); err != nil {
		t.Fatal(err)
	}
	files, err := workloads.InputFiles([]string{dir})
	if err != nil || len(files) != 1 || files[0].Bytes != dataBytes(v) {
		t.Fatalf("generated %v (%v), want one file of %d bytes", files, err, dataBytes(v))
	}
	return files[0].Path
}

// What is wanted in this file was printed by gensort 1.5, built from its
// published source; "published" marks sums that also stand in public
// documents as the output of valsort over gensort's data.

func TestFirstRecordsOfGensort(t *testing.T) {
	for _, c := range []struct {
		start string
		want  string // hexadecimal
	}{
		{"0", "4a696d4772617952495065080060836b392cd58b8f5e55961855e79b87f02283a466b6aab1f9e0cacf1e26b3292afd1064bb" +
			"18b56ac07d6f656b1d2f430d57bde7e47d81f36a6dd267948bbc2397bfe28c334e4ad82b8e70166293cfaa0116bfda3bb1ab"},
		{"7", "5efc4abfaca23e8ca8edb41f6869a167c8334b4e4e095feaf82c49971d1c1940ce3842f73e6c39236b78cfe87a737167eee9" +
			"b01323c4e182eca7f0b8c825056ea56d87a75bdeef46072b436004c2a5943a9f1395a145f8641821e5f571c33559a057904c"},
		{"1000000000000", "2175d298a8b50fa9b6a50109d43bcb2b40ffbd99d7b4b8abe1ef0e480322e60ca26aeea6f5322e92ea503192bfa9e3b04e53" +
			"1fa10f01d01a9091f3109edccafce25289ab248b5ab480fdd4820a8c64460c15900f577c5f1d1f44cbe06792a0e5dd540591"},
	} {
		data, err := os.ReadFile(generated(t, workloads.Gen{}, values(t, "records", "1", "start", c.start)))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(data); got != c.want {
			t.Errorf("record %s\n got %s\nwant %s", c.start, got, c.want)
		}
	}
	for start, want := range map[string]string{
		"0":             "AsfAGHM5om  00000000000000000000000000000000  0000222200002222000022220000222200002222000000001111\r\n",
		"7":             "mz4VCN@a#\"  00000000000000000000000000000007  DDDDBBBB1111FFFF2222DDDDFFFFBBBBFFFF6666444477778888\r\n",
		"1000000000000": "4FlMX*kH0!  0000000000000000000000E8D4A51000  5555000022222222888833334444BBBBAAAADDDD000000001111\r\n",
	} {
		data, err := os.ReadFile(generated(t, workloads.Gen{}, values(t, "records", "1", "start", start, "ascii", "true")))
		if err != nil {
			t.Fatal(err)
		}
		if string(data) != want {
			t.Errorf("printable record %s\n got %q\nwant %q", start, data, want)
		}
	}
}

func TestSumsOfGensort(t *testing.T) {
	for _, c := range []struct {
		records, start, seed, ascii, sum string
	}{
		{"1", "0", "0", "false", "9ea593a0"},
		{"1000", "0", "0", "false", "1ea6370b955"},
		{"163840", "0", "0", "false", "13f6b0519fb7c"},
		{"1000000", "0", "0", "false", "7a0e0d4868cd4"}, // published
		{"1000", "7000000000000000003", "0", "false", "1ede5abd228"},
		{"1000", "0", "9223372036854775807", "false", "201f2804927"},
		{"1", "0", "0", "true", "3fcaea0a"},
		{"1000", "0", "0", "true", "1f5dfb3631a"},
		{"163840", "0", "0", "true", "1400fed7bb2c2"}, // published
		{"1000000", "0", "0", "true", "7a19cff467438"},
		{"1000", "7000000000000000003", "0", "true", "1f271601bde"},
		{"1000", "0", "9223372036854775807", "true", "1ef4c28bd74"},
	} {
		v := values(t, "records", c.records, "start", c.start, "seed", c.seed, "ascii", c.ascii)
		path := generated(t, workloads.Gen{Cores: 2}, v)
		files, _ := workloads.InputFiles([]string{path})
		s, err := validate(t.Context(), workloads.Gen{Cores: 2}, files)
		if err != nil {
			t.Fatal(err)
		}
		if s.checksum() != c.sum || strconv.FormatInt(s.records, 10) != c.records {
			t.Errorf("%s records from %s, seed %s, ascii %s: %d records with sum %s, want %s",
				c.records, c.start, c.seed, c.ascii, s.records, s.checksum(), c.sum)
		}
	}
}

// The record number carries into its upper half.
func TestRecordNumberBeyond64Bits(t *testing.T) {
	for _, c := range []struct {
		first u128
		ascii bool
		sum   string
	}{
		{u128{0, 18446744073709551606}, false, "1f3e76c725e"},
		{u128{0, 18446744073709551606}, true, "1f08c434c60"},
		{u128{2, 0}, false, "1f0db3867b6"},
		{u128{2, 0}, true, "2019c2ddd03"},
	} {
		data := make([]byte, 1000*recordSize)
		put := putBinary
		if c.ascii {
			put = putASCII
		}
		put(data, c.first)
		if s := summarize(data); s.checksum() != c.sum {
			t.Errorf("1000 records from %v, ascii %v: sum %s, want %s", c.first, c.ascii, s.checksum(), c.sum)
		}
	}
}

// Any way of cutting the range gives the bytes of the whole.
func TestBlocksAgreeWithTheWhole(t *testing.T) {
	for _, put := range []func([]byte, u128){putBinary, putASCII} {
		first := u128{lo: 1<<64 - 20}
		whole := make([]byte, 100*recordSize)
		put(whole, first)
		for _, size := range []int{1, 2, 8, 9, 10, 11, 37} {
			parts := make([]byte, len(whole))
			for from := 0; from < 100; from += size {
				put(parts[from*recordSize:min(from+size, 100)*recordSize], first.add(u128{lo: uint64(from)}))
			}
			if !bytes.Equal(parts, whole) {
				t.Errorf("blocks of %d records differ from the whole", size)
			}
		}
	}
}

func TestStepsAreSingleSteps(t *testing.T) {
	x := u128{3, 4}
	want := x
	for n := range 70 {
		if got := steps(u128{lo: uint64(n)}).apply(x); got != want {
			t.Fatalf("%d steps from %v: %v, want %v", n, x, got, want)
		}
		want = oneStep.apply(want)
	}
	big := u128{1 << 40, 12345}
	if got, want := steps(big.add(u128{lo: 1})).apply(x), oneStep.apply(steps(big).apply(x)); got != want {
		t.Errorf("one step more than %v: %v, want %v", big, got, want)
	}
}

func TestDataIsTheSameForAnyCoresAndMemory(t *testing.T) {
	v := values(t, "records", strconv.Itoa(3*blockRecords+17), "seed", "3")
	var want []byte
	for _, g := range []workloads.Gen{{}, {Cores: 1, Memory: 1}, {Cores: 2}, {Cores: 7, Memory: 3 << 20}} {
		data, err := os.ReadFile(generated(t, g, v))
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = data
		}
		if !bytes.Equal(data, want) {
			t.Errorf("%+v generates other bytes", g)
		}
	}
}

func TestSizeCountsWholeRecords(t *testing.T) {
	for size, want := range map[string]int64{"1GB": 1e7, "1KiB": 10, "199": 1, "100": 1} {
		if got := records(values(t, "size", size)); got != want {
			t.Errorf("size %s: %d records, want %d", size, got, want)
		}
	}
	if got := records(values(t, "size", "1GB", "records", "5")); got != 5 {
		t.Errorf("records 5: %d records", got)
	}
}

func TestGenerateKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "records.dat")
	if err := os.WriteFile(path, []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := generate(t.Context(), workloads.Gen{}, values(t, "records", "1"), dir); err == nil {
		t.Error("generated over a file that was there")
	}
	if data, _ := os.ReadFile(path); string(data) != "mine" {
		t.Errorf("the file now holds %q", data)
	}
}

func TestProgressEndsAtTheTotal(t *testing.T) {
	var last, total int64
	g := workloads.Gen{Cores: 2, Progress: func(done, of int64) {
		if done <= last {
			t.Errorf("progress went from %d to %d", last, done)
		}
		last, total = done, of
	}}
	v := values(t, "records", strconv.Itoa(2*blockRecords+1))
	generated(t, g, v)
	if last != dataBytes(v) || total != dataBytes(v) {
		t.Errorf("progress ended at %d of %d, want %d", last, total, dataBytes(v))
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, format := range []struct {
		name string
		put  func([]byte, u128)
	}{{"binary", putBinary}, {"ascii", putASCII}} {
		b.Run(fmt.Sprintf("format=%s", format.name), func(b *testing.B) {
			buf := make([]byte, blockRecords*recordSize)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				format.put(buf, u128{lo: 12345})
			}
		})
	}
}

func BenchmarkSummarize(b *testing.B) {
	buf := make([]byte, blockRecords*recordSize)
	putBinary(buf, u128{})
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		summarize(buf)
	}
}
