/* Puts the x86-64 kernels into the tables, in ascending order of instruction sets. */
#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

static bool has(uint32_t features, uint32_t needs)
{
    return (needs & ~features) == 0;
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

static void set_attention(attention_kernels *slots, uint32_t features)
{
    put_attention(slots, keys_avx2, values_avx2, features);
    put_attention(slots, keys_avx512, values_avx512, features);
    put_attention(slots, keys_int8_avx2, values_int8_avx2, features);
    put_attention(slots, keys_int8_avxvnni, values_int8_avxvnni, features);
    put_attention(slots, keys_int8_avx512vnni, values_int8_avx512vnni, features);
    const softmax_kernel *const ascending[] = {&softmax_avx2, &softmax_avx512};
    for (size_t i = 0; i < sizeof ascending / sizeof *ascending; i++)
        if (has(features, ascending[i]->needs))
            slots->softmax = ascending[i];
}

static void set_vectors(kernel_table *table, uint32_t features)
{
    const vector_kernels *const ascending[] = {&vectors_avx2, &vectors_avx512};
    for (size_t i = 0; i < sizeof ascending / sizeof *ascending; i++)
        if (has(features, ascending[i]->needs))
            table->vectors = ascending[i];
}

/* Entries by quant_type, of which some are empty. */
static void put(const matmul_kernel **slots, const matmul_kernel *kernels, uint32_t features)
{
    for (size_t type = 0; type < KERNEL_FORMATS; type++)
        if (kernels[type].run != NULL && has(features, kernels[type].needs))
            slots[type] = &kernels[type];
}

void kernel_x86_init(kernel_table *table, uint32_t features)
{
    const matmul_kernel *const decoded[] = {&matmul_decoded_avx2, &matmul_decoded_avx512};
    for (size_t i = 0; i < sizeof decoded / sizeof *decoded; i++)
        for (size_t type = 0; type < KERNEL_FORMATS; type++)
            if (table->matmul[type] != NULL && has(features, decoded[i]->needs))
                table->matmul[type] = decoded[i];

    put(table->matmul, matmul_float_avx2, features);
    put(table->matmul, matmul_float_avx512, features);
    if (has(features, matmul_float_avx512bf16.needs))
        table->matmul[QUANT_BF16] = &matmul_float_avx512bf16;
    put(table->panels, panels_avx2, features);
    put(table->panels, panels_avxvnni, features);
    put(table->panels, panels_avx512vnni, features);

    if (has(features, CPU_AVX2 | CPU_F16C))
        table->to_int8 = int8_tokens_store_avx2;
    if (has(features, CPU_AVX2 | CPU_F16C | CPU_AVX512))
        table->to_int8 = int8_tokens_store_avx512;

    set_attention(&table->attention, features);
    set_vectors(table, features);
}
