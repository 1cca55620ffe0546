package codec

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"sync"
	"unsafe"
)

// Key orders and hashes keys of type K. Its functions keep nothing and may be
// called by several goroutines at once.
//
// The order is that of the type: numbers by value, with −0 equal to 0 and NaN
// equal to itself and above everything (as in Spark); strings and byte
// arrays by bytes; false before true; arrays and structs by their parts, in
// order, without blank fields. Keys that compare equal have one hash, and the
// other way round none is promised.
type Key[K any] struct {
	// Prefix maps a key to a word whose unsigned order never contradicts
	// Compare: a smaller prefix means a smaller key.
	Prefix func(K) uint64
	// Compare returns a negative number, zero or a positive number as a
	// stands before, with or behind b.
	Compare func(a, b K) int
	// Exact says that equal prefixes mean equal keys.
	Exact bool
	// Hash is stable: the same on every machine, in every process.
	Hash func(K) uint64
	// Prefixes and Hashes do a batch of as many keys as dst is long.
	Prefixes func(dst []uint64, keys []K)
	Hashes   func(dst []uint64, keys Column)
	// Binary is the form in which hash tables hold and compare keys.
	Binary Binary[K]
}

// Column is where keys lie in memory: the first at First, the next Stride bytes
// on. It lets the keys of pairs be read and written in their place.
type Column struct {
	First  unsafe.Pointer
	Stride uintptr
}

// ColumnOf returns where the keys of a slice lie.
func ColumnOf[K any](keys []K) Column {
	var zero K
	return Column{unsafe.Pointer(unsafe.SliceData(keys)), unsafe.Sizeof(zero)}
}

// KeyColumn returns where the keys of pairs lie, of which there is at least one.
func KeyColumn[K, V any](pairs []Pair[K, V]) Column {
	return Column{unsafe.Pointer(&pairs[0].Key), unsafe.Sizeof(pairs[0])}
}

func (c Column) at(i int) unsafe.Pointer { return unsafe.Add(c.First, uintptr(i)*c.Stride) }

// Two is the form of keys of more than a word and at most two.
type Two struct{ A, B uint64 }

// Binary is the canonical form of keys: two keys are equal exactly when their
// forms are. A key type has one of three forms: a word, two words, or a text.
// The functions of the other two are nil.
type Binary[K any] struct {
	Word bool // the form is a word
	Two  bool // the form is two words
	// Direct says that a key's memory, eight or sixteen bytes, is its form.
	Direct bool
	// Words and FromWords convert as many keys as the slice is long.
	Words     func(dst []uint64, keys Column)
	FromWords func(dst Column, words []uint64)
	// Twos and FromTwos are the same for two words.
	Twos     func(dst []Two, keys Column)
	FromTwos func(dst Column, twos []Two)
	// Texts fills dst with views into the keys' own memory, or into scratch,
	// which it empties, grows and returns: valid until either changes.
	Texts func(dst []string, keys Column, scratch []byte) []byte
	// FromTexts makes keys of their texts; they may be views into them. The
	// texts must come from Texts.
	FromTexts func(dst Column, texts []string)
}

var keys sync.Map // reflect.Type → Key[K]

// KeyOf returns the order of K, which must be made of numbers, booleans,
// strings, []byte, and arrays and structs of those. The error names the part
// that has no order. Meant for graph building.
func KeyOf[K any]() (Key[K], error) {
	t := reflect.TypeFor[K]()
	if k, ok := keys.Load(t); ok {
		return k.(Key[K]), nil
	}
	k, err := buildKey[K](t)
	if err != nil {
		return k, err
	}
	keys.Store(t, k)
	return k, nil
}

func buildKey[K any](t reflect.Type) (Key[K], error) {
	switch t.Kind() {
	case reflect.Int64:
		return intKey[K, int64](), nil
	case reflect.Int:
		return intKey[K, int](), nil
	case reflect.Int32:
		return intKey[K, int32](), nil
	case reflect.Int16:
		return intKey[K, int16](), nil
	case reflect.Int8:
		return intKey[K, int8](), nil
	case reflect.Uint64:
		return uintKey[K, uint64](), nil
	case reflect.Uint:
		return uintKey[K, uint](), nil
	case reflect.Uintptr:
		return uintKey[K, uintptr](), nil
	case reflect.Uint32:
		return uintKey[K, uint32](), nil
	case reflect.Uint16:
		return uintKey[K, uint16](), nil
	case reflect.Uint8, reflect.Bool:
		return uintKey[K, uint8](), nil
	case reflect.Float64, reflect.Float32:
		return floatKey[K](t), nil
	case reflect.String:
		return textKey[K](false), nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return textKey[K](true), nil
		}
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && t.Len() > 0 {
			return byteArrayKey[K](t.Len()), nil
		}
	}
	return compositeKey[K](t)
}

