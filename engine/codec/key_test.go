package codec

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// checkKey compares a key type's order with less on sorted, distinct keys,
// each in several equal forms.
func checkKey[K any](t *testing.T, sorted [][]K) {
	t.Helper()
	k, err := KeyOf[K]()
	if err != nil {
		t.Fatal(err)
	}
	var flat []K
	var rank []int
	for r, equal := range sorted {
		for _, v := range equal {
			flat, rank = append(flat, v), append(rank, r)
		}
	}
	prefixes, hashes := make([]uint64, len(flat)), make([]uint64, len(flat))
	k.Prefixes(prefixes, flat)
	k.Hashes(hashes, ColumnOf(flat))
	forms := formsOf(t, k, flat)
	for i, a := range flat {
		if prefixes[i] != k.Prefix(a) || hashes[i] != k.Hash(a) {
			t.Errorf("%T %v: the batch forms differ", a, a)
		}
		for j, b := range flat {
			want := cmp.Compare(rank[i], rank[j])
			if got := k.Compare(a, b); cmp.Compare(got, 0) != want {
				t.Errorf("%T: Compare(%v, %v) is %d, want %d", a, a, b, got, want)
			}
			if p := cmp.Compare(prefixes[i], prefixes[j]); p != 0 && p != want || k.Exact && p != want {
				t.Errorf("%T: prefixes of %v and %v compare as %d, want %d (exact: %v)", a, a, b, p, want, k.Exact)
			}
			if want == 0 && hashes[i] != hashes[j] {
				t.Errorf("%T: %v and %v are equal and hash apart", a, a, b)
			}
			if (forms[i] == forms[j]) != (want == 0) {
				t.Errorf("%T: the binary forms of %v and %v compare wrongly", a, a, b)
			}
		}
	}
}

// formsOf returns the binary forms as strings, checks that they lead back to
// equal keys, and that their hash is the key's.
func formsOf[K any](t *testing.T, k Key[K], keys []K) []string {
	t.Helper()
	back := make([]K, len(keys))
	forms := make([]string, len(keys))
	switch {
	case k.Binary.Word:
		words := make([]uint64, len(keys))
		k.Binary.Words(words, ColumnOf(keys))
		k.Binary.FromWords(ColumnOf(back), words)
		for i, w := range words {
			forms[i] = strconv.FormatUint(w, 16)
			if HashWord(w) != k.Hash(keys[i]) {
				t.Errorf("%T %v: the word's hash is not the key's", keys[i], keys[i])
			}
		}
	case k.Binary.Two:
		twos := make([]Two, len(keys))
		k.Binary.Twos(twos, ColumnOf(keys))
		k.Binary.FromTwos(ColumnOf(back), twos)
		for i, w := range twos {
			forms[i] = fmt.Sprintf("%x %x", w.A, w.B)
			if HashWords(w.A, w.B) != k.Hash(keys[i]) {
				t.Errorf("%T %v: the words' hash is not the key's", keys[i], keys[i])
			}
		}
	default:
		k.Binary.Texts(forms, ColumnOf(keys), nil)
		k.Binary.FromTexts(ColumnOf(back), forms)
		for i, s := range forms {
			if HashText(s) != k.Hash(keys[i]) {
				t.Errorf("%T %v: the text's hash is not the key's", keys[i], keys[i])
			}
		}
	}
	for i := range keys {
		if k.Compare(back[i], keys[i]) != 0 {
			t.Errorf("%T: %v came back as %v", keys[i], keys[i], back[i])
		}
	}
	return forms
}

func each[K any](keys ...K) (out [][]K) {
	for _, k := range keys {
		out = append(out, []K{k})
	}
	return out
}

type composed struct {
	A int16
	B string
	C float32
	_ [3]byte
}

type narrow struct {
	A int8
	B uint16
}

type wide struct {
	A uint8
	B int64
}

type floats struct {
	A int32
	B float32
	C float64
}

type floatsAndText struct {
	A    float64
	B, C string
}

