/* Puts the x86-64 kernels into the tables, in ascending order of instruction sets. */
#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

static bool has(uint32_t features, uint32_t needs)
{
    return (needs & ~features) == 0;
}

void kernel_x86_init(kernel_table *table, uint32_t features)
{
    const matmul_kernel *const matmul[] = {&matmul_decoded_avx2, &matmul_decoded_avx512};
    for (size_t i = 0; i < sizeof matmul / sizeof *matmul; i++)
        for (size_t type = 0; type < KERNEL_FORMATS; type++)
            if (table->matmul[type] != NULL && has(features, matmul[i]->needs))
                table->matmul[type] = matmul[i];

    const matmul_kernel *const panels[] = {panels_avx512vnni};
    for (size_t i = 0; i < sizeof panels / sizeof *panels; i++)
        for (size_t type = 0; type < KERNEL_FORMATS; type++)
            if (panels[i][type].run != NULL && has(features, panels[i][type].needs))
                table->panels[type] = &panels[i][type];

    if (has(features, CPU_AVX512))
        table->to_int8 = int8_tokens_store_avx512;
}
