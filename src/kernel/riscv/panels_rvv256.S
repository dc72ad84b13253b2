/* The products of panels_rvv.inc for vector registers of 256 bits and more. */
#define PANELS_NAME panel_rvv256_
#define GROUP_8 mf2
#define GROUP_16 m1
#define GROUP_32 m2
#include "kernel/riscv/panels_rvv.inc"
