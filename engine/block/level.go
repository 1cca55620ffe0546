package block

// Level says where a persisted partition may live (Spark's StorageLevel). A
// set of bits: the zero value is LevelNone, not persisted.
type Level uint8

// Bits of a level.
const (
	UseDisk Level = 1 << iota
	UseMemory
	UseOffHeap
	Deserialized
)

// The named levels. Cached partitions always live as encoded pages off the
// Go heap, so Deserialized and OffHeap only keep Spark's names apart.
const (
	LevelNone        Level = 0
	DiskOnly               = UseDisk
	MemoryOnly             = UseMemory | Deserialized
	MemoryOnlySer          = UseMemory
	MemoryAndDisk          = UseMemory | UseDisk | Deserialized
	MemoryAndDiskSer       = UseMemory | UseDisk
	OffHeap                = UseMemory | UseDisk | UseOffHeap
)

// Disk reports whether the level may use disk.
func (l Level) Disk() bool { return l&UseDisk != 0 }

// Memory reports whether the level may use memory.
func (l Level) Memory() bool { return l&UseMemory != 0 }

// String returns Spark's name of the level.
func (l Level) String() string {
	switch l {
	case LevelNone:
		return "NONE"
	case DiskOnly:
		return "DISK_ONLY"
	case MemoryOnly:
		return "MEMORY_ONLY"
	case MemoryOnlySer:
		return "MEMORY_ONLY_SER"
	case MemoryAndDisk:
		return "MEMORY_AND_DISK"
	case MemoryAndDiskSer:
		return "MEMORY_AND_DISK_SER"
	case OffHeap:
		return "OFF_HEAP"
	}
	return "INVALID"
}
