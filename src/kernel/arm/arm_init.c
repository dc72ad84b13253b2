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
    for (size_t type = 0; type < KV_TYPE_COUNT; type++) {
        if (keys_neon[type].score != NULL)
            table->attention.keys[type] = &keys_neon[type];
        if (values_neon[type].mix != NULL)
            table->attention.values[type] = &values_neon[type];
    }
    table->attention.softmax = &softmax_neon;
    table->vectors = &vectors_neon;
    table->to_int8 = int8_tokens_store_neon;
}

#else

void kernel_arm_init(kernel_table *table, uint32_t features)
{
    put(table->panels, panels_neon32, features);
    if (has(features, CPU_NEON))
        table->to_int8 = int8_tokens_store_neon;
}

#endif
