package table

import (
	"bytes"
	"strings"
	"testing"
)

// Every row of a Markdown table has as many bars as its header, names with
// bars included.
func TestMarkdownBars(t *testing.T) {
	tab := Table{Title: "x", Header: []string{"a", "b"}, Left: []int{0}}
	tab.Add("one|two", "3\n4")
	var out bytes.Buffer
	if err := tab.Write(&out, true); err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(strings.TrimSpace(out.String()), "\n")[2:] {
		if n := strings.Count(l, "|") - strings.Count(l, `\|`); n != 3 {
			t.Errorf("%d bars in %q", n, l)
		}
	}
}

func TestTextIsAligned(t *testing.T) {
	tab := Table{Title: "title", Header: []string{"name", "n"}, Left: First(1), Rows: [][]string{{"a", "10"}, {"long name", "2"}}}
	var out bytes.Buffer
	if err := tab.Write(&out, false); err != nil {
		t.Fatal(err)
	}
	want := []string{"title", " name        n", "───────────────", " a          10", " long name   2", ""}
	if got := strings.Split(out.String(), "\n"); len(got) < len(want) {
		t.Errorf("%q", got)
	} else {
		for i := range want {
			if strings.TrimRight(got[i], " ") != want[i] {
				t.Errorf("line %d is %q, want %q", i, got[i], want[i])
			}
		}
	}
	out.Reset()
	if err := (&Table{Title: "title", Header: []string{"a"}}).Write(&out, true); err != nil || out.Len() > 0 {
		t.Errorf("a table without rows: %q, %v", &out, err)
	}
}
