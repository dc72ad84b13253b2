/* mote bench: how fast a model computes on this machine, measured as llama-bench measures, beside what the machine can. */
#include <stdlib.h>
#include <string.h>

#include "bench_report.h"
#include "commands.h"
#include "interrupt.h"

#define AT(field) offsetof(struct settings, field)

enum { COUNT_MOST = 1 << 20, EVICT_LEAST = 32 << 20, EVICT_MOST = 1 << 30 };

static const struct option table[] = {
    {"model", 'm', OPTION_OPERAND, "FILE", 1, 4096, 0,
     "A GGUF file to measure. May be repeated. Without one the model built into mote is used."},
    {"n-prompt", 'p', OPTION_COUNTS, "N,...", 0, COUNT_MOST, AT(bench.prompts),
     "Prompts of so many tokens, computed together; 0: none. Default: 512."},
    {"n-gen", 'n', OPTION_COUNTS, "N,...", 0, COUNT_MOST, AT(bench.gens),
     "Answers of so many tokens, computed one after another; 0: none. Default: 128."},
    {"pg", 0, OPTION_COUNTS, "P,N,...", 0, COUNT_MOST, AT(bench.pairs),
     "A prompt of P tokens and an answer of N, timed as one; more pairs may follow."},
    {"n-depth", 'd', OPTION_COUNTS, "N,...", 0, COUNT_MOST, AT(bench.depths),
     "Tokens that the context already holds when the clock starts. Default: 0."},
    {"parallel", 0, OPTION_COUNTS, "N,...", 1, 256, AT(bench.parallels),
     "Sessions that do each test together; the figures are of all of them. Default: 1."},
    {"threads", 't', OPTION_COUNTS, "N,...", 1, 256, AT(bench.threads),
     "Processors to use. Default: the fast ones that this process may use."},
    {"batch", 'b', OPTION_COUNT, "N", 1, 65536, AT(engine.batch),
     "Tokens of a prompt computed in one pass. Default: 256."},
    {"kv", 0, OPTION_CHOICE, KV_TYPES, 0, 0, AT(kv), "Number format of the memory of earlier tokens. Default: f16."},
    {"kv-values", 0, OPTION_CHOICE, KV_TYPES, 0, 0, AT(kv_values),
     "Another format than that of --kv for values. Default: as --kv."},
    {"memory", 0, OPTION_SIZE, "SIZE", 0, 0, AT(engine.memory),
     "The most memory a test may have resident, mapped files counted: 256M, 1.5G, 300MiB. Where it is short, --batch "
     "and "
     "--kv give way, unless they were given. Default: what the machine leaves free."},
    {"repetitions", 'r', OPTION_COUNT, "N", 1, 10000, AT(bench.repetitions), "Of each test. Default: 5."},
    {"output", 'o', OPTION_CHOICE, "md|json|csv|jsonl", 0, 0, AT(bench.format),
     "A table, or for programs: a JSON array, CSV, or a JSON object a line. Default: md."},
    {"no-warmup", 0, OPTION_FLAG, NULL, 0, 0, AT(bench.no_warmup), "Measure the first run of each test too."},
    {"cold", 0, OPTION_FLAG, NULL, 0, 0, AT(bench.cold),
     "Empty the processor's caches before each pass, with the clock stopped. llama-bench does not."},
    {0},
};
static const struct option_group own_options = {"Options", table};

/* Lists as they were given, or what llama-bench takes. */
struct plan {
    struct counts prompts, gens, pairs, depths, parallels, threads;
};

static struct counts or_else(const struct counts *given, uint32_t usual)
{
    return given->count > 0 ? *given : (struct counts){{usual}, 1};
}

static struct plan plan_of(const struct settings *settings)
{
    const struct bench_settings *bench = &settings->bench;
    return (struct plan){
        .prompts = or_else(&bench->prompts, 512),
        .gens = or_else(&bench->gens, 128),
        .pairs = bench->pairs,
        .depths = or_else(&bench->depths, 0),
        .parallels = or_else(&bench->parallels, 1),
        .threads = or_else(&bench->threads, 0),
    };
}

