package conf

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReadProperties(t *testing.T) {
	for _, c := range []struct {
		text string
		want map[string]string
	}{
		{"", map[string]string{}},
		{"# c\n! c\n   \n\t# indented\n", map[string]string{}},
		{"a b\nc=d\ne:f\ng = h\ni : j\n", map[string]string{"a": "b", "c": "d", "e": "f", "g": "h", "i": "j"}},
		{"spark.master   local[4]\r\nspark.x\ty z  \r\n", map[string]string{"spark.master": "local[4]", "spark.x": "y z"}},
		{"a one \\\n   two\\\n\tthree\nb 2", map[string]string{"a": "one twothree", "b": "2"}},
		{"a x\\\\\nb y", map[string]string{"a": `x\`, "b": "y"}},
		{"a # not a comment\n", map[string]string{"a": "# not a comment"}},
		{"a \\\n# part of a\n", map[string]string{"a": "# part of a"}},
		{`a\ b\=c\:d = e`, map[string]string{"a b=c:d": "e"}},
		{`a \u0041\t\n\q`, map[string]string{"a": "A\t\nq"}},
		{`a \ud83d\ude00`, map[string]string{"a": "😀"}},
		{"a==b", map[string]string{"a": "=b"}},
		{"a\n", map[string]string{"a": ""}},
		{"a 1\ra 2\r", map[string]string{"a": "2"}},
		{"é ü", map[string]string{"é": "ü"}},
		{"\\", map[string]string{}},
		{"a b\\", map[string]string{"a": "b"}},
	} {
		got, err := ReadProperties(strings.NewReader(c.text))
		if err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%q: %q, %v; want %q", c.text, got, err, c.want)
		}
	}
	for text, want := range map[string]string{
		"a 1\n= b":        "line 2",
		"a 1\n\nb \\u00g": "line 3",
		`a \ud83d`:        "half a character",
		"a \xff":          "UTF-8",
		"a " + strings.Repeat("x", PropertiesMax):  "bytes",
		strings.Repeat("a b\n", PropertiesMax/4+1): "bytes",
	} {
		if got, err := ReadProperties(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %d values, %v; want an error with %q", text, len(got), err, want)
		}
	}
}

func FuzzReadProperties(f *testing.F) {
	f.Add([]byte("a b\nc = \\\n d\\u0041\r\n# x\r!y\n"))
	f.Add([]byte("\\\n\\\n\\"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := ReadProperties(bytes.NewReader(data))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := WriteProperties(&out, values); err != nil {
			t.Fatal(err)
		}
		again, err := ReadProperties(&out)
		if err != nil || !maps.Equal(values, again) {
			t.Fatalf("%q read as %q, written and read again as %q, %v", data, values, again, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("spark.memory.fraction", "0.5")
	f.Add("locality.wait", "-9999999999999d")
	f.Add("driver.maxResultSize", "99999999999999999999g")
	f.Fuzz(func(t *testing.T, key, value string) {
		s, _, err := Parse(map[string]string{key: value})
		if err != nil {
			return
		}
		if s.MemoryFraction <= 0 || s.MaxFailures < 1 || s.MaxResultSize < 0 || s.LocalityWait.Node < 0 {
			t.Fatalf("%q=%q: settings out of range: %+v", key, value, s)
		}
		for _, e := range s.Resolved() {
			if utf8.ValidString(key) && !strings.HasPrefix(e.Key, Prefix) {
				t.Fatalf("%q=%q: resolved key %q has no prefix", key, value, e.Key)
			}
		}
	})
}
