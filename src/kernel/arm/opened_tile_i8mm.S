/* Opened blocks times four tokens with `smmla`, for formats that have one scale for each block and no minimum: what panels_i8mm.c
 * does, to the same bit, with less between the products. Here four registers of zeros or of tokens are loaded by one
 * instruction to where they are needed, as compilers do not, and pointers move with the loads.
 *
 *     void opened_tile_i8mm(opened, count, x, width, first, begins, sums)         an arm_opened of four tokens
 *
 * Eight rows of all blocks, then the other eight. Eight rows of a block:
 *
 *     int8 levels[pair of rows 2][columns 8k … 8k + 7: 4][row 2][column 8] · scales[row 4][2], again for the next four rows,
 *     and 320 bytes on the next
 *
 *     x0  opened                      x1  blocks to go                 v0 … v3    weights
 *     x2  tokens' levels              x3  their scales                 v8 … v15   tokens, a pair in four registers
 *     x6  sums                        x7  zeros                        v16 … v23  sums, of a pair of tokens and of the other
 *     x12 to the next block's tokens  x13 … and their scales           v24 … v31  dots, likewise
 *     x14 over a row group's scales   x15 to the next block's weights  v0 … v7    scales, and their products */

    .section .rodata
    .balign 64
no_dots:
    .zero 64

    .text

/* A pair of rows with both pairs of tokens. */
.macro dots a, b
    smmla v\a\().4s, v0.16b, v8.16b
    smmla v\b\().4s, v0.16b, v12.16b
    smmla v\a\().4s, v1.16b, v9.16b
    smmla v\b\().4s, v1.16b, v13.16b
    smmla v\a\().4s, v2.16b, v10.16b
    smmla v\b\().4s, v2.16b, v14.16b
    smmla v\a\().4s, v3.16b, v11.16b
    smmla v\b\().4s, v3.16b, v15.16b
.endm

/* What the dots of a pair of rows and a pair of tokens are to their sums. */
.macro scaled sum, dots, rows, tokens, product
    scvtf v\dots\().4s, v\dots\().4s
    fmul v\product\().4s, v\rows\().4s, v\tokens\().4s
    fmla v\sum\().4s, v\product\().4s, v\dots\().4s
.endm

.macro block
    ld4 {v8.2d-v11.2d}, [x2], #64
    ld4 {v12.2d-v15.2d}, [x2], x12
    ld1 {v24.16b-v27.16b}, [x7]
    ld1 {v28.16b-v31.16b}, [x7]
    ld1 {v0.16b-v3.16b}, [x0], #64
    dots 24, 28
    ld1 {v0.16b-v3.16b}, [x0], x14
    dots 25, 29
    ld1 {v0.16b-v3.16b}, [x0], #64
    dots 26, 30
    ld1 {v0.16b-v3.16b}, [x0], x15
    dots 27, 31
    ld2r {v4.2d, v5.2d}, [x3], x13
    ldp q0, q1, [x0, #-512]
    ldp q2, q3, [x0, #-352]
    scaled 16, 24, 0, 4, 6
    scaled 20, 28, 0, 5, 7
    scaled 17, 25, 1, 4, 6
    scaled 21, 29, 1, 5, 7
    scaled 18, 26, 2, 4, 6
    scaled 22, 30, 2, 5, 7
    scaled 19, 27, 3, 4, 6
    scaled 23, 31, 3, 5, 7
.endm

/* Sums of eight rows with a pair of tokens, side by side in registers and apart in memory. */
.macro load_pair at, a, b, c, d
    ldp q0, q1, [x6, #\at]
    ldp q2, q3, [x6, #\at + 64]
    zip1 v\a\().4s, v0.4s, v2.4s
    zip2 v\b\().4s, v0.4s, v2.4s
    zip1 v\c\().4s, v1.4s, v3.4s
    zip2 v\d\().4s, v1.4s, v3.4s
.endm

.macro store_pair at, a, b, c, d
    uzp1 v0.4s, v\a\().4s, v\b\().4s
    uzp1 v1.4s, v\c\().4s, v\d\().4s
    uzp2 v2.4s, v\a\().4s, v\b\().4s
    uzp2 v3.4s, v\c\().4s, v\d\().4s
    stp q0, q1, [x6, #\at]
    stp q2, q3, [x6, #\at + 64]
.endm

/* Eight rows, from `row` on. */
.macro eight_rows row
    add x0, x8, #\row * 40
    mov x1, x9
    mov x2, x10
    mov x3, x11
    tbnz w5, #0, 1f
    load_pair \row * 4, 16, 17, 18, 19
    load_pair \row * 4 + 128, 20, 21, 22, 23
    b 2f
1:
    .irp sum, v16.4s, v17.4s, v18.4s, v19.4s, v20.4s, v21.4s, v22.4s, v23.4s
    movi \sum, #0
    .endr
2:
    tbz x1, #0, 3f
    add x1, x1, #1
    b 4f
3:
    block
4:
    block
    subs x1, x1, #2
    b.ne 3b
    store_pair \row * 4, 16, 17, 18, 19
    store_pair \row * 4 + 128, 20, 21, 22, 23
.endm

    .globl opened_tile_i8mm
    .hidden opened_tile_i8mm
    .type opened_tile_i8mm, %function
opened_tile_i8mm:
    .cfi_startproc
    stp d8, d9, [sp, #-64]!
    .cfi_def_cfa_offset 64
    stp d10, d11, [sp, #16]
    stp d12, d13, [sp, #32]
    stp d14, d15, [sp, #48]
    mov x8, x0
    mov x9, x1
    add x10, x2, x4, lsl #5
    add x11, x2, x3, lsl #5
    add x11, x11, x4, lsl #2
    add x13, x3, x3, lsl #1
    lsl x13, x13, #4 /* 48 × width */
    sub x12, x13, #64
    mov x14, #96
    mov x15, #416
    adrp x7, no_dots
    add x7, x7, :lo12:no_dots
    eight_rows 0
    eight_rows 8
    ldp d10, d11, [sp, #16]
    ldp d12, d13, [sp, #32]
    ldp d14, d15, [sp, #48]
    ldp d8, d9, [sp], #64
    .cfi_def_cfa_offset 0
    ret
    .cfi_endproc
    .size opened_tile_i8mm, . - opened_tile_i8mm

    .section .note.GNU-stack, "", %progbits
