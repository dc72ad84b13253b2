/* What the machine is and what it chose. */
#include "base/cpu_features.h"
#include "base/processors.h"
#include "base/status.h"
#include "engine/kv_cache.h"
#include "kernel/kernels.h"
#include "kernel/machine_probe.h"
#include "meter/memory_meter.h"

const char *mote_version(void)
{
    return MOTE_VERSION;
}

mote_status mote_cpu_describe(mote_cpu_info *info, const char *cpu, mote_error *error)
{
    uint32_t features;
    *info = (mote_cpu_info){.architecture = cpu_architecture()};
    mote_status status = cpu_features_choose(&features, cpu, error);
    if (status != MOTE_OK)
        return status;
    processor_set allowed = processors_allowed();
    processor_name("", info->name, sizeof info->name);
    cpu_feature_names(features, info->features, sizeof info->features);
    cpu_feature_names(cpu_features() & ~features, info->masked, sizeof info->masked);
    cpu_feature_names(UINT32_MAX, info->names, sizeof info->names);
    info->processors = cpu_count();
    info->threads = processors_good(&allowed, "");
    return MOTE_OK;
}

const char *mote_kv_type_name(mote_kv_type type)
{
    static const char *const names[] = {[MOTE_KV_AUTO] = "auto",
                                        [MOTE_KV_F16] = "f16",
                                        [MOTE_KV_F32] = "f32",
                                        [MOTE_KV_Q8] = "q8",
                                        [MOTE_KV_Q4] = "q4"};
    return (size_t)type < sizeof names / sizeof *names ? names[type] : "?";
}

mote_status mote_cpu_kernel(mote_kernel_info *info, size_t index, const char *cpu, mote_error *error)
{
    kernel_table table;
    uint32_t features;
    mote_status status = cpu_features_choose(&features, cpu, error);
    if (status != MOTE_OK)
        return status;
    kernel_table_init(&table, features);
    size_t formats = 0;
    while (quant_at(formats) != NULL)
        formats++;
    const quant_format *format = quant_at(index);
    size_t place = index - formats; /* behind the formats: keys of every type, values, then one of each */
    mote_kv_type type = (mote_kv_type)(MOTE_KV_F16 + place % KV_TYPE_COUNT);
    if (format != NULL)
        *info = (mote_kernel_info){
            "matmul", format->name, table.matmul[KERNEL_SLOT(format->type)]->name,
            table.panels[KERNEL_SLOT(format->type)] != NULL ? table.panels[KERNEL_SLOT(format->type)]->name : ""};
    else if (place < KV_TYPE_COUNT)
        *info = (mote_kernel_info){"keys", mote_kv_type_name(type), table.attention.keys[kv_type_of(type)]->name, ""};
    else if (place < 2 * KV_TYPE_COUNT)
        *info =
            (mote_kernel_info){"values", mote_kv_type_name(type), table.attention.values[kv_type_of(type)]->name, ""};
    else if (place == 2 * KV_TYPE_COUNT)
        *info = (mote_kernel_info){"softmax", "f32", table.attention.softmax->name, ""};
    else if (place == 2 * KV_TYPE_COUNT + 1)
        *info = (mote_kernel_info){"vectors", "f32", table.vectors->name, ""};
    else
        return fail(error, MOTE_E_ARGUMENT, "there are %zu kernels, and none of number %zu",
                    formats + 2 * KV_TYPE_COUNT + 2, index);
    return MOTE_OK;
}

uint64_t mote_peak_memory(void)
{
    return memory_peak();
}

bool mote_peak_memory_restart(void)
{
    return memory_peak_restart();
}

/* So much that next to nothing of it is still in a cache when it is read again. */
static size_t read_bytes(size_t cache)
{
    const size_t least = (size_t)32 << 20, most = (size_t)1 << 30;
    return cache < least / 4 ? least : cache > most / 4 ? most : cache * 4;
}

mote_status mote_machine_measure(mote_machine *out, uint32_t threads, mote_error *error)
{
    thread_pool *pool;
    size_t cache = machine_probe_cache();
    *out = (mote_machine){.cache_bytes = cache, .int8_kernel = ""};
    if (threads == 0)
        threads = cpu_count() < THREAD_POOL_MOST ? cpu_count() : THREAD_POOL_MOST;
    mote_status status = thread_pool_open(&pool, threads, error);
    if (status != MOTE_OK)
        return status;
    status = machine_probe_read(pool, read_bytes(cache), &out->read_rate, error);
    if (status == MOTE_OK) {
        out->threads = thread_pool_size(pool);
        out->int8_rate = machine_probe_dots(pool, cpu_features(), &out->int8_kernel);
    }
    thread_pool_close(pool);
    return status;
}
