package source

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// readCSV returns all rows of the splits.
func readCSV(r *Reader, splits []Split, o CSVOptions) (table [][]string, err error) {
	for i := range splits {
		err := r.CSV(&splits[i], o, func(rows *Rows) error {
			for i := range rows.Len() {
				row := make([]string, len(rows.Columns()))
				for j := range row {
					row[j] = strings.Clone(rows.String(i, j))
				}
				table = append(table, row)
			}
			return nil
		})
		if err != nil {
			return table, err
		}
	}
	return table, nil
}

func TestCSV(t *testing.T) {
	for _, c := range []struct {
		content string
		o       CSVOptions
		want    [][]string
	}{
		{"a,b\n1,2\n3,4\n", CSVOptions{}, [][]string{{"1", "2"}, {"3", "4"}}},
		{"a,b\r\n1,2\r\n\r\n3,4", CSVOptions{}, [][]string{{"1", "2"}, {"3", "4"}}},
		{"a,b,c\n1,2,3\n", CSVOptions{Columns: []string{"c", "a"}}, [][]string{{"3", "1"}}},
		{"a;b\n\"x;\"\"y\"\"\";,\n", CSVOptions{Comma: ';'}, [][]string{{`x;"y"`, ","}}},
		{"a,b\n\"x\ny\",\"\r\n\"\n", CSVOptions{Multiline: true}, [][]string{{"x\ny", "\r\n"}}},
		{"\xef\xbb\xbfa,b\n,\n\"\",é\n", CSVOptions{Columns: []string{"a", "b"}}, [][]string{{"", ""}, {"", "é"}}},
		{"a\n", CSVOptions{}, nil},
		{"a", CSVOptions{}, nil},
		{"", CSVOptions{}, nil},
		{"\"a\"\"b\",\"c\"\n1,2", CSVOptions{Columns: []string{`a"b`}}, [][]string{{"1"}}},
	} {
		for _, name := range []string{"a.csv", "a.csv.gz"} {
			path := write(t, t.TempDir(), name, []byte(c.content))
			splits := cut(t, list(t, path), CutOptions{Whole: true})
			got, err := readCSV(small(t), splits, c.o)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s %q: %q, %v; want %q", name, c.content, got, err, c.want)
			}
		}
	}
}

func TestCSVErrorsNameThePlace(t *testing.T) {
	pad := strings.Repeat("7,7\n", 300) // more than one buffer
	for _, c := range []struct {
		content string
		o       CSVOptions
		cause   error
		want    string // behind the path
	}{
		{"a,b\n1,2\n1\n", CSVOptions{}, ErrFields, ", line 3: the number of fields differs from the header's: 1, not 2"},
		{"a,b\n" + pad + "1,2,3\n", CSVOptions{}, ErrFields, ", line 302: "},
		{"a,b\n" + pad + "1,2\"\n", CSVOptions{}, ErrQuote, ", line 302, column 2 (b): a quote stands where it cannot: a field that holds one must be quoted"},
		{"a,b\n" + pad + "\"1\"x,2\n", CSVOptions{}, ErrQuote, ", line 302, column 1 (a): a quote stands where it cannot: 'x' follows a closed one"},
		{"a,b\n" + pad + "\"1\n\",2\n", CSVOptions{}, ErrQuote, ", line 302, column 1 (a): a quote stands where it cannot: a quoted field is not closed on its line"},
		{"a,b\n\"1\n\",\"2", CSVOptions{Multiline: true}, ErrQuote, ", line 2, column 2 (b): "},
		{"\n1\n", CSVOptions{}, ErrHeader, ", line 1: the header does not fit: the first line is empty"},
		{"a,b\n1,2\n", CSVOptions{Columns: []string{"c"}}, ErrHeader, `: the header does not fit: there is no column "c", only a, b`},
		{"a,a\n1,2\n", CSVOptions{Columns: []string{"a"}}, ErrHeader, `there are two columns "a"`},
		{"a,b\n1,2\n", CSVOptions{Columns: []string{"a", "a"}}, ErrHeader, `column "a" is wanted twice`},
	} {
		for _, name := range []string{"a.csv", "a.csv.zst"} {
			for _, parts := range []int{1, 5} {
				path := write(t, t.TempDir(), name, []byte(c.content))
				splits := cut(t, list(t, path), CutOptions{Parts: parts, Whole: c.o.Multiline})
				_, err := readCSV(small(t), splits, c.o)
				e, ok := errors.AsType[*CSVError](err)
				if !ok || !errors.Is(err, c.cause) || e.Path != path || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s in %d parts, %.30q…: %v; want …%s", name, parts, c.content, err, c.want)
				}
			}
		}
	}
}

