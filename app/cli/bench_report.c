#include "bench_report.h"

#include <stdlib.h>
#include <string.h>

#include "json_output.h"
#include "loading.h"

enum { DIGITS = 10 }; /* of real numbers in JSON */

#define DASHES "------------------------------"

struct short_text {
    char text[96];
};

/* "llama 135M Q4_0": family, size and the format of most weights. */
static struct short_text model_type(const mote_model_info *info)
{
    struct short_text type;
    double count = (double)info->parameters;
    double scaled = count >= 1e9 ? count / 1e9 : count >= 1e6 ? count / 1e6 : count / 1e3;
    snprintf(type.text, sizeof type.text, "%.32s %.*f%c %.*s", info->architecture, scaled < 10 ? 1 : 0, scaled,
             count >= 1e9   ? 'B'
             : count >= 1e6 ? 'M'
                            : 'K',
             (int)strcspn(info->types, " ,"), info->types);
    return type;
}

/* Which share of a limit of the machine the test reached; below 0: it is not the limit that such a test runs into. */
static double percent(double work, double rate, const struct bench_result *result)
{
    return work > 0 && rate > 0 ? 100 * work / (result->time_ns.mean / 1e9) / rate : -1;
}

static double read_percent(const struct bench_report *report, const struct bench_result *result)
{
    return percent(result->bytes, report->machine.read_rate, result);
}

static double int8_percent(const struct bench_report *report, const struct bench_result *result)
{
    return percent(result->operations, report->machine.int8_rate, result);
}

/* ----------------------------------------------------------------------------------------------------- for a person */

static void print_head(struct output *out)
{
    output_print(out, "| %-30s | %10s | %10s | %-10s | %7s | %15s | %20s | %14s | %11s |\n", "model", "size", "params",
                 "backend", "threads", "test", "t/s", "of limit", "peak memory");
    output_print(out, "| %.30s | %.9s: | %.9s: | %.10s | %.6s: | %.14s: | %.19s: | %.13s: | %.10s: |\n", DASHES, DASHES,
                 DASHES, DASHES, DASHES, DASHES, DASHES, DASHES, DASHES);
}

/* llama-bench's columns and widths, and two of ours. */
static void print_row(struct bench_report *report, const mote_model_info *info, const struct bench_result *result)
{
    struct short_text type = model_type(info), size, params, rate, limit = {""};
    double bytes = (double)info->weight_bytes, count = (double)info->parameters;
    double read = read_percent(report, result), int8 = int8_percent(report, result);
    bool large = bytes >= 1 << 30, many = count >= 1e9;
    snprintf(size.text, sizeof size.text, "%.2f %s", bytes / (large ? 1 << 30 : 1 << 20), large ? "GiB" : "MiB");
    snprintf(params.text, sizeof params.text, "%.2f %s", count / (many ? 1e9 : 1e6), many ? "B" : "M");
    snprintf(rate.text, sizeof rate.text, "%.2f ± %.2f", result->rate.mean, result->rate.deviation);
    if (read >= 0 || int8 >= 0)
        snprintf(limit.text, sizeof limit.text, "%.0f%% of %s", read >= 0 ? read : int8, read >= 0 ? "reads" : "int8");
    output_print(&report->out, "| ");
    output_escaped(&report->out, type.text, strlen(type.text));
    output_print(&report->out, "%*s | %10s | %10s | CPU        | %7u | %15s | %21s | %14s | %11s |\n",
                 strlen(type.text) < 30 ? 30 - (int)strlen(type.text) : 0, "", size.text, params.text,
                 result->engine.threads, bench_test_name(&result->test).text, rate.text, limit.text,
                 result->peak_memory > 0 ? human_bytes(result->peak_memory).text : "");
    fflush(report->out.file); /* the next test can take minutes */
}

static void print_notes(struct bench_report *report, struct output *out, const struct machine_state *after)
{
    const mote_machine *machine = &report->machine;
    const char *processor = *report->cpu.name != '\0' ? report->cpu.name : report->cpu.architecture;
    output_print(out, "mote %s; ", mote_version());
    output_escaped(out, processor, strlen(processor));
    output_print(out, ": %u thread%s read %.1f GB/s from memory and reach %.0f Gop/s in int8 (%s)\n", machine->threads,
                 machine->threads == 1 ? "" : "s", machine->read_rate / 1e9, machine->int8_rate / 1e9,
                 machine->int8_kernel);
    machine_state_print(out, &report->before, after);
    output_print(out, "\n");
    if (report->smallest < machine->cache_bytes && !report->cold)
        output_print(out, "the weights fit the processor's cache (%s), which flatters decoding; --cold empties it\n",
                     human_bytes(machine->cache_bytes).text);
}

/* ---------------------------------------------------------------------------------------------------- for a program */

