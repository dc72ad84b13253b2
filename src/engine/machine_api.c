/* What the machine is and what it chose. */
#include <pthread.h>
#include <stdio.h>

#include "base/cpu_features.h"
#include "base/status.h"
#include "kernel/kernels.h"
#include "meter/memory_meter.h"

const char *mote_version(void)
{
    return MOTE_VERSION;
}

static char feature_list[256]; /* written once, before the first reader sees it */

static void list_features(void)
{
    uint32_t found = cpu_features();
    size_t length = 0;
    for (unsigned i = 0; i < CPU_FEATURE_COUNT; i++)
        if (found >> i & 1)
            length += (size_t)snprintf(feature_list + length, sizeof feature_list - length, "%s%s",
                                       length == 0 ? "" : " ", cpu_feature_name(i));
}

void mote_cpu_describe(mote_cpu_info *info)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, list_features);
    *info = (mote_cpu_info){cpu_architecture(), feature_list, cpu_count()};
}

mote_status mote_cpu_kernel(size_t index, const char **format, const char **kernel)
{
    const quant_format *entry = quant_at(index);
    if (entry == NULL)
        return MOTE_E_ARGUMENT;
    kernel_table table;
    kernel_table_init(&table, cpu_features());
    *format = entry->name;
    *kernel = table.matmul[entry->type]->name;
    return MOTE_OK;
}

uint64_t mote_peak_memory(void)
{
    return memory_peak();
}
