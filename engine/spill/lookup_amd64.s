//go:build amd64 && !race && !purego

#include "textflag.h"

// func lookUpLines(list *Found, missed *uint32, slots unsafe.Pointer, buckets int, keys unsafe.Pointer, stride uintptr, rows int) (n int)
TEXT ·lookUpLines(SB), NOSPLIT, $0-64
	MOVQ list+0(FP), DI
	MOVQ missed+8(FP), SI
	MOVQ slots+16(FP), R8
	MOVQ buckets+24(FP), R9
	MOVQ keys+32(FP), BX
	MOVQ stride+40(FP), R10
	MOVQ $0x6a09e667f3bcc909, R11 // as in mixWord
	MOVQ $0xbb67ae8584caa73b, R12
	MOVQ rows+48(FP), R14
	IMULQ R10, R14                // to the rows of the next batch, if they follow
	XORQ R13, R13                 // how many are found
	XORQ R15, R15                 // number of the row

row:
	CMPQ R15, rows+48(FP)
	JGE  end

	// The bucket of the word.
	MOVQ         (BX), CX
	VPBROADCASTQ (BX), Y0
	MOVQ         CX, AX
	XORQ         R11, AX
	MULQ         R12
	XORL         DX, AX
	IMULQ        R9, AX
	SHRQ         $32, AX

	// DX: a bit for the slot that has it.
	SHLQ      $6, AX
	VPCMPEQQ  (R8)(AX*1), Y0, Y1   // slots 0 and 1, words and states
	VPCMPEQQ  32(R8)(AX*1), Y0, Y2 // slots 2 and 3
	VUNPCKLPD Y2, Y1, Y1           // words of 0, 2, 1, 3
	VPERMPD   $0xd8, Y1, Y1
	VMOVMSKPD Y1, DX
	TESTQ     CX, CX
	CMOVQEQ   CX, DX               // the word zero looks like a free slot

	// Written in any case, and kept by counting.
	SHRQ   $4, AX
	TZCNTL DX, CX
	ADDL   CX, AX
	MOVL   R15, (DI)(R13*8)
	MOVL   AX, 4(DI)(R13*8)
	MOVQ   R15, AX
	SUBQ   R13, AX
	MOVL   R15, (SI)(AX*4)
	NEGL   DX                      // carries if there was a bit
	ADCQ   $0, R13

	PREFETCHT0 (BX)(R14*1)
	ADDQ       R10, BX
	INCQ       R15
	JMP        row

end:
	VZEROUPPER
	MOVQ R13, n+56(FP)
	RET