static json_t *list_json(const double *values, size_t count, bool whole)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(list, whole ? json_integer((json_int_t)values[i]) : json_real(values[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* Everything but the samples, so that CSV can be made of it too. */
static json_t *result_json(const struct bench_report *report, const char *path, const mote_model_info *info,
                           const struct bench_result *result)
{
    double read = read_percent(report, result), int8 = int8_percent(report, result);
    const char *processor = report->cpu.name;
    struct short_text type = model_type(info);
    /* clang-format off */
    return json_pack("{s:s, s:o, s:s, s:o, s:o, s:I, s:I, s:i, s:i, s:i, s:s, s:s, s:i, s:i, s:i, s:s, s:I, s:I, s:f, s:f,"
                     " s:i, s:o, s:o, s:o, s:I, s:f, s:f, s:b, s:b, s:s, s:f}",
        "build_commit", mote_version(),
        "cpu_info", json_text(processor, strlen(processor)),
        "backends", "CPU",
        "model_filename", json_text(path, strlen(path)),
        "model_type", json_text(type.text, strlen(type.text)),
        "model_size", (json_int_t)info->weight_bytes,
        "model_n_params", (json_int_t)info->parameters,
        "n_batch", (int)result->engine.batch,
        "n_ubatch", (int)result->engine.batch,
        "n_threads", (int)result->engine.threads,
        "type_k", mote_kv_type_name(result->engine.kv_keys),
        "type_v", mote_kv_type_name(result->engine.kv_values),
        "n_prompt", (int)result->test.prompt,
        "n_gen", (int)result->test.gen,
        "n_depth", (int)result->test.depth,
        "test_time", result->time,
        "avg_ns", (json_int_t)result->time_ns.mean,
        "stddev_ns", (json_int_t)result->time_ns.deviation,
        "avg_ts", result->rate.mean,
        "stddev_ts", result->rate.deviation,
        "n_parallel", (int)result->test.parallel,
        "read_percent", read >= 0 ? json_real(read) : json_null(),
        "int8_percent", int8 >= 0 ? json_real(int8) : json_null(),
        "peak_memory", result->peak_memory > 0 ? json_integer((json_int_t)result->peak_memory) : json_null(),
        "machine_cache", (json_int_t)report->machine.cache_bytes,
        "machine_read_rate", report->machine.read_rate,
        "machine_int8_rate", report->machine.int8_rate,
        "cold", report->cold,
        "warmup", report->warmup,
        "governor", report->before.governor,
        "load_before", report->before.load);
    /* clang-format on */
}

/* Every value in quotes, as llama-bench writes them. */
static void print_csv_value(struct output *out, json_t *value)
{
    output_print(out, "\"");
    if (json_is_string(value)) {
        for (const char *at = json_string_value(value); *at != '\0'; at++)
            output_print(out, *at == '"' ? "\"\"" : "%c", *at);
    } else if (json_is_real(value)) {
        output_print(out, "%.6f", json_real_value(value));
    } else if (json_is_integer(value)) {
        output_print(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        output_print(out, "%d", json_is_true(value));
    }
    output_print(out, "\"");
}

static void print_csv(struct bench_report *report, json_t *object)
{
    const char *key;
    json_t *value;
    const char *comma = "";
    if (!report->begun) {
        json_object_foreach(object, key, value)
        {
            output_print(&report->out, "%s%s", comma, key);
            comma = ",";
        }
        output_print(&report->out, "\n");
    }
    comma = "";
    json_object_foreach(object, key, value)
    {
        output_print(&report->out, "%s", comma);
        print_csv_value(&report->out, value);
        comma = ",";
    }
    output_print(&report->out, "\n");
    fflush(report->out.file);
}

/* False without memory. The object is given up. */
static bool tell_program(struct bench_report *report, json_t *object, const struct bench_result *result)
{
    if (object == NULL)
        return false;
    if (report->format == BENCH_CSV) {
        print_csv(report, object);
        json_decref(object);
        return true;
    }
    if (json_object_set_new(object, "samples_ns", list_json(result->ns, result->count, true)) != 0 ||
        json_object_set_new(object, "samples_ts", list_json(result->rates, result->count, false)) != 0) {
        json_decref(object);
        return false;
    }
    if (report->format == BENCH_JSON)
        return json_array_append_new(report->list, object) == 0;
    return output_json(&report->out, object, JSON_REAL_PRECISION(DIGITS)) == EXIT_SUCCESS;
}

/* -------------------------------------------------------------------------------------------------------- the report */

void bench_report_begin(struct bench_report *report)
{
    report->smallest = UINT64_MAX;
    if (report->format == BENCH_JSON)
        report->list = json_array();
}

bool bench_report_add(struct bench_report *report, const char *path, const mote_model_info *info,
                      const struct bench_result *result)
{
    bool told = true;
    if (info->weight_bytes < report->smallest)
        report->smallest = info->weight_bytes;
    if (report->format == BENCH_MD) {
        if (!report->begun)
            print_head(&report->out);
        print_row(report, info, result);
    } else {
        told = tell_program(report, result_json(report, path, info, result), result);
    }
    report->begun = true;
    if (!told)
        complain("no memory to tell the result of %s; free some", bench_test_name(&result->test).text);
    return told && report->out.error == 0;
}

int bench_report_end(struct bench_report *report, const struct machine_state *after, int status)
{
    struct output err = output_to(stderr, "standard error");
    bool table = report->format == BENCH_MD;
    if (report->begun && table)
        output_print(&report->out, "\n");
    if (report->begun)
        print_notes(report, table ? &report->out : &err, after);
    fflush(stderr);
    if (report->format == BENCH_JSON &&
        output_json(&report->out, report->list, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS)) != EXIT_SUCCESS)
        status = EXIT_FAILURE;
    return output_finish(&report->out, status);
}
