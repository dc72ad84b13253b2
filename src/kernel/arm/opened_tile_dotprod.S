/* Opened blocks times four tokens with `sdot`, for formats that have one scale for each block and no minimum: what
 * panels_dotprod.c does, to the same bit, with less between the products. Here four registers of zeros or of tokens are loaded
 * by one instruction to where they are needed, as compilers do not, and pointers move with the loads.
 *
 *     void opened_tile_dotprod(opened, count, x, width, first, begins, sums)      an arm_opened of four tokens
 *
 * Eight rows of all blocks, then the other eight. Eight rows of a block:
 *
 *     int8 levels[4k … 4k + 3: 8][row 4][column 4] · scales[row 4], again for the next four rows, and 288 bytes on the next
 *
 *     x0  opened                      x1  blocks to go                 v0 … v3    weights
 *     x2  tokens' levels              x3  their scales                 v8 … v15   tokens, two registers each
 *     x6  sums                        x7  zeros                        v16 … v23  sums, of four rows and of the other four
 *     x12 to the next block's tokens  x13 … and their scales           v24 … v31  dots, likewise
 *     x14 over a row group's scales   x15 to the next block's weights  v4 … v7    scales, and their products */

    .section .rodata
    .balign 64
no_dots:
    .zero 64

    .text

/* Four columns of four rows with four tokens; then sixteen. */
.macro dots_of k, s0, s1, s2, s3, t0, t1, t2, t3
    sdot v\s0\().4s, v\k\().16b, v\t0\().4b[\k]
    sdot v\s1\().4s, v\k\().16b, v\t1\().4b[\k]
    sdot v\s2\().4s, v\k\().16b, v\t2\().4b[\k]
    sdot v\s3\().4s, v\k\().16b, v\t3\().4b[\k]
.endm

.macro dots s0, s1, s2, s3, t0, t1, t2, t3
    dots_of 0, \s0, \s1, \s2, \s3, \t0, \t1, \t2, \t3
    dots_of 1, \s0, \s1, \s2, \s3, \t0, \t1, \t2, \t3
    dots_of 2, \s0, \s1, \s2, \s3, \t0, \t1, \t2, \t3
    dots_of 3, \s0, \s1, \s2, \s3, \t0, \t1, \t2, \t3
.endm

/* What the dots of a token are to the sums of four rows. */
.macro scaled sum, dots, rows, token, product
    scvtf v\dots\().4s, v\dots\().4s
    fmul v\product\().4s, v\rows\().4s, v4.s[\token]
    fmla v\sum\().4s, v\product\().4s, v\dots\().4s
.endm

.macro block
    ld1 {v8.16b-v11.16b}, [x2], #64
    ld1 {v12.16b-v15.16b}, [x2], x12
    ld1 {v24.16b-v27.16b}, [x7]
    ld1 {v28.16b-v31.16b}, [x7]
    ld1 {v0.16b-v3.16b}, [x0], #64
    dots 24, 25, 26, 27, 8, 10, 12, 14
    ld1 {v0.16b-v3.16b}, [x0], x14
    dots 24, 25, 26, 27, 9, 11, 13, 15
    ldur q5, [x0, #-16]
    ld1 {v0.16b-v3.16b}, [x0], #64
    dots 28, 29, 30, 31, 8, 10, 12, 14
    ldr q6, [x0, #64]
    ld1 {v0.16b-v3.16b}, [x0], x15
    dots 28, 29, 30, 31, 9, 11, 13, 15
    ld1 {v4.4s}, [x3], x13
    scaled 16, 24, 5, 0, 7
    scaled 17, 25, 5, 1, 0
    scaled 18, 26, 5, 2, 1
    scaled 19, 27, 5, 3, 2
    scaled 20, 28, 6, 0, 3
    scaled 21, 29, 6, 1, 7
    scaled 22, 30, 6, 2, 0
    scaled 23, 31, 6, 3, 1
.endm

/* Eight rows, from `row` on. */
.macro eight_rows row
    add x0, x8, #\row * 36
    mov x1, x9
    mov x2, x10
    mov x3, x11
    tbnz w5, #0, 1f
    ldp q16, q20, [x6, #\row * 4]
    ldp q17, q21, [x6, #\row * 4 + 64]
    ldp q18, q22, [x6, #\row * 4 + 128]
    ldp q19, q23, [x6, #\row * 4 + 192]
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
    stp q16, q20, [x6, #\row * 4]
    stp q17, q21, [x6, #\row * 4 + 64]
    stp q18, q22, [x6, #\row * 4 + 128]
    stp q19, q23, [x6, #\row * 4 + 192]
.endm

    .globl opened_tile_dotprod
    .hidden opened_tile_dotprod
    .type opened_tile_dotprod, %function
opened_tile_dotprod:
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
    mov x14, #80
    mov x15, #368
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
    .size opened_tile_dotprod, . - opened_tile_dotprod

    .section .note.GNU-stack, "", %progbits
