/* Puts the Arm kernels into the tables, in ascending order of instruction sets. */
#include "base/cpu_features.h"
#include "kernel/arm/arm_kernels.h"

static bool has(uint32_t features, uint32_t needs)
{
    return (needs & ~features) == 0;
}

/* Entries by quant_type, of which some are empty. */
static void put(const matmul_kernel **slots, const matmul_kernel *kernels, uint32_t features)
{
    for (size_t type = 0; type < KERNEL_FORMATS; type++)
        if (kernels[type].run != NULL && has(features, kernels[type].needs))
            slots[type] = &kernels[type];
}

/* Entries by kv_type, of which some are empty. */
static void put_attention(attention_kernels *slots, const key_kernel *keys, const value_kernel *values,
                          uint32_t features)
{
    for (size_t type = 0; type < KV_TYPE_COUNT; type++) {
        if (keys[type].score != NULL && has(features, keys[type].needs))
            slots->keys[type] = &keys[type];
        if (values[type].mix != NULL && has(features, values[type].needs))
            slots->values[type] = &values[type];
    }
}

#if defined(__aarch64__)

void kernel_arm_init(kernel_table *table, uint32_t features)
{
    put(table->panels, panels_neon, features);
    put(table->panels, panels_dotprod, features);
    put(table->panels, panels_i8mm, features);
    put(table->matmul, matmul_float_neon, features);
    if (!has(features, CPU_NEON))
        return;
    for (size_t type = 0; type < KERNEL_FORMATS; type++)
        if (table->matmul[type] != NULL && matmul_float_neon[type].run == NULL)
            table->matmul[type] = &matmul_decoded_neon;
    put_attention(&table->attention, keys_neon, values_neon, features);
    put_attention(&table->attention, keys_int8_neon, values_int8_neon, features);
    put_attention(&table->attention, keys_int8_dotprod, values_int8_dotprod, features);
    table->attention.softmax = &softmax_neon;
    table->vectors = &vectors_neon;
    table->to_int8 = int8_tokens_store_neon;
}

#else

void kernel_arm_init(kernel_table *table, uint32_t features)
{
    put(table->panels, panels_neon32, features);
    put_attention(&table->attention, keys_int8_neon, values_int8_neon, features);
    if (has(features, CPU_NEON))
        table->to_int8 = int8_tokens_store_neon;
}

#endif
