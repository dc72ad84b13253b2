/* Puts the x86-64 kernels into the tables, in ascending order of instruction sets. */
#include "base/cpu_features.h"
#include "kernel/table_entries.h"
#include "kernel/x86/x86_kernels.h"

static void set_attention(attention_kernels *slots, uint32_t features)
{
    put_attention(slots, keys_avx2, values_avx2, features);
    put_attention(slots, keys_avx512, values_avx512, features);
    put_attention(slots, keys_int8_avx2, values_int8_avx2, features);
    put_attention(slots, keys_int8_avxvnni, values_int8_avxvnni, features);
    put_attention(slots, keys_int8_avx512vnni, values_int8_avx512vnni, features);
    const softmax_kernel *const ascending[] = {&softmax_avx2, &softmax_avx512};
    for (size_t i = 0; i < sizeof ascending / sizeof *ascending; i++)
        if (kernel_runs(features, ascending[i]->needs))
            slots->softmax = ascending[i];
}

static void set_vectors(kernel_table *table, uint32_t features)
{
    const vector_kernels *const ascending[] = {&vectors_avx2, &vectors_avx512};
    for (size_t i = 0; i < sizeof ascending / sizeof *ascending; i++)
        if (kernel_runs(features, ascending[i]->needs))
            table->vectors = ascending[i];
}

void kernel_x86_init(kernel_table *table, uint32_t features)
{
    const matmul_kernel *const decoded[] = {&matmul_decoded_avx2, &matmul_decoded_avx512};
    for (size_t i = 0; i < sizeof decoded / sizeof *decoded; i++)
        for (size_t type = 0; type < KERNEL_FORMATS; type++)
            if (table->matmul[type] != NULL && kernel_runs(features, decoded[i]->needs))
                table->matmul[type] = decoded[i];

    put_matmul(table->matmul, matmul_float_avx2, features);
    put_matmul(table->matmul, matmul_float_avx512, features);
    if (kernel_runs(features, matmul_float_avx512bf16.needs))
        table->matmul[KERNEL_SLOT(QUANT_BF16)] = &matmul_float_avx512bf16;
    put_matmul(table->panels, panels_avx2, features);
    put_matmul(table->panels, panels_avxvnni, features);
    put_matmul(table->panels, panels_avx512vnni, features);

    if (kernel_runs(features, CPU_AVX2 | CPU_F16C))
        table->to_int8 = int8_tokens_store_avx2;
    if (kernel_runs(features, CPU_AVX2 | CPU_F16C | CPU_AVX512))
        table->to_int8 = int8_tokens_store_avx512;

    set_attention(&table->attention, features);
    set_vectors(table, features);
}
