/* Putting an instruction set's kernels into the tables: those entries that are there and that the processor can run. */
#ifndef MOTE_KERNEL_TABLE_ENTRIES_H
#define MOTE_KERNEL_TABLE_ENTRIES_H

#include "kernel/kernels.h"

static inline bool kernel_runs(uint32_t features, uint32_t needs)
{
    return (needs & ~features) == 0;
}

/* Entries by quant_type. */
static inline void put_matmul(const matmul_kernel **slots, const matmul_kernel *kernels, uint32_t features)
{
    for (size_t type = 0; type < KERNEL_FORMATS; type++)
        if (kernels[type].run != NULL && kernel_runs(features, kernels[type].needs))
            slots[type] = &kernels[type];
}

/* Entries by kv_type. */
static inline void put_attention(attention_kernels *slots, const key_kernel *keys, const value_kernel *values,
                                 uint32_t features)
{
    for (size_t type = 0; type < KV_TYPE_COUNT; type++) {
        if (keys[type].score != NULL && kernel_runs(features, keys[type].needs))
            slots->keys[type] = &keys[type];
        if (values[type].mix != NULL && kernel_runs(features, values[type].needs))
            slots->values[type] = &values[type];
    }
}

#endif
