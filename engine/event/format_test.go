package event

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const formatDoc = "../docs/format/events.md"

// The document's example is what the writer writes, byte by byte.
func TestTheDocumentShowsAFile(t *testing.T) {
	doc := readDoc(t)
	_, example, _ := strings.Cut(doc, "## A file, byte by byte")
	var want bytes.Buffer
	for _, m := range regexp.MustCompile(`(?m)^((?:[0-9a-f]{2} )+) `).FindAllStringSubmatch(example, -1) {
		b, err := hex.DecodeString(strings.ReplaceAll(m[1], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		want.Write(b)
	}
	got := encoded(t, []Event{
		&Phase{Begin: 1000, End: 3000, Name: "iteration"},
		&Phase{Begin: 3000, End: 5000, Name: "iteration", Index: 1},
		&ApplicationEnd{At: 5200},
	})
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s shows\n% x\nwhat is written is\n% x", formatDoc, want.Bytes(), got)
	}
}

// Every kind is in the document, by its number and name, and no other.
func TestTheDocumentNamesTheKinds(t *testing.T) {
	doc := readDoc(t)
	var d decoder
	for kind := uint8(1); ; kind++ {
		e := d.blank(kind)
		row := fmt.Sprintf("\n| %d | ", kind)
		if e == nil {
			if strings.Contains(doc, row) {
				t.Errorf("%s has a kind %d, which there is not", formatDoc, kind)
			}
			return
		}
		if name := reflect.TypeOf(e).Elem().Name(); !strings.Contains(doc, row+name+" |") {
			t.Errorf("%s does not say that kind %d is %s", formatDoc, kind, name)
		}
	}
}

func readDoc(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile(formatDoc)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}