func TestKeysKeepTheirOrder(t *testing.T) {
	checkKey(t, each[int64](math.MinInt64, -5, 0, 7, math.MaxInt64))
	checkKey(t, each[int8](-128, -1, 0, 1, 127))
	checkKey(t, each[int32](-1<<31, -1, 0, 1<<31-1))
	checkKey(t, each[uint16](0, 1, 256, 65535))
	checkKey(t, each[uint](0, 1, math.MaxUint))
	checkKey(t, each(false, true))
	inf, zero := math.Inf(1), 0.0
	checkKey(t, [][]float64{{-inf}, {-1}, {-math.SmallestNonzeroFloat64}, {zero, math.Copysign(0, -1)}, {1}, {inf}, {math.NaN(), math.Float64frombits(0xfff8000000000123)}})
	checkKey(t, [][]float32{{-2}, {0, float32(math.Copysign(0, -1))}, {0.5}, {float32(math.NaN())}})
	checkKey(t, each("", "\x00", "a", "a\x00", "aa", "abcdefgh", "abcdefgh\x00", "abcdefgha", "abcdefghijklmno", "abcdefghijklmnop", strings.Repeat("b", 40), "\xff"))
	checkKey(t, each([]byte{}, []byte("a"), []byte("abcdefghi")))
	checkKey(t, each([3]byte{}, [3]byte{0, 0, 1}, [3]byte{1}))
	checkKey(t, each([10]byte{}, [10]byte{9: 1}, [10]byte{1}, [10]byte{1, 9: 1}))
	checkKey(t, each([2]int32{-1, 5}, [2]int32{0, -1}, [2]int32{0, 0}))
	checkKey(t, each(narrow{-1, 5}, narrow{0, 1}, narrow{0, 300}, narrow{1, 0}))
	checkKey(t, each(composed{A: -1, B: "z"}, composed{B: ""}, composed{B: "", C: 1}, composed{B: "a", C: -1}, composed{A: 1}))
	checkKey(t, each([]struct{}{{}}...))
	checkKey(t, each(wide{1, 5}, wide{1, 6}, wide{2, -1}))
	checkKey(t, each([2]int64{-1, 5}, [2]int64{0, -1}, [2]int64{0, 0}))
	checkKey(t, each([3]int64{-1, 5}, [3]int64{0, -1}, [3]int64{0, 0}))
	checkKey(t, each([5]uint8{}, [5]uint8{1}, [5]uint8{1, 2, 3, 4, 5}))
	checkKey(t, each([3]int16{-1}, [3]int16{0, 0, -1}, [3]int16{}, [3]int16{1, 2, 3}))
	checkKey(t, each([16]byte{}, [16]byte{15: 9}, [16]byte{1}))
	checkKey(t, each([17]byte{}, [17]byte{16: 9}, [17]byte{1}))
	checkKey(t, [][]floats{{{-1, 2, 3}}, {{0, float32(math.Copysign(0, -1)), 0}, {0, 0, math.Copysign(0, -1)}}, {{0, 1, math.NaN()}, {0, 1, math.Float64frombits(0xfff8000000000123)}}})
	checkKey(t, [][]floatsAndText{{{B: "x", A: math.Copysign(0, -1)}, {B: "x"}}, {{B: "x", C: "y"}}, {{B: "xy"}}, {{A: 1}}, {{A: math.NaN()}}})
	checkKey(t, each(Pair[float32, int32]{-1, 3}, Pair[float32, int32]{1, 2}, Pair[float32, int32]{1, 3}))
}

// agree checks that keys decoded from any bytes have equal forms exactly when
// they compare equal, that their hashes do too, and that forms lead back.
func agree[K any](t *testing.T, src []byte) {
	t.Helper()
	k, err := KeyOf[K]()
	if err != nil {
		t.Fatal(err)
	}
	c, err := For[K]()
	if err != nil {
		t.Fatal(err)
	}
	keys, _, _ := c.Decode(nil, src, 8)
	forms := formsOf(t, k, keys)
	hashes := make([]uint64, len(keys))
	k.Hashes(hashes, ColumnOf(keys))
	for i := range keys {
		if hashes[i] != k.Hash(keys[i]) {
			t.Errorf("%T %v: the batch hash is another", keys[i], keys[i])
		}
		for j := range i {
			if same := k.Compare(keys[i], keys[j]) == 0; same != (forms[i] == forms[j]) || same && hashes[i] != hashes[j] {
				t.Errorf("%T: %v and %v: forms %q and %q", keys[i], keys[i], keys[j], forms[i], forms[j])
			}
		}
	}
}