/* The tests of one model by number, in llama-bench's order: prompts, answers and pairs for each depth, and so on
 * outwards. False: there is no such number. */
static bool plan_test(const struct plan *plan, size_t number, struct bench_test *test)
{
    size_t prompts = plan->prompts.count, gens = plan->gens.count, pairs = plan->pairs.count / 2;
    size_t kinds = prompts + gens + pairs, kind = number % kinds;
    *test = (struct bench_test){0};
    if (kind < prompts) {
        test->prompt = plan->prompts.at[kind];
    } else if (kind < prompts + gens) {
        test->gen = plan->gens.at[kind - prompts];
    } else {
        test->prompt = plan->pairs.at[(kind - prompts - gens) * 2];
        test->gen = plan->pairs.at[(kind - prompts - gens) * 2 + 1];
    }
    number /= kinds;
    test->depth = plan->depths.at[number % plan->depths.count];
    number /= plan->depths.count;
    test->parallel = plan->parallels.at[number % plan->parallels.count];
    number /= plan->parallels.count;
    if (number < plan->threads.count)
        test->threads = plan->threads.at[number];
    return number < plan->threads.count;
}

static bool is_nothing(const struct bench_test *test)
{
    return test->prompt == 0 && test->gen == 0;
}

static int check_plan(const struct plan *plan)
{
    struct bench_test test;
    if (plan->pairs.count % 2 != 0)
        return usage_error("bench", "--pg wants pairs of numbers, as in --pg 512,128");
    for (size_t i = 0; plan_test(plan, i, &test); i++)
        if (!is_nothing(&test))
            return EXIT_SUCCESS;
    return usage_error("bench", "nothing is left to measure; give --n-prompt, --n-gen or --pg a number above 0");
}

static const char *name_of(const char *path)
{
    return path != NULL ? path : "built-in";
}

/* Does a test fit the memory? */
static bool check_memory(const struct settings *settings, const struct bench_test *test, const char *path)
{
    mote_error error;
    mote_memory_plan memory;
    const mote_engine_options wish = {.context = test->depth + test->prompt + test->gen,
                                      .sessions = test->parallel,
                                      .batch = settings->engine.batch,
                                      .threads = test->threads,
                                      .kv_keys = kv_keys_of(settings),
                                      .kv_values = kv_values_of(settings),
                                      .memory = settings->engine.memory};
    if (mote_plan_memory(&memory, path, NULL, &wish, &error) == MOTE_OK)
        return true;
    complain("%s: %s", bench_test_name(test).text, error.text);
    return false;
}

/* Do all tests fit the file's context, and the memory? Asked of every file before the first test, not after an hour of
 * them. */
static bool check_file(const struct settings *settings, const struct plan *plan, const char *path)
{
    mote_model *model;
    mote_model_info info;
    mote_error error;
    struct bench_test test;
    bool good = true;
    const mote_model_options directory = {.parts = MOTE_PARTS_DIRECTORY};
    if (mote_model_open(&model, path, &directory, &error) != MOTE_OK) {
        complain("%s", error.text);
        return false;
    }
    mote_model_describe(model, &info);
    for (size_t i = 0; good && info.context > 0 && plan_test(plan, i, &test); i++) {
        uint32_t wanted = test.prompt + test.gen + test.depth;
        good = is_nothing(&test) || wanted <= info.context;
        if (!good)
            complain("%s was made for a context of %u tokens and %s needs %u; choose smaller numbers", name_of(path),
                     info.context, bench_test_name(&test).text, wanted);
        else if (!is_nothing(&test))
            good = check_memory(settings, &test, path);
    }
    mote_model_close(model);
    return good;
}

