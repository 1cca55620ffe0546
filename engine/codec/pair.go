package codec

import (
	"reflect"
	"strings"
	"unsafe"
)

// Pair is a keyed record, the row of aggregations and joins.
type Pair[K, V any] struct {
	Key   K
	Value V
}

// KeyLeads reports whether rows of T are plain pairs with a key of eight
// bytes that stands for a whole number: [Lead] then reads it.
func KeyLeads[T any]() bool {
	t, pair := reflect.TypeFor[T](), reflect.TypeFor[Pair[int, int]]()
	if t.PkgPath() != pair.PkgPath() || !strings.HasPrefix(t.Name(), "Pair[") || !IsPlain[T]() {
		return false
	}
	switch t.Field(0).Type.Kind() {
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return t.Field(0).Type.Size() == 8 && !isCustom(t.Field(0).Type)
	}
	return false
}

// Lead returns the first eight bytes of a row for which [KeyLeads] holds.
func Lead[T any](row *T) int64 { return *(*int64)(unsafe.Pointer(row)) }
