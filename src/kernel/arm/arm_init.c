/* Puts the Arm kernels into the tables, in ascending order of instruction sets. */
#include "base/cpu_features.h"
#include "kernel/arm/arm_kernels.h"
#include "kernel/table_entries.h"

#if defined(__aarch64__)

void kernel_arm_init(kernel_table *table, uint32_t features)
{
    put_matmul(table->panels, panels_neon, features);
    put_matmul(table->panels, panels_dotprod, features);
    put_matmul(table->panels, panels_i8mm, features);
    put_matmul(table->matmul, matmul_float_neon, features);
    if (!kernel_runs(features, CPU_NEON))
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
    put_matmul(table->panels, panels_neon32, features);
    put_attention(&table->attention, keys_int8_neon, values_int8_neon, features);
    if (kernel_runs(features, CPU_NEON))
        table->to_int8 = int8_tokens_store_neon;
}

#endif
