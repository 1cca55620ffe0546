#include "textflag.h"

// func bestOfAVX2(p *float64, dim int, centres *float64) (best int, score float64)
//
// Y0 to Y3 are the sixteen scores. Products are rounded before they are added
// (no FMA), so that bestOfTile gives the same.
TEXT ·bestOfAVX2(SB), NOSPLIT, $0-40
	MOVQ p+0(FP), SI
	MOVQ dim+8(FP), CX
	MOVQ centres+16(FP), DX
	VMOVUPD (DX), Y0
	VMOVUPD 32(DX), Y1
	VMOVUPD 64(DX), Y2
	VMOVUPD 96(DX), Y3
	TESTQ CX, CX
	JZ largest

coordinate:
	ADDQ $128, DX
	VBROADCASTSD (SI), Y4
	VMULPD (DX), Y4, Y5
	VMULPD 32(DX), Y4, Y6
	VMULPD 64(DX), Y4, Y7
	VMULPD 96(DX), Y4, Y8
	VADDPD Y5, Y0, Y0
	VADDPD Y6, Y1, Y1
	VADDPD Y7, Y2, Y2
	VADDPD Y8, Y3, Y3
	ADDQ $8, SI
	DECQ CX
	JNZ coordinate

largest:
	// The largest of all, in every lane of Y4.
	VMAXPD Y1, Y0, Y4
	VMAXPD Y3, Y2, Y5
	VMAXPD Y5, Y4, Y4
	VPERM2F128 $1, Y4, Y4, Y5
	VMAXPD Y5, Y4, Y4
	VSHUFPD $5, Y4, Y4, Y5
	VMAXPD Y5, Y4, Y4

	// A bit for each score that equals it; the lowest is the first centre.
	VCMPPD $0, Y4, Y0, Y5
	VCMPPD $0, Y4, Y1, Y6
	VCMPPD $0, Y4, Y2, Y7
	VCMPPD $0, Y4, Y3, Y8
	VMOVMSKPD Y5, AX
	VMOVMSKPD Y6, BX
	VMOVMSKPD Y7, R8
	VMOVMSKPD Y8, R9
	SHLL $4, BX
	SHLL $8, R8
	SHLL $12, R9
	ORL BX, AX
	ORL R9, R8
	ORL R8, AX
	BSFL AX, AX
	MOVQ AX, best+24(FP)
	VMOVSD X4, score+32(FP)
	VZEROUPPER
	RET