func FuzzKeyForms(f *testing.F) {
	f.Add([]byte("some bytes that make keys of many types, and some more of them"))
	f.Add(bytes.Repeat([]byte{0}, 64))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 0, 0, 0, 0, 0x80}, 16))
	f.Add(bytes.Repeat([]byte{0xff}, 200))
	f.Add(append(bytes.Repeat([]byte{0}, 16), bytes.Repeat([]byte{1, 'a'}, 40)...))
	f.Fuzz(func(t *testing.T, src []byte) {
		agree[int32](t, src)
		agree[float32](t, src)
		agree[narrow](t, src)
		agree[wide](t, src)
		agree[floats](t, src)
		agree[[2]uint64](t, src)
		agree[[3]int16](t, src)
		agree[[13]byte](t, src)
		agree[[20]byte](t, src)
		agree[Pair[float32, [4]int64]](t, src)
		agree[floatsAndText](t, src)
		agree[Pair[[]byte, Pair[string, uint16]]](t, src)
	})
}

func TestPaddingIsNoPartOfAKey(t *testing.T) {
	k, err := KeyOf[inner]() // an int8, seven bytes of padding, a float64
	if err != nil {
		t.Fatal(err)
	}
	dirty := bytes.Repeat([]byte{0xee}, 32)
	view := View[inner](dirty[:16])
	if view == nil {
		t.Skip("the bytes are not aligned")
	}
	view[0].A, view[0].B = 1, 2
	if k.Hash(view[0]) != k.Hash(inner{1, 2}) {
		t.Error("padding changes the hash")
	}
	if forms := formsOf(t, k, []inner{view[0], {1, 2}}); forms[0] != forms[1] {
		t.Error("padding changes the form")
	}
}

// Two keys that == finds equal are one, whatever is in their blank fields.
func TestBlankFieldsAreNoPartOfAKey(t *testing.T) {
	type word struct {
		A int16
		_ int16
		B int32
	}
	type two struct {
		A int64
		_ [3]byte
		B bool
	}
	type long struct{ A, _, B int64 }
	type named struct {
		A int8
		_ int32
		B string
	}
	blanked(t, word{A: 1, B: 2}, word{A: 2})
	blanked(t, two{A: 1}, two{A: 1, B: true})
	blanked(t, long{A: 1, B: 2}, long{A: 1, B: 3})
	blanked(t, named{A: 1, B: "x"}, named{A: 1, B: "y"})
}

// blanked checks two keys in order, the first with different blank fields.
func blanked[K any](t *testing.T, k, next K) {
	t.Helper()
	keys := []K{k, k, next}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[K]()) {
		if f.Name == "_" {
			for i := range f.Type.Size() {
				*(*byte)(unsafe.Add(unsafe.Pointer(&keys[1]), f.Offset+i)) = 0xee
			}
		}
	}
	checkKey(t, [][]K{keys[:2], keys[2:]})
}

// One long key among short ones takes room for itself, not for a batch of such.
func TestTextFormsTakeTheRoomTheyNeed(t *testing.T) {
	type named struct {
		Name string
		N    int64
	}
	k, err := KeyOf[named]()
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]named, 512)
	for i := range keys {
		keys[i] = named{strconv.Itoa(i), int64(i)}
	}
	texts := make([]string, len(keys))
	for _, long := range []int{0, 300} {
		keys[long].Name = strings.Repeat("x", 1<<20)
		if room := cap(k.Binary.Texts(texts, ColumnOf(keys), nil)); room > 3<<20 {
			t.Errorf("the forms of keys of 1 MiB, the long one the %dth, took %d bytes", long, room)
		}
		back := make([]named, len(keys))
		if k.Binary.FromTexts(ColumnOf(back), texts); !slices.Equal(back, keys) {
			t.Error("the keys came back as others")
		}
	}
}

// Where words do not start with their low byte, a float's bits are not in one
// in their order: its equals could not be made one.
func TestFloatsKeepOutOfTurnedWords(t *testing.T) {
	defer func(was bool) { bigEndian = was }(bigEndian)
	bigEndian = true
	type turned struct{ A, B float32 }
	k, err := KeyOf[turned]()
	if err != nil {
		t.Fatal(err)
	}
	if k.Binary.Word {
		t.Error("floats lie in a word the wrong way round")
	}
	checkKey(t, [][]turned{{{0, 1}, {float32(math.Copysign(0, -1)), 1}}, {{1, 0}}, {{float32(math.NaN()), 0}}})
}

