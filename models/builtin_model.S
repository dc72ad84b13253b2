/* The built-in model: the bytes of a GGUF file, as constants of the library.
 *
 * The build names the file in MOTE_BUILTIN_MODEL; CMakeLists.txt packs it first. Nothing is copied at run time: the pages
 * are the program's own, read from disk when first touched and shared between processes. 64 bytes is a cache line and more
 * than GGUF's own alignment of 32, so weights lie in memory as in a mapped file. */
    .section .rodata
    .balign 64
    .globl mote_builtin_model_begin
    .hidden mote_builtin_model_begin
    .type mote_builtin_model_begin, %object
mote_builtin_model_begin:
    .incbin MOTE_BUILTIN_MODEL
    .size mote_builtin_model_begin, . - mote_builtin_model_begin

    .globl mote_builtin_model_end
    .hidden mote_builtin_model_end
    .type mote_builtin_model_end, %object
mote_builtin_model_end:
    .byte 0
    .size mote_builtin_model_end, 1

    .section .note.GNU-stack, "", %progbits
