/* The entries for Arm processors, of 64 and of 32 bits. */
#ifndef MOTE_KERNEL_ARM_ARM_KERNELS_H
#define MOTE_KERNEL_ARM_ARM_KERNELS_H

#include "kernel/kernels.h"

/* By quant_type; those without an entry are empty. */
#if defined(__aarch64__)
extern const matmul_kernel matmul_decoded_neon; /* any format */
extern const matmul_kernel matmul_float_neon[KERNEL_FORMATS];
extern const key_kernel keys_neon[KV_TYPE_COUNT];
extern const value_kernel values_neon[KV_TYPE_COUNT];
extern const key_kernel keys_int8_dotprod[KV_TYPE_COUNT];
extern const value_kernel values_int8_dotprod[KV_TYPE_COUNT];
extern const softmax_kernel softmax_neon;
extern const vector_kernels vectors_neon;
extern const matmul_kernel panels_neon[KERNEL_FORMATS];
extern const matmul_kernel panels_dotprod[KERNEL_FORMATS];
extern const matmul_kernel panels_i8mm[KERNEL_FORMATS];
#else
extern const matmul_kernel panels_neon32[KERNEL_FORMATS];
#endif
extern const key_kernel keys_int8_neon[KV_TYPE_COUNT];
extern const value_kernel values_int8_neon[KV_TYPE_COUNT];
int8_tokens_store int8_tokens_store_neon;

/* Overwrites what a processor with these CPU_… flags does better. */
void kernel_arm_init(kernel_table *table, uint32_t features);

#endif
