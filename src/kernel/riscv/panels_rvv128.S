/* The products of panels_rvv.inc for vector registers of 128 bits. */
#define PANELS_NAME panel_rvv128_
#define GROUP_8 m1
#define GROUP_16 m2
#define GROUP_32 m4
#include "kernel/riscv/panels_rvv.inc"
