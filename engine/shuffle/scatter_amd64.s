//go:build amd64 && !race && !purego

#include "textflag.h"

// chunkState: base at 0, off at 8, end at 12, 32 bytes in all.

// func moveAhead(chunks *chunkState, parts *int32, rows unsafe.Pointer, n, reducers, size int) (done int)
TEXT ·moveAhead(SB), NOSPLIT, $0-56
	MOVQ chunks+0(FP), DI
	MOVQ parts+8(FP), SI
	MOVQ rows+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ reducers+32(FP), BX
	MOVQ size+40(FP), R11
	MOVQ CX, R12
	IMULQ R11, R12         // to the rows of the next batch, if they follow
	XORQ AX, AX

row:
	CMPQ    AX, CX
	JGE     end
	MOVLQSX (SI)(AX*4), R8
	CMPQ    R8, BX         // unsigned: the Go side panics where it is not below
	JCC     end
	SHLQ    $5, R8
	ADDQ    DI, R8         // the reducer's chunk
	MOVL    8(R8), R9      // off
	LEAL    (R9)(R11*1), R10
	CMPL    R10, 12(R8)    // end
	JHI     end
	ADDQ    (R8), R9
	MOVOU   (DX), X0
	MOVOU   -16(DX)(R11*1), X1 // the last 16 bytes, which may overlap the first
	MOVOU   X0, (R9)
	MOVOU   X1, -16(R9)(R11*1)
	BYTE    $0x41; BYTE $0x0F; BYTE $0x0D; BYTE $0x89; LONG $128 // PREFETCHW 128(R9)
	MOVL    R10, 8(R8)
	PREFETCHT0 (DX)(R12*1)
	ADDQ    R11, DX
	INCQ    AX
	JMP     row

end:
	MOVQ AX, done+48(FP)
	RET
