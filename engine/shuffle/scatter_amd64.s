//go:build amd64 && !race && !purego

#include "textflag.h"

// chunkState: base at 0, off at 8, end at 12, 32 bytes in all.

// func scatter16(chunks *chunkState, parts *int32, rows unsafe.Pointer, n, reducers int) (done int)
TEXT ·scatter16(SB), NOSPLIT, $0-48
	MOVQ chunks+0(FP), DI
	MOVQ parts+8(FP), SI
	MOVQ rows+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ reducers+32(FP), BX
	XORQ AX, AX

row:
	CMPQ    AX, CX
	JGE     end
	MOVLQSX (SI)(AX*4), R8
	CMPQ    R8, BX       // unsigned: the Go side panics where it is not below
	JCC     end
	SHLQ    $5, R8
	ADDQ    DI, R8       // the reducer's chunk
	MOVL    8(R8), R9    // off
	LEAL    16(R9), R10
	CMPL    R10, 12(R8)  // end
	JHI     end
	ADDQ    (R8), R9
	MOVOU   (DX), X0
	MOVOU   X0, (R9)
	BYTE    $0x41; BYTE $0x0F; BYTE $0x0D; BYTE $0x89; LONG $128 // PREFETCHW 128(R9)
	MOVL    R10, 8(R8)
	ADDQ    $16, DX
	INCQ    AX
	JMP     row

end:
	MOVQ AX, done+40(FP)
	RET
