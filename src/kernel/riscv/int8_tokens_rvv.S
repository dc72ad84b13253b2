/* Tokens to int8 with the vector extension of RISC-V: int8_tokens_store_rvv, of which int8_tokens.h says the meaning. A
 * block is 32 lanes of 32 bits: eight registers of 128 bits, or fewer wider ones.
 *
 *     a0  values                         a4  the token's index, × 4
 *     a1  blocks to go                   a5, a6  where its levels and its scale lie, moving
 *     a2  the tile's block               a7  bytes of the tile's block
 *     a3  width                          t5  a block's lanes, 32
 *     ft0  2⁻¹⁰⁰    ft1  127    ft2  zero    ft3  largest    ft4  factor    ft5  scale
 *     v8 … v15  values, then levels      v16 … v23  their sizes, or their halves     v0  sums */

    .text
    .globl int8_tokens_store_rvv
    .hidden int8_tokens_store_rvv
    .type int8_tokens_store_rvv, @function
int8_tokens_store_rvv:
    .cfi_startproc
    srli a1, a1, 5
    slli a5, a4, 5
    add a5, a2, a5 /* levels[index] */
    slli t0, a3, 5
    slli a4, a4, 2
    add a6, a2, t0
    add a6, a6, a4 /* scale[index]; scaled_sum, offset and half follow at distances of 4 × width */
    slli a3, a3, 2
    slli t0, a3, 2
    slli a7, a3, 3
    add a7, a7, t0 /* 48 × width */
    li t5, 32
    li t0, 0x0d800000
    fmv.w.x ft0, t0
    li t0, 0x42fe0000
    fmv.w.x ft1, t0
    fmv.w.x ft2, zero
    beqz a1, 4f
1:
    vsetvli zero, t5, e32, m8, ta, ma
    vle32.v v8, (a0)
    /* Without its sign, a float is ordered as an integer is; a NaN and an infinity are above every number. */
    vadd.vv v16, v8, v8
    vsrl.vi v16, v16, 1
    vmv.s.x v0, zero
    vredmaxu.vs v0, v16, v0
    vmv.x.s t0, v0
    fmv.w.x ft3, t0
    li t1, 0x7f800000
    fmv.s ft4, ft2
    fmv.s ft5, ft2
    bge t0, t1, 3f
    flt.s t1, ft3, ft0
    bnez t1, 2f
    fdiv.s ft4, ft1, ft3
    fdiv.s ft5, ft3, ft1
2:
    vfmul.vf v8, v8, ft4
    vfcvt.x.f.v v8, v8
    vsetvli zero, t5, e16, m4, ta, ma
    vnsrl.wi v16, v8, 0
    vsetvli zero, t5, e8, m2, ta, ma
    vnsrl.wi v24, v16, 0
    vse8.v v24, (a5)
    vsetvli zero, t5, e16, m4, ta, ma
    vmv.s.x v0, zero
    vredsum.vs v0, v16, v0
    vmv.x.s t0, v0 /* all: within 32 × 127 */
    vsetivli zero, 16, e16, m4, ta, ma
    vmv.s.x v0, zero
    vredsum.vs v0, v16, v0
    vmv.x.s t1, v0 /* the first 16 */
    fcvt.s.w ft3, t0
    fmul.s ft3, ft3, ft5
    slli t0, t0, 3
    neg t0, t0
    slli t1, t1, 3
    neg t1, t1
    fsw ft5, (a6)
    add t2, a6, a3
    fsw ft3, (t2)
    add t2, t2, a3
    sw t0, (t2)
    add t2, t2, a3
    sw t1, (t2)
    addi a0, a0, 128
    add a5, a5, a7
    add a6, a6, a7
    addi a1, a1, -1
    bnez a1, 1b
    j 4f
3:  /* not finite: no levels, and a scale that is not a number */
    vmv.v.i v8, 0
    li t0, 0x7fc00000
    fmv.w.x ft5, t0
    j 2b
4:
    ret
    .cfi_endproc
    .size int8_tokens_store_rvv, . - int8_tokens_store_rvv

    .section .note.GNU-stack, "", @progbits
