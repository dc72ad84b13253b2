/* The entries for x86-64 processors. */
#ifndef MOTE_KERNEL_X86_X86_KERNELS_H
#define MOTE_KERNEL_X86_X86_KERNELS_H

#include "kernel/kernels.h"
#include "kernel/machine_probe.h"

extern const matmul_kernel matmul_decoded_avx2;
extern const matmul_kernel matmul_decoded_avx512;

/* By quant_type; other formats than F32, F16 and BF16 have empty entries. */
extern const matmul_kernel matmul_float_avx2[KERNEL_FORMATS];
extern const matmul_kernel matmul_float_avx512[KERNEL_FORMATS];
extern const matmul_kernel matmul_float_avx512bf16; /* for BF16 */

/* By quant_type; formats that are not packed have empty entries. */
extern const matmul_kernel panels_avx2[KERNEL_FORMATS];
extern const matmul_kernel panels_avxvnni[KERNEL_FORMATS];
extern const matmul_kernel panels_avx512vnni[KERNEL_FORMATS];

int8_tokens_store int8_tokens_store_avx2;
int8_tokens_store int8_tokens_store_avx512;

/* By kv_type; those without an entry are empty. */
extern const key_kernel keys_avx2[KV_TYPE_COUNT];
extern const key_kernel keys_avx512[KV_TYPE_COUNT];
extern const value_kernel values_avx2[KV_TYPE_COUNT];
extern const value_kernel values_avx512[KV_TYPE_COUNT];
extern const key_kernel keys_int8_avx2[KV_TYPE_COUNT];
extern const key_kernel keys_int8_avxvnni[KV_TYPE_COUNT];
extern const key_kernel keys_int8_avx512vnni[KV_TYPE_COUNT];
extern const value_kernel values_int8_avx2[KV_TYPE_COUNT];
extern const value_kernel values_int8_avxvnni[KV_TYPE_COUNT];
extern const value_kernel values_int8_avx512vnni[KV_TYPE_COUNT];
extern const softmax_kernel softmax_avx2;
extern const softmax_kernel softmax_avx512;

extern const vector_kernels vectors_avx2;
extern const vector_kernels vectors_avx512;

extern const dot_probe dot_probe_avx2;
extern const dot_probe dot_probe_avxvnni;
extern const dot_probe dot_probe_avx512vnni;

/* Overwrites what a processor with these CPU_… flags does better. */
void kernel_x86_init(kernel_table *table, uint32_t features);

#endif