// as sees a value of K, whose memory is laid out as a T, as that T.
func as[T, K any](k K) T { return *(*T)(unsafe.Pointer(&k)) }

// asSlice sees a slice of K likewise.
func asSlice[T, K any](k []K) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(k))), len(k))
}

// wordKey completes a key whose form is a word, given the word of one. It is
// not inlined: the compiler would copy its functions with their calls.
//
//go:noinline
func wordKey[K any](k Key[K], words func([]uint64, Column), from func(Column, []uint64)) Key[K] {
	k.Binary = Binary[K]{Word: true, Words: words, FromWords: from}
	k.Hashes = func(dst []uint64, keys Column) {
		words(dst, keys)
		for i, w := range dst {
			dst[i] = HashWord(w)
		}
	}
	return k
}

// integerKey completes a key of integers.
func integerKey[I int8 | int16 | int32 | int64 | int | uint8 | uint16 | uint32 | uint64 | uint | uintptr, K any](k Key[K]) Key[K] {
	k = wordKey(k, func(dst []uint64, keys Column) {
		for i := range dst {
			dst[i] = uint64(*(*I)(keys.at(i)))
		}
	}, func(dst Column, words []uint64) {
		for i, w := range words {
			*(*I)(dst.at(i)) = I(w)
		}
	})
	k.Binary.Direct = unsafe.Sizeof(I(0)) == 8
	return k
}

func intKey[K any, I int8 | int16 | int32 | int64 | int]() Key[K] {
	shift := 64 - 8*int(unsafe.Sizeof(I(0)))
	order := func(v I) uint64 { return uint64(int64(v))<<shift ^ 1<<63 }
	return integerKey[I](Key[K]{
		Exact:   true,
		Prefix:  func(k K) uint64 { return order(as[I](k)) },
		Compare: func(a, b K) int { return cmp.Compare(as[I](a), as[I](b)) },
		Hash:    func(k K) uint64 { return HashWord(uint64(as[I](k))) },
		Prefixes: func(dst []uint64, keys []K) {
			for i, v := range asSlice[I](keys) {
				dst[i] = uint64(int64(v))<<shift ^ 1<<63
			}
		},
	})
}

func uintKey[K any, I uint8 | uint16 | uint32 | uint64 | uint | uintptr]() Key[K] {
	shift := 64 - 8*int(unsafe.Sizeof(I(0)))
	return integerKey[I](Key[K]{
		Exact:   true,
		Prefix:  func(k K) uint64 { return uint64(as[I](k)) << shift },
		Compare: func(a, b K) int { return cmp.Compare(as[I](a), as[I](b)) },
		Hash:    func(k K) uint64 { return HashWord(uint64(as[I](k))) },
		Prefixes: func(dst []uint64, keys []K) {
			for i, v := range asSlice[I](keys) {
				dst[i] = uint64(v) << shift
			}
		},
	})
}

// canonical makes equal floats equal bits: one zero and one NaN.
func canonical(v float64) uint64 {
	switch {
	case v == 0:
		return 0
	case v != v:
		return math.Float64bits(math.NaN()) &^ (1 << 63)
	}
	return math.Float64bits(v)
}

