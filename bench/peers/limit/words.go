package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"
	"strconv"
)

// wordTableBits is for a vocabulary that the program knows to be less than
// half of it.
const wordTableBits = 18

// shortWord is the longest word that a slot of the table holds.
const shortWord = 16

// word is a word of up to 16 bytes, padded with zeros.
type word struct{ low, high uint64 }

func (w word) slot() uint64 {
	return (w.low ^ bits.RotateLeft64(w.high*0xd6e8feb86659fd93, 32)) * 0x9e3779b97f4a7c15 >> (64 - wordTableBits)
}

type wordCount struct {
	word
	n uint64 // 0: the slot is free
}

// wordTable counts words of up to 16 bytes in open addressing, and the few
// longer ones in a map.
type wordTable struct {
	slots []wordCount
	long  map[string]uint64
}

func newWordTable() *wordTable {
	return &wordTable{slots: slab[wordCount](1 << wordTableBits), long: map[string]uint64{}}
}

func (t *wordTable) add(w word, slot, n uint64) {
	slots := t.slots[: 1<<wordTableBits : 1<<wordTableBits]
	for {
		s := &slots[slot%(1<<wordTableBits)]
		if s.word == w {
			s.n += n
			return
		}
		if s.n == 0 {
			*s = wordCount{w, n}
			return
		}
		slot++
	}
}

// countWords counts the words of a file: each thread reads its half a piece
// at a time, small enough to stay in the second cache between the system's
// copy and the look at it; then the tables are added up and written.
func countWords(in, out string) error {
	f, err := os.Open(in)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var tables [threads]*wordTable
	err = bothTry(func(t int) error {
		from, to := share(int(info.Size()), t)
		tables[t] = newWordTable()
		first, err := wordBegin(f, int64(from), info.Size())
		if err != nil {
			return err
		}
		last, err := wordBegin(f, int64(to), info.Size())
		if err != nil {
			return err
		}
		return tables[t].countFile(f, first, last)
	})
	if err != nil {
		return err
	}
	total := tables[0]
	for _, t := range tables[1:] {
		for _, s := range t.slots {
			if s.n > 0 {
				total.add(s.word, s.slot(), s.n)
			}
		}
		for w, n := range t.long {
			total.long[w] += n
		}
	}
	return total.write(out)
}

// pieceBytes is what is read at a time.
const pieceBytes = 128 << 10

// wordBegin returns the first place from at on where a word may begin.
func wordBegin(f *os.File, at, size int64) (int64, error) {
	for b := []byte{0}; at > 0 && at < size; at++ {
		if _, err := f.ReadAt(b, at-1); err != nil {
			return 0, err
		}
		if b[0] <= ' ' {
			break
		}
	}
	return at, nil
}

// countFile counts the words of [from, to), which cuts none.
func (t *wordTable) countFile(f *os.File, from, to int64) error {
	buffer := make([]byte, pieceBytes+slack)
	held := 0 // bytes of a word that the last piece cut
	for from < to {
		n := min(pieceBytes-held, int(to-from))
		if _, err := f.ReadAt(buffer[held:held+n], from); err != nil {
			return err
		}
		from += int64(n)
		text := held + n
		end := text
		if from == to {
			buffer[text] = ' ' // if nothing else ends the last word
			t.count(buffer, text+1)
			return nil
		}
		for end > 0 && buffer[end-1] > ' ' {
			end--
		}
		if end == 0 {
			return fmt.Errorf("a word has more than %d bytes", text)
		}
		t.count(buffer, end)
		held = copy(buffer, buffer[end:text])
	}
	return nil
}

const (
	bytes01 = 0x0101010101010101
	bytes80 = 0x8080808080808080
	// gather multiplied with the lowest bits of eight bytes brings them
	// together in the highest byte.
	gather = 0x0102040810204080
)

// blanks returns a bit for each of eight bytes that is a space or below.
func blanks(eight uint64) uint64 {
	// Adding 0x5f to seven bits carries into the eighth from 0x21 on.
	above := (eight&^bytes80 + 0x5f*bytes01) | eight
	return (^above & bytes80 >> 7) * gather >> 56
}

// lowest[n] keeps the lowest n bytes of a word.
var lowest = func() (m [shortWord + 1]uint64) {
	for n := range m {
		m[n] = ^uint64(0)
		if n < 8 {
			m[n] = 1<<(8*n) - 1
		}
	}
	return m
}()

// count counts the words of text[:end], the last of which ends there. It
// marks the blanks of 64 bytes at a time and collects words, so that neither
// their lengths are branches to guess nor a miss of the table waits for the
// one before.
func (t *wordTable) count(text []byte, end int) {
	type found struct {
		word
		slot uint64
	}
	var batch [256]found
	held, start := 0, 0
	slots := t.slots[: 1<<wordTableBits : 1<<wordTableBits]
	for at := 0; at < end; at += 64 {
		block := text[at : at+64 : at+64]
		var marks uint64
		for i := 0; i < 64; i += 8 {
			marks |= blanks(binary.LittleEndian.Uint64(block[i:])) << i
		}
		if end-at < 64 {
			marks &= 1<<(end-at) - 1
		}
		for ; marks != 0; marks &= marks - 1 {
			stop := at + bits.TrailingZeros64(marks)
			n := stop - start
			if n > shortWord {
				t.long[string(text[start:stop])]++
				start = stop + 1
				continue
			}
			b := text[start : start+16 : start+16]
			w := word{binary.LittleEndian.Uint64(b) & lowest[n], binary.LittleEndian.Uint64(b[8:]) & lowest[max(n-8, 0)]}
			batch[held%len(batch)] = found{w, w.slot()}
			if n > 0 {
				held++
			}
			start = stop + 1
		}
		if held > len(batch)-64 || at+64 >= end {
			for i := range batch[:held] {
				w := &batch[i]
				if s := &slots[w.slot%(1<<wordTableBits)]; s.word == w.word {
					s.n++
				} else {
					t.add(w.word, w.slot, 1)
				}
			}
			held = 0
		}
	}
}

// write writes a line for each word: the word, a tab, its count.
func (t *wordTable) write(out string) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	line := make([]byte, 0, 64)
	for i := range t.slots {
		s := &t.slots[i]
		if s.n == 0 {
			continue
		}
		line = binary.LittleEndian.AppendUint64(line[:0], s.low)
		line = binary.LittleEndian.AppendUint64(line, s.high)
		n := shortWord
		for line[n-1] == 0 {
			n--
		}
		line = strconv.AppendUint(append(line[:n], '\t'), s.n, 10)
		w.Write(append(line, '\n')) // Flush says what failed
	}
	for long, n := range t.long {
		w.WriteString(long + "\t" + strconv.FormatUint(n, 10) + "\n")
	}
	err = w.Flush()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
