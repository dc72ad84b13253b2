/* The generic entries of every table. */
#ifndef MOTE_KERNEL_GENERIC_GENERIC_KERNELS_H
#define MOTE_KERNEL_GENERIC_GENERIC_KERNELS_H

#include "kernel/kernels.h"
#include "kernel/machine_probe.h"

extern const matmul_kernel matmul_generic;
extern const matmul_kernel panels_generic[KERNEL_FORMATS]; /* by quant_type; those without a layout are empty */
int8_tokens_store int8_tokens_store_generic;
extern const key_kernel keys_generic[KV_TYPE_COUNT];
extern const value_kernel values_generic[KV_TYPE_COUNT];
extern const key_kernel keys_int8_generic[KV_TYPE_COUNT]; /* of q8 and q4; those for floats are above */
extern const value_kernel values_int8_generic[KV_TYPE_COUNT];
extern const softmax_kernel softmax_generic;
extern const vector_kernels vectors_generic;
extern const dot_probe dot_probe_generic;

#endif
