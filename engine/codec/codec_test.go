package codec

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type inner struct {
	A int8
	B float64
}

type row struct {
	ID    int32
	Name  string
	Tags  []string
	Raw   []byte
	Nums  []int64
	In    inner
	Pairs []Pair[string, []inner]
	Fix   [3]string
	Flag  bool
}

func someRows(n int) []row {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]row, n)
	for i := range out {
		out[i] = row{ID: int32(i), Name: strings.Repeat("é", rng.IntN(100)), In: inner{int8(i), float64(i) / 3}, Flag: i%2 == 0, Fix: [3]string{"", "b", fmt.Sprint(i)}}
		for j := range rng.IntN(4) {
			out[i].Tags = append(out[i].Tags, fmt.Sprint(j))
			out[i].Nums = append(out[i].Nums, int64(j)-2)
			out[i].Raw = append(out[i].Raw, byte(j))
			out[i].Pairs = append(out[i].Pairs, Pair[string, []inner]{"k", []inner{{1, 2}, {3, 4}}})
		}
	}
	return out
}

// roundTrip encodes rows at every alignment, decodes them in pieces, and
// decodes every prefix and every damaged form without a panic.
func roundTrip[T any](t *testing.T, rows []T) {
	t.Helper()
	c, err := For[T]()
	if err != nil {
		t.Fatal(err)
	}
	lens := c.(Rows[T])
	for shift := range 9 {
		src := c.Append(make([]byte, shift), rows)[shift:]
		if got := lens.Size(rows); got != len(src) {
			t.Fatalf("%T: Size is %d, %d bytes were written", rows, got, len(src))
		}
		if c.Fixed() >= 0 && c.Fixed()*len(rows) != len(src) {
			t.Fatalf("%T: Fixed is %d, %d bytes for %d rows", rows, c.Fixed(), len(src), len(rows))
		}
		var got []T
		rest := src
		for len(rest) > 0 {
			if n := lens.RowLen(rest); n < 0 || n > len(rest) {
				t.Fatalf("%T: RowLen is %d of %d", rows, n, len(rest))
			}
			if got, rest, err = c.Decode(got, rest, 1+len(got)%3); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(got, rows) {
			t.Fatalf("%T came back changed:\n%v\n%v", rows, got, rows)
		}
	}
	src := c.Append(nil, rows)
	step := 1 + len(src)/500
	for cut := 0; cut < len(src); cut += step {
		if _, _, err := c.Decode(nil, src[:cut], len(rows)); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v is no damage", cut, err)
		}
		bad := slices.Clone(src)
		bad[cut] ^= 0xff
		if _, _, err := c.Decode(nil, bad, len(rows)); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("damaged at %d: %v is no damage", cut, err)
		}
		lens.RowLen(bad)
	}
}

type myString string
type myBytes []byte

func TestRoundTrip(t *testing.T) {
	roundTrip(t, someRows(50))
	roundTrip(t, []int64{1, -1, math.MaxInt64})
	roundTrip(t, []uint8{0, 1, 255})
	roundTrip(t, []float32{0, float32(math.Inf(1)), -3})
	roundTrip(t, []bool{true, false})
	roundTrip(t, [][100]byte{{1}, {99: 2}})
	roundTrip(t, []inner{{1, 2}, {-3, 4}})
	roundTrip(t, []string{"", "a", strings.Repeat("long", 100)})
	roundTrip(t, []myString{"x", ""})
	roundTrip(t, [][]byte{nil, {1}, make([]byte, 300)})
	roundTrip(t, []myBytes{{7}, nil})
	roundTrip(t, [][]string{nil, {"a", ""}, {"b"}})
	roundTrip(t, [][]int32{nil, {1, 2, 3}})
	roundTrip(t, []Pair[string, int64]{{"k", 1}, {"", -1}})
	roundTrip(t, []Pair[int32, []Pair[string, string]]{{1, []Pair[string, string]{{"a", "b"}}}, {2, nil}})
	roundTrip(t, [][2]string{{"a", "b"}})
}

func TestImmutable(t *testing.T) {
	if !Immutable[inner]() || !Immutable[Pair[string, [2]myString]]() || !Immutable[int64]() {
		t.Error("plain parts and strings can be written to")
	}
	if Immutable[[]byte]() || Immutable[row]() || Immutable[Pair[int, *int]]() || Immutable[map[int]int]() || Immutable[[2][]int64]() {
		t.Error("slices, maps and pointers cannot be written to")
	}
}

func TestEmptyRowsAreCounted(t *testing.T) {
	c, err := For[struct{}]()
	if err != nil {
		t.Fatal(err)
	}
	out, rest, err := c.Decode(nil, nil, 7)
	if len(out) != 7 || len(rest) != 0 || err != nil || c.Fixed() != 0 {
		t.Errorf("%d rows, %d bytes left, %v", len(out), len(rest), err)
	}
}

type tree struct {
	Kids []tree
	Name string
}

