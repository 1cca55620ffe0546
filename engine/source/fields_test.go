package source

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// naiveFields looks at each byte.
func naiveFields(text, delimiters string) (fields []string) {
	start := 0
	for i := 0; i <= len(text); i++ {
		if i == len(text) || strings.IndexByte(delimiters, text[i]) >= 0 {
			if i > start {
				fields = append(fields, text[start:i])
			}
			start = i + 1
		}
	}
	return fields
}

// cutFields cuts a text into batches of at most room fields.
func cutFields(t *testing.T, f *Fields, text string, room int) (fields []string) {
	t.Helper()
	for rest := []byte(text); len(rest) > 0; {
		batch, after := f.Append(make([]string, 0, room), rest)
		if len(after) >= len(rest) {
			t.Fatalf("nothing is taken of %.40q", rest)
		}
		if len(after) > 0 && room-len(batch) >= fieldsRoom {
			t.Fatalf("%d fields of %d are taken, and text is left", len(batch), room)
		}
		fields, rest = append(fields, batch...), after
	}
	return fields
}

var delimiterSets = []string{
	" \t\n\v\f\r", // two ranges
	" ",
	",",
	"\x00",
	"\x7f",
	"\x00\x01\x7f",
	"",
	",;\n",               // three ranges
	"\x80",               // not ASCII
	"\x7e\x7f\x80\xff ",  // nor is this range
	"abcdefghijklmnopqr", // most of what the texts have
}

func TestFieldsAreThoseOfALookAtEachByte(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, set := range delimiterSets {
		f := FieldsOf(set)
		for n := range 300 {
			text := make([]byte, n)
			for i := range text {
				switch {
				case len(set) > 0 && rng.IntN(4) == 0:
					text[i] = set[rng.IntN(len(set))]
				case rng.IntN(3) == 0:
					text[i] = byte(rng.Uint32())
				default:
					text[i] = 'a' + byte(rng.IntN(26))
				}
			}
			want := naiveFields(string(text), set)
			for _, room := range []int{fieldsRoom, fieldsRoom + 1, 100, 1000} {
				if got := cutFields(t, f, string(text), room); !slices.Equal(got, want) {
					t.Fatalf("%q cut at %q by %d: %q, want %q", text, set, room, got, want)
				}
			}
		}
	}
}

// Every byte alone is a delimiter or a field.
func TestFieldsKnowEveryByte(t *testing.T) {
	for _, set := range delimiterSets {
		f := FieldsOf(set)
		for c := range 256 {
			text := strings.Repeat(string([]byte{byte(c)}), 70)
			want := 1
			if strings.IndexByte(set, byte(c)) >= 0 {
				want = 0
			}
			if got := cutFields(t, f, text, 100); len(got) != want {
				t.Errorf("%d fields of bytes %#x cut at %q, want %d", len(got), c, set, want)
			}
		}
	}
}

func FuzzFields(f *testing.F) {
	f.Add("one two\tone\n", " \t\n\v\f\r", uint8(0))
	f.Add("\v\f\r\x00 \xff\x85\u00a0x", " \t", uint8(200))
	f.Add("", "", uint8(1))
	f.Fuzz(func(t *testing.T, text, set string, more uint8) {
		if got, want := cutFields(t, FieldsOf(set), text, fieldsRoom+int(more)), naiveFields(text, set); !slices.Equal(got, want) {
			t.Errorf("%q cut at %q: %q, want %q", text, set, got, want)
		}
	})
}

func BenchmarkFields(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	var text []byte
	for len(text) < 32<<10 {
		for range 2 + rng.IntN(6) {
			text = append(text, 'a'+byte(rng.IntN(26)))
		}
		text = append(text, ' ')
	}
	for _, c := range []struct{ name, set string }{{"ranges", " \t\n\v\f\r"}, {"table", " \t\n,;."}} {
		b.Run(c.name, func(b *testing.B) {
			f := FieldsOf(c.set)
			buf := make([]string, 0, 512)
			fields := 0
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				fields = 0
				for rest := text; len(rest) > 0; {
					var batch []string
					batch, rest = f.Append(buf, rest)
					fields += len(batch)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(fields), "ns/field")
		})
	}
}
