/* The entries for RISC-V processors. */
#ifndef MOTE_KERNEL_RISCV_RISCV_KERNELS_H
#define MOTE_KERNEL_RISCV_RISCV_KERNELS_H

#include "kernel/kernels.h"

extern const matmul_kernel panels_rvv[KERNEL_FORMATS]; /* by quant_type; those without an entry are empty */
int8_tokens_store int8_tokens_store_rvv;

/* Overwrites what a processor with these CPU_… flags does better. */
void kernel_riscv_init(kernel_table *table, uint32_t features);

#endif