static struct bench_options options_of(const struct settings *settings, const mote_machine *machine)
{
    struct bench_options options = {
        .kv_keys = kv_keys_of(settings),
        .kv_values = kv_values_of(settings),
        .memory = settings->engine.memory,
        .batch = settings->engine.batch,
        .repetitions = settings->bench.repetitions != 0 ? settings->bench.repetitions : 5,
        .warmup = !settings->bench.no_warmup,
    };
    if (settings->bench.cold) {
        uint64_t bytes = machine->cache_bytes * 2; /* caches do not forget strictly in turn */
        options.evict_bytes = bytes < EVICT_LEAST ? EVICT_LEAST : bytes > EVICT_MOST ? EVICT_MOST : (size_t)bytes;
    }
    return options;
}

/* All tests of one file. False after complaining. */
static bool bench_model(struct bench_report *report, const struct plan *plan, const struct bench_options *options,
                        const char *path, const char *cpu)
{
    mote_model *model;
    mote_model_info info;
    mote_error error;
    struct bench_test test;
    const mote_model_options all = {.cpu = cpu};
    if (mote_model_open(&model, path, &all, &error) != MOTE_OK) {
        complain("%s", error.text);
        return false;
    }
    mote_model_describe(model, &info);
    bool good = true;
    for (size_t i = 0; good && plan_test(plan, i, &test); i++) {
        struct bench_result result;
        if (is_nothing(&test))
            continue;
        good = bench_test_run(&result, model, &test, options);
        if (good) {
            good = bench_report_add(report, name_of(path), &info, &result);
            bench_result_free(&result);
        }
    }
    mote_model_close(model);
    return good;
}

static int run(const struct settings *settings)
{
    static const char *const builtin[] = {NULL};
    const char *const *paths = settings->operand_count > 0 ? settings->operands : builtin;
    size_t count = settings->operand_count > 0 ? settings->operand_count : 1;
    struct plan plan = plan_of(settings);
    struct bench_report report = {
        .out = output_to(stdout, "standard output"),
        .format = settings->bench.format != 0 ? (bench_format)(settings->bench.format - 1) : BENCH_MD,
        .before = machine_state_read(""),
        .cold = settings->bench.cold,
        .warmup = !settings->bench.no_warmup,
    };
    mote_error error;
    if (check_plan(&plan) != EXIT_SUCCESS)
        return EXIT_USAGE;
    for (size_t i = 0; i < count; i++)
        if (!check_file(settings, &plan, paths[i]))
            return EXIT_FAILURE;
    machine_state_warn_before(&report.before);
    if (mote_cpu_describe(&report.cpu, settings->cpu, &error) != MOTE_OK ||
        mote_machine_measure(&report.machine, 0, &error) != MOTE_OK) {
        complain("%s", error.text);
        return EXIT_FAILURE;
    }
    struct bench_options options = options_of(settings, &report.machine);
    bool good = true;
    bench_report_begin(&report);
    for (size_t i = 0; i < count && good && !interrupted(); i++)
        good = bench_model(&report, &plan, &options, paths[i], settings->cpu);
    struct machine_state after = machine_state_read("");
    int status = bench_report_end(&report, &after, good ? EXIT_SUCCESS : EXIT_FAILURE);
    if (good)
        machine_state_warn_after(&report.before, &after);
    return status;
}

const struct command command_bench = {
    .name = "bench",
    .operands = "[FILE]...",
    .summary = "measure how fast models compute on this machine",
    .text =
        "Times prompts (pp512) and answers (tg128) of random tokens, without text or sampling, and prints tokens a "
        "second, mean and standard deviation, as llama-bench does. Lists of numbers make a test of each combination.\n"
        "Beside a figure stands how much of the machine's limit it reaches: of the rate at which memory can be read, "
        "for answers, and of the rate of 8-bit dot products, for prompts. Both are measured first, with all "
        "processors. Last comes the test's peak memory, mapped files included.",
    .examples = "mote bench qwen3-0.6b.gguf\n"
                "mote bench -m a.gguf -m b.gguf -p 512 -n 128 -d 0,4096 -t 2 -r 5 -o json\n"
                "mote bench -m qwen3-0.6b.gguf -p 0 -n 64 --parallel 1,8",
    .groups = {&own_options},
    .operands_max = OPERANDS_MAX,
    .run = run,
};
