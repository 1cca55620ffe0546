package wordcount

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// textBlock is how much text is made and written at a time. It belongs to
// the definition of the data: every block begins a line and ends one.
const textBlock = 1 << 20

// wordsPerLine is what the text has, except in the last line of a block.
const wordsPerLine = 10

func dataBytes(v workloads.Values) int64 { return int64(v.Bytes("size")) }

// generate writes one file, words.txt, of exactly size bytes. Every block is
// made from the seed and its number alone.
func generate(ctx context.Context, g workloads.Gen, v workloads.Values, dir string) (err error) {
	f, err := os.OpenFile(filepath.Join(dir, "words.txt"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("cannot generate text: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("cannot generate text: %w", cerr)
		}
	}()
	vocab := newVocabulary(int(v.Int("vocabulary")), v.Float("exponent"))
	total := dataBytes(v)
	meter := g.Meter(total)
	g.Memory = units.Bytes(max(1, g.Budget()-vocabularyBytes(v.Int("vocabulary"))))
	workers := g.Workers(textBlock)
	bufs := make([][]byte, workers)
	return workloads.Each(ctx, workers, (total+textBlock-1)/textBlock, func(w int, i int64) error {
		if bufs[w] == nil {
			bufs[w] = make([]byte, textBlock+slotBytes)
		}
		from := i * textBlock
		text := bufs[w][:min(textBlock, total-from)+slotBytes]
		text = fill(text, vocab, mix(uint64(v.Int("seed"))*golden+uint64(i)))
		if _, err := f.WriteAt(text, from); err != nil {
			return fmt.Errorf("cannot generate text at byte %d of %d: %w", from, total, err)
		}
		meter.Add(int64(len(text)))
		return nil
	})
}

// fill writes words to buf, ten a line and the last slotBytes excepted, and
// returns what it filled. Words are never cut: what the last word leaves over
// becomes spaces, and the last byte ends the line.
func fill(buf []byte, vocab *vocabulary, state uint64) []byte {
	end := len(buf) - slotBytes
	at, inLine := 0, 0
	for {
		state += golden
		slot := vocab.draw(mix(state))
		length := int(slot[slotBytes-1])
		if at+length+1 > end {
			break
		}
		// The slot holds the word, the space behind it and rubbish that the
		// next word covers.
		binary.LittleEndian.PutUint64(buf[at:], binary.LittleEndian.Uint64(slot))
		binary.LittleEndian.PutUint64(buf[at+8:], binary.LittleEndian.Uint64(slot[8:]))
		at += length + 1
		if inLine++; inLine == wordsPerLine {
			buf[at-1] = '\n'
			inLine = 0
		}
	}
	for i := at; i < end; i++ {
		buf[i] = ' '
	}
	buf[end-1] = '\n'
	return buf[:end]
}