// orderFloat maps canonical bits to an ordered word.
func orderFloat(b uint64) uint64 {
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

func compareFloat(a, b float64) int {
	return cmp.Compare(orderFloat(canonical(a)), orderFloat(canonical(b)))
}

func floatKey[K any](t reflect.Type) Key[K] {
	single := t.Kind() == reflect.Float32
	value := func(k K) float64 { return floatAt(unsafe.Pointer(&k), single) }
	return wordKey(Key[K]{
		Exact:   true,
		Prefix:  func(k K) uint64 { return orderFloat(canonical(value(k))) },
		Compare: func(a, b K) int { return compareFloat(value(a), value(b)) },
		Hash:    func(k K) uint64 { return HashWord(canonical(value(k))) },
		Prefixes: func(dst []uint64, keys []K) {
			for i, k := range keys {
				dst[i] = orderFloat(canonical(value(k)))
			}
		},
	}, func(dst []uint64, keys Column) {
		for i := range dst {
			dst[i] = canonical(floatAt(keys.at(i), single))
		}
	}, func(dst Column, words []uint64) {
		for i, w := range words {
			putFloatAt(dst.at(i), math.Float64frombits(w), single)
		}
	})
}

// floatAt returns the float at p, single or double.
func floatAt(p unsafe.Pointer, single bool) float64 {
	if single {
		return float64(*(*float32)(p))
	}
	return *(*float64)(p)
}

func putFloatAt(p unsafe.Pointer, v float64, single bool) {
	if single {
		*(*float32)(p) = float32(v)
	} else {
		*(*float64)(p) = v
	}
}

// textPrefix returns the first eight bytes, big endian, zeros behind.
func textPrefix(s string) uint64 {
	if len(s) > ShortText {
		s = s[:8]
	}
	a, _ := loadShort(s)
	return bits.ReverseBytes64(a)
}

// textKey is the key of strings, and of byte slices.
func textKey[K any](slice bool) Key[K] {
	text := func(k K) string { return textAt(unsafe.Pointer(&k), slice) }
	return Key[K]{
		Prefix:  func(k K) uint64 { return textPrefix(text(k)) },
		Compare: func(a, b K) int { return cmp.Compare(text(a), text(b)) },
		Hash:    func(k K) uint64 { return HashText(text(k)) },
		Prefixes: func(dst []uint64, keys []K) {
			for i := range keys {
				dst[i] = textPrefix(text(keys[i]))
			}
		},
		Hashes: func(dst []uint64, keys Column) {
			for i := range dst {
				dst[i] = HashText(textAt(keys.at(i), slice))
			}
		},
		Binary: Binary[K]{
			Texts: func(dst []string, keys Column, scratch []byte) []byte {
				for i := range dst {
					dst[i] = textAt(keys.at(i), slice)
				}
				return scratch
			},
			FromTexts: func(dst Column, texts []string) {
				for i, s := range texts {
					putTextAt(dst.at(i), s, slice)
				}
			},
		},
	}
}

// textAt returns the string at p, or the []byte there as one.
func textAt(p unsafe.Pointer, slice bool) string {
	if slice {
		return text(*(*[]byte)(p))
	}
	return *(*string)(p)
}

// putTextAt stores a view of s at p, where a string or a []byte is.
func putTextAt(p unsafe.Pointer, s string, slice bool) {
	if slice {
		*(*[]byte)(p) = unsafe.Slice(unsafe.StringData(s), len(s))
	} else {
		*(*string)(p) = s
	}
}

// keyBytes sees the memory of a plain key as a text.
func keyBytes[K any](k *K, n int) string {
	return unsafe.String((*byte)(unsafe.Pointer(k)), n)
}

func byteArrayKey[K any](n int) Key[K] {
	k := Key[K]{
		Exact:   n <= 8,
		Prefix:  func(k K) uint64 { return textPrefix(keyBytes(&k, n)) },
		Compare: func(a, b K) int { return cmp.Compare(keyBytes(&a, n), keyBytes(&b, n)) },
		Prefixes: func(dst []uint64, keys []K) {
			for i := range keys {
				dst[i] = textPrefix(keyBytes(&keys[i], n))
			}
		},
	}
	if n <= 16 {
		return memoryKey(k, &memoryForm{size: uintptr(n), mask: Two{^uint64(0), ^uint64(0)}})
	}
	return rawKey(k, n)
}

// rawKey completes a key whose memory, n bytes, is its text.
func rawKey[K any](k Key[K], n int) Key[K] {
	k.Hash = func(k K) uint64 { return HashText(keyBytes(&k, n)) }
	k.Hashes = func(dst []uint64, keys Column) {
		for i := range dst {
			dst[i] = HashText(unsafe.String((*byte)(keys.at(i)), n))
		}
	}
	k.Binary = Binary[K]{
		Texts: func(dst []string, keys Column, scratch []byte) []byte {
			for i := range dst {
				dst[i] = unsafe.String((*byte)(keys.at(i)), n)
			}
			return scratch
		},
		FromTexts: func(dst Column, texts []string) {
			for i, s := range texts {
				copy(rawBytes(dst.at(i), uintptr(n)), s)
			}
		},
	}
	return k
}

func noOrder(root reflect.Type, path string, k reflect.Kind) error {
	return fmt.Errorf("%v cannot be a key: %s is a %s (keys are numbers, booleans, strings, byte slices, and arrays and structs of those)", root, path, k)
}