// Short and long texts, at any place in memory, hash by their bytes alone.
func TestHashTextSeesOnlyTheText(t *testing.T) {
	page := make([]byte, 3*4096)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range page {
		page[i] = byte(rng.Uint32())
	}
	for at := range 4200 {
		for n := 0; n < 20; n++ {
			s := string(page[at : at+n])
			view := asStrings([]string{text(page[at : at+n])})[0]
			if HashText(view) != HashText(s) {
				t.Fatalf("the text of %d bytes at %d hashes with what surrounds it", n, at)
			}
			if n%5 == at%5 { // beside others, as batches have them
				checkTokens(t, []string{"", view, s})
			}
			if n > ShortText {
				continue
			}
			a, b := TextWords(view)
			if wa, wb := loadBytes(s); a != wa || b != wb|uint64(n+1)<<56 {
				t.Fatalf("words of %q are %x %x", s, a, b)
			}
		}
	}
}

// checkTokens makes tokens of texts in both ways and compares them with what
// they are made of.
func checkTokens(t *testing.T, texts []string) {
	t.Helper()
	var got, half [3]TextToken
	TextTokens(got[:], texts, false)
	TextTokens(half[:], texts, true)
	for i, s := range texts {
		want := TextToken{Hash: HashText(s)}
		want.A, want.B = want.Hash, LongToken
		other := MixLong(want.Hash)
		if len(s) <= ShortText {
			want.A, want.B = TextWords(s)
			other = MixWords(want.A, want.B)
		}
		if got[i] != want || half[i] != (TextToken{want.A, want.B, other}) {
			t.Fatalf("tokens of %q are %x and %x, want %x", s, got[i], half[i], want)
		}
	}
}

// The hash is part of what tasks agree on: it must never change.
func TestHashesAreStable(t *testing.T) {
	got := []uint64{HashWord(0), HashWord(1), HashText(""), HashText("word"), HashText("a text of more than fifteen bytes")}
	want := []uint64{0xe437b9d4f2074fbe, 0x368b77e00b742689, 0xec3b46ac054d413d, 0x4c02a62c398b385a, 0xbc27b5e8217e71d}
	if !slices.Equal(got, want) {
		t.Errorf("hashes %#x, want %#x", got, want)
	}
}

// Every reducer gets its part of any kind of keys, and so does every slot of
// a table within a reducer.
func TestHashesSpread(t *testing.T) {
	const n, cells = 100_000, 64
	kinds := map[string]func(i int) uint64{
		"counting words": func(i int) uint64 { return HashWord(uint64(i)) },
		"high words":     func(i int) uint64 { return HashWord(uint64(i) << 40) },
		"counting texts": func(i int) uint64 { return HashText(string([]byte{byte(i), byte(i >> 8), byte(i >> 16)})) },
		"halves of texts": func(i int) uint64 {
			return MixWords(TextWords(string([]byte{byte(i), byte(i >> 8), byte(i >> 16)})))
		},
		"halves of longer texts": func(i int) uint64 {
			return MixWords(TextWords("prefixed " + string([]byte{byte(i), byte(i >> 8), byte(i >> 16)})))
		},
		"long texts": func(i int) uint64 {
			return HashText(strings.Repeat("x", 20) + string([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))
		},
	}
	for name, hash := range kinds {
		var upper, lower [cells]int
		for i := range n {
			h := hash(i)
			upper[Reducer(h, cells)]++
			lower[uint64(uint32(h))*cells>>32]++
		}
		for _, counts := range [][cells]int{upper, lower} {
			chi := 0.0
			for _, c := range counts {
				d := float64(c) - n/cells
				chi += d * d / (n / cells)
			}
			if chi > 130 { // 63 degrees of freedom: exceeded by chance once in 10^6
				t.Errorf("%s: chi² %.0f over %d cells", name, chi, cells)
			}
		}
	}
}

func BenchmarkHashText(b *testing.B) {
	texts := strings.Fields(strings.Repeat("a of the word something international ", 100))
	k, err := KeyOf[string]()
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]uint64, len(texts))
	b.ReportAllocs()
	for b.Loop() {
		k.Hashes(dst, ColumnOf(texts))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(texts)), "ns/key")
}