func TestTypesWithoutAFormAreNamed(t *testing.T) {
	type holder struct {
		OK  int
		Bad map[string]int
	}
	for want, got := range map[string]error{
		"Bad is a map":    errOf(For[holder]()),
		"is a ptr":        errOf(For[*int]()),
		"is a chan":       errOf(For[chan int]()),
		"is a interface":  errOf(For[any]()),
		"is a func":       errOf(For[func()]()),
		"contains itself": errOf(For[tree]()),
		"[i] is a ptr":    errOf(For[[]*int]()),
		"Bad is a map ":   errOf(KeyOf[holder]()),
		"is a slice":      errOf(KeyOf[[]int]()),
		"is a complex128": errOf(KeyOf[complex128]()),
	} {
		if got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("error %v does not say %q", got, want)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

// money has a codec of its own: cents as text.
type money struct{ p *int64 }

type moneyCodec struct{}

func (moneyCodec) Name() string { return "money" }
func (moneyCodec) Fixed() int   { return -1 }
func (moneyCodec) Append(dst []byte, rows []money) []byte {
	for _, m := range rows {
		dst = append(fmt.Appendf(dst, "%d", *m.p), ';')
	}
	return dst
}

func (moneyCodec) Decode(dst []money, src []byte, limit int) ([]money, []byte, error) {
	for n := 0; n < limit && len(src) > 0; n++ {
		text, rest, ok := strings.Cut(string(src), ";")
		v := new(int64)
		if _, err := fmt.Sscan(text, v); err != nil || !ok {
			return dst, src, fmt.Errorf("no money: %w", ErrCorrupt)
		}
		dst, src = append(dst, money{v}), []byte(rest)
	}
	return dst, src, nil
}

func TestRegisteredCodecsWorkInsideStructs(t *testing.T) {
	Register(moneyCodec{})
	one, two := int64(1), int64(2)
	type bill struct {
		Who string
		Sum money
		All []money
	}
	c, err := For[bill]()
	if err != nil {
		t.Fatal(err)
	}
	rows := []bill{{"a", money{&one}, []money{{&two}, {&one}}}, {"b", money{&two}, nil}}
	src := c.Append(nil, rows)
	if n := c.(Rows[bill]).Size(rows); n != len(src) {
		t.Errorf("Size is %d of %d", n, len(src))
	}
	if n := c.(Rows[bill]).RowLen(src); n <= 0 || n >= len(src) {
		t.Errorf("RowLen is %d of %d", n, len(src))
	}
	got, rest, err := c.Decode(nil, src, 2)
	if err != nil || len(rest) != 0 || !reflect.DeepEqual(got, rows) {
		t.Errorf("%v, %d bytes left, %v", got, len(rest), err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second codec for the same type was accepted")
		}
	}()
	Register(moneyCodec{})
}

func TestViewNeedsAlignmentAndWholeRows(t *testing.T) {
	mem := make([]int64, 4)
	raw := RawBytes(mem)
	if v := View[int64](raw[8:24]); len(v) != 2 || &v[0] != &mem[1] {
		t.Error("an aligned view is not in place")
	}
	if View[int64](raw[4:12]) != nil || View[int64](raw[:12]) != nil || View[string](raw[:16]) != nil || View[int64](nil) != nil {
		t.Error("a view was given that must not be")
	}
}

func FuzzDecode(f *testing.F) {
	c, err := For[row]()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Append(nil, someRows(3)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, src []byte) {
		rows, rest, err := c.Decode(nil, src, 100)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%v is no damage", err)
		}
		if err == nil && len(rest) > 0 && len(rows) != 100 {
			t.Fatalf("%d rows, %d bytes left", len(rows), len(rest))
		}
		again, _, err := c.Decode(nil, c.Append(nil, rows), len(rows))
		if err != nil || len(again) != len(rows) {
			t.Fatalf("%d rows of %d after another round, %v", len(again), len(rows), err)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	for _, name := range []string{"lz4", "zstd"} {
		c, _ := CompressionByName(name)
		f.Add(name == "lz4", c.Compress(nil, []byte(strings.Repeat("abcd", 100))), 400)
	}
	f.Fuzz(func(t *testing.T, lz4 bool, src []byte, raw int) {
		name := "zstd"
		if lz4 {
			name = "lz4"
		}
		c, _ := CompressionByName(name)
		if out, err := c.Decompress(nil, src, raw); err == nil && len(out) != raw {
			t.Errorf("%d bytes, not %d", len(out), raw)
		} else if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v is no damage", err)
		}
	})
}

func TestCompressionRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for _, name := range []string{"", "none", "LZ4", "zstd"} {
		c, err := CompressionByName(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range [][]byte{nil, {1}, []byte("ab"), []byte(strings.Repeat("word ", 20_000)), noise} {
			packed := c.Compress([]byte("before"), src)[6:]
			if len(packed) == 0 {
				packed = src // not shorter: stored as it is
			} else if len(packed) >= len(src) {
				t.Errorf("%s: %d bytes became %d", c.Name(), len(src), len(packed))
			}
			got, err := c.Decompress([]byte("x"), packed, len(src))
			if err != nil || string(got) != "x"+string(src) {
				t.Errorf("%s: %d bytes came back as %d, %v", c.Name(), len(src), len(got)-1, err)
			}
			if len(src) > 2 {
				if _, err := c.Decompress(nil, packed[:len(packed)-1], len(src)); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: a cut block gives %v", c.Name(), err)
				}
			}
		}
	}
	if _, err := CompressionByName("rar"); err == nil {
		t.Error("an unknown compression was accepted")
	}
}
