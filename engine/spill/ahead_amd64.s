//go:build amd64 && !race && !purego

#include "textflag.h"

// func askFor(p unsafe.Pointer, ahead, bytes uintptr)
TEXT ·askFor(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), AX
	ADDQ ahead+8(FP), AX
	MOVQ bytes+16(FP), CX
	ADDQ AX, CX

line:
	PREFETCHT0 (AX)
	ADDQ       $64, AX
	CMPQ       AX, CX
	JCS        line
	RET