func TestCSVValues(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("skip,n,x\n")
	ints := []string{"0", "-1", "+7", "123456789012345678", "9223372036854775807", "-9223372036854775808",
		"-9223372036854775807", "0000000000000000007", "-00000000000000000000000000008", "1000000000000000000"}
	floats := []string{"0", "-0", "1.5", "-.25", "3.", "123456789012345", "0.000000000000001", "1e308", "0.1234567890123456789", "Inf"}
	for i := range 60 {
		fmt.Fprintf(&b, "s%d,%s,\"%s\"\n", i, ints[i%len(ints)], floats[i%len(floats)])
	}
	path := write(t, t.TempDir(), "a.csv", b.Bytes())
	splits := cut(t, list(t, path), CutOptions{Parts: 4})
	at, o := 0, CSVOptions{Columns: []string{"x", "n"}}
	for i := range splits {
		err := small(t).CSV(&splits[i], o, func(rows *Rows) error {
			for i := range rows.Len() {
				wantInt, _ := strconv.ParseInt(ints[at%len(ints)], 10, 64)
				wantFloat, _ := strconv.ParseFloat(floats[at%len(floats)], 64)
				if n, x := rows.Int(i, 1), rows.Float(i, 0); n != wantInt || math.Float64bits(x) != math.Float64bits(wantFloat) {
					t.Errorf("row %d: %d, %v; want %d, %v", at, n, x, wantInt, wantFloat)
				}
				at++
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if at != 60 {
		t.Errorf("%d rows, want 60", at)
	}
	for _, bad := range []string{"", "x", "-", "1.5", "99999999999999999999", "9223372036854775808", "-9223372036854775809", "-9999999999999999999", "123456789012345678x", "1 "} {
		path := write(t, t.TempDir(), "a.csv", []byte("skip,n\n1,2\n3,"+bad+"\n"))
		splits := cut(t, list(t, path), CutOptions{})
		err := small(t).CSV(&splits[0], CSVOptions{Columns: []string{"n"}}, func(rows *Rows) error {
			for i := range rows.Len() {
				if v := rows.Int(i, 0); i == 1 && v != 0 {
					t.Errorf("%q gave %d", bad, v)
				}
			}
			return nil
		})
		want := fmt.Sprintf("%s, line 3, column 2 (n): the value is not of the wanted type: %q is not a whole number", path, bad)
		if !errors.Is(err, ErrValue) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", bad, err, want)
		}
	}
	for _, text := range []string{"", "-", ".", "1.2.3", "1e400", "abc"} {
		path := write(t, t.TempDir(), "a.csv", []byte("n\n\""+text+"\"\n"))
		splits := cut(t, list(t, path), CutOptions{})
		err := small(t).CSV(&splits[0], CSVOptions{}, func(rows *Rows) error { rows.Float(0, 0); return nil })
		if !errors.Is(err, ErrValue) {
			t.Errorf("%q as a float: %v, want ErrValue", text, err)
		}
	}
}

func TestCSVHeader(t *testing.T) {
	for _, name := range []string{"a.csv", "a.csv.gz"} {
		files := list(t, write(t, t.TempDir(), name, []byte("id,\"na\"\"me\",x\r\n1,2,3\n")))
		got, err := small(t).CSVHeader(&files[0], CSVOptions{Columns: []string{"x"}})
		if want := []string{"id", `na"me`, "x"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	files := list(t, write(t, t.TempDir(), "a.csv", nil))
	if _, err := small(t).CSVHeader(&files[0], CSVOptions{}); !errors.Is(err, ErrHeader) {
		t.Errorf("empty file: %v, want ErrHeader", err)
	}
}

// Files of one folder may order their columns differently.
func TestCSVColumnsByName(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "1.csv", []byte("a,b\n1,2\n"))
	write(t, dir, "2.csv", []byte("b,c,a\n4,x,3\n"))
	got, err := readCSV(small(t), cut(t, list(t, dir), CutOptions{}), CSVOptions{Columns: []string{"a", "b"}})
	if want := [][]string{{"1", "2"}, {"3", "4"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// Whatever encoding/csv writes is read back, in any number of parts when no
// field holds a line end.
func TestCSVRoundTrip(t *testing.T) {
	for seed := range uint64(60) {
		rng := newRand(seed)
		multiline := rng.IntN(2) == 0
		letters := []string{"a", "bc", ",", `"`, " ", "\r", "long text without end ", "é"}
		if multiline {
			letters = append(letters, "\n")
		}
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		var want [][]string
		for range 1 + rng.IntN(400) {
			row := make([]string, 3)
			for j := range row {
				for range rng.IntN(5) {
					row[j] += letters[rng.IntN(len(letters))]
				}
			}
			want = append(want, row)
			w.Write(row)
		}
		w.Flush()
		path := write(t, t.TempDir(), "a.csv", append([]byte("x,y,z\n"), b.Bytes()...))
		splits := cut(t, list(t, path), CutOptions{Parts: 1 + rng.IntN(9), Whole: multiline})
		got, err := readCSV(small(t), splits, CSVOptions{Multiline: multiline})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %d rows, %v; want %d", seed, len(got), err, len(want))
		}
	}
}

// FuzzCSV compares with encoding/csv on input without \r, which the two treat
// differently inside quotes.
func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,\"x\"\"\"\n\n3,4"))
	f.Add([]byte("a\n\"\n\"\n"))
	f.Add([]byte("a,b\n1\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := write(t, t.TempDir(), "a.csv", content)
		got, err := readCSV(small(t), cut(t, list(t, path), CutOptions{Whole: true}), CSVOptions{Multiline: true})
		if bytes.IndexByte(content, '\r') >= 0 || bytes.HasPrefix(content, []byte("\n")) || bytes.HasPrefix(content, []byte("\xef\xbb\xbf")) {
			return
		}
		in := csv.NewReader(bytes.NewReader(content))
		want, wantErr := in.ReadAll()
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: error %v, encoding/csv: %v", content, err, wantErr)
		}
		if err != nil {
			return
		}
		if len(want) > 0 {
			want = want[1:]
		}
		if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %q, encoding/csv: %q", content, got, want)
		}
	})
}
