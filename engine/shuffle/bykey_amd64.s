//go:build amd64 && !race && !purego

#include "textflag.h"

// func reducersOf(dst *int32, keys unsafe.Pointer, stride uintptr, n, reducers int)
TEXT ·reducersOf(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ keys+8(FP), BX
	MOVQ stride+16(FP), R10
	MOVQ n+24(FP), CX
	MOVQ reducers+32(FP), R9
	MOVQ $0x6a09e667f3bcc909, R11 // codec.HashWord
	MOVQ $0xbb67ae8584caa73b, R12
	MOVQ $0xa54ff53a5f1d36f1, R13
	MOVQ $0x9b05688c2b3e6c1f, R8
	LEAQ (DI)(CX*4), CX

row:
	CMPQ  DI, CX
	JCC   end
	MOVQ  (BX), AX
	MOVQ  AX, SI
	XORQ  R11, AX
	MULQ  R12
	XORQ  DX, AX
	XORQ  R13, AX
	XORQ  R8, SI
	MULQ  SI
	XORQ  DX, AX
	SHRQ  $32, AX // codec.Reducer
	IMULQ R9, AX
	SHRQ  $32, AX
	MOVL  AX, (DI)
	ADDQ  $4, DI
	ADDQ  R10, BX
	JMP   row

end:
	RET
