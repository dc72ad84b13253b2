/* Puts the generic kernels into every slot of the tables. */
#include "kernel/generic/generic_kernels.h"
#include "quant/panels.h"

void kernel_generic_init(kernel_table *table)
{
    *table = (kernel_table){.vectors = &vectors_generic, .to_int8 = int8_tokens_store_generic};
    for (size_t i = 0; i < quant_count(); i++) {
        quant_type type = quant_at(i)->type;
        table->matmul[KERNEL_SLOT(type)] = &matmul_generic;
        if (panel_layout_of(type) != NULL)
            table->panels[KERNEL_SLOT(type)] = &panels_generic[KERNEL_SLOT(type)];
    }
    attention_kernels *attention = &table->attention;
    for (kv_type type = 0; type < KV_TYPE_COUNT; type++) {
        attention->keys[type] = kv_is_rotated(type) ? &keys_int8_generic[type] : &keys_generic[type];
        attention->values[type] = kv_is_rotated(type) ? &values_int8_generic[type] : &values_generic[type];
    }
    attention->softmax = &softmax_generic;
}
