/* Puts the generic kernels into every slot of the tables. */
#include "kernel/generic/generic_kernels.h"

void kernel_generic_init(kernel_table *table)
{
    *table = (kernel_table){.vectors = &vectors_generic};
    for (size_t i = 0; i < quant_count(); i++)
        table->matmul[quant_at(i)->type] = &matmul_generic;
    table->attention[KV_F16] = &attention_generic_f16;
    table->attention[KV_F32] = &attention_generic_f32;
}
