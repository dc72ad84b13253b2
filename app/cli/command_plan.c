/* mote plan: the memory a model will take, part by part, and what is chosen so that it fits. Nothing is loaded. */
#include <stdlib.h>

#include "commands.h"
#include "json_output.h"
#include "loading.h"

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"memory", 0, OPTION_SIZE, "SIZE", 0, 0, AT(engine.memory),
     "The most memory to have resident, mapped files counted: 256M, 1.5G, 300MiB (MB and GB are powers of 1000). "
     "Default: "
     "what the machine, control groups and resource limits leave free."},
    {"ctx", 'c', OPTION_COUNT, "N", 1, 1 << 24, AT(engine.context),
     "Tokens of prompt and answer together. Default: what the model was made for, at most 4096, and less where memory "
     "is "
     "short."},
    {"parallel", 0, OPTION_COUNT, "N", 1, 256, AT(engine.sessions), "Sessions open at once. Default: 1."},
    {"batch", 0, OPTION_COUNT, "N", 1, 65536, AT(engine.batch),
     "Tokens of the prompt computed together at most. Default: 256, and 128 down to 16 where memory is short."},
    {"kv", 0, OPTION_CHOICE, KV_TYPES, 0, 0, AT(kv),
     "Number format of the memory of earlier tokens. Default: f16, and q8 or q4 where memory is short."},
    {"kv-values", 0, OPTION_CHOICE, KV_TYPES, 0, 0, AT(kv_values),
     "Another format than that of --kv for values. Default: as --kv."},
    {"threads", 't', OPTION_COUNT, "N", 1, 1024, AT(engine.threads),
     "Processors to use. Default: the fast ones that this process may use."},
    {"json", 'j', OPTION_FLAG, NULL, 0, 0, AT(json), "Print one JSON object, sizes in bytes."},
    {0},
};
static const struct option_group own_options = {"Options", table};

static void print_size(struct output *out, const char *name, uint64_t bytes, const char *note)
{
    output_print(out, "%-14s%10s%s\n", name, human_bytes(bytes).text, note);
}

static uint64_t headroom_of(const mote_memory_plan *plan)
{
    return plan->budget > plan->peak ? plan->budget - plan->peak : 0;
}

static int print_plan(struct output *out, const mote_memory_plan *plan)
{
    print_size(out, "weights", plan->weights, "");
    print_size(out, "KV", plan->kv_bytes, "");
    print_size(out, "activations", plan->activations, "");
    print_size(out, "tokenizer", plan->tokenizer, "");
    print_size(out, "program", plan->program, "");
    print_size(out, "peak", plan->peak, plan->loading == plan->peak ? ", while loading" : "");
    if (plan->budget != UINT64_MAX) {
        print_size(out, "budget", plan->budget, "");
        print_size(out, "headroom", headroom_of(plan), "");
    }
    output_print(out, "\nchosen: a context of %u tokens%s, keys in %s, values in %s, a batch of %u, %u thread%s\n",
                 plan->context, plan->sessions > 1 ? " for each session" : "", mote_kv_type_name(plan->kv_keys),
                 mote_kv_type_name(plan->kv_values), plan->batch, plan->threads, plan->threads == 1 ? "" : "s");
    return output_finish(out, EXIT_SUCCESS);
}

static json_t *budget_json(uint64_t bytes)
{
    return bytes != UINT64_MAX ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *plan_json(const mote_memory_plan *plan)
{
    /* clang-format off */
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I}",
        "fits", plan->fits,
        "context", (json_int_t)plan->context,
        "sessions", (json_int_t)plan->sessions,
        "batch", (json_int_t)plan->batch,
        "threads", (json_int_t)plan->threads,
        "kv", mote_kv_type_name(plan->kv_keys),
        "kv_values", mote_kv_type_name(plan->kv_values),
        "weights_bytes", (json_int_t)plan->weights,
        "kv_bytes", (json_int_t)plan->kv_bytes,
        "activations_bytes", (json_int_t)plan->activations,
        "tokenizer_bytes", (json_int_t)plan->tokenizer,
        "program_bytes", (json_int_t)plan->program,
        "loading_bytes", (json_int_t)plan->loading,
        "peak_bytes", (json_int_t)plan->peak,
        "budget_bytes", budget_json(plan->budget),
        "headroom_bytes", (json_int_t)headroom_of(plan),
        "address_space_bytes", (json_int_t)plan->address_space,
        "data_bytes", (json_int_t)plan->data,
        "context_that_fits", (json_int_t)(plan->fits ? plan->context : plan->context_fits));
    /* clang-format on */
}

static int run(const struct settings *settings)
{
    mote_error error;
    mote_memory_plan plan;
    mote_engine_options wish = settings->engine;
    const mote_model_options directory = {.cpu = settings->cpu};
    wish.kv_keys = kv_keys_of(settings);
    wish.kv_values = kv_values_of(settings);
    mote_status status = mote_plan_memory(&plan, settings->model, &directory, &wish, &error);
    struct output out = output_to(stdout, "standard output");
    if (status != MOTE_OK)
        complain("%s", error.text);
    if (settings->json && (status == MOTE_OK || plan.context > 0)) {
        int printed = output_json(&out, plan_json(&plan), JSON_INDENT(2));
        return status == MOTE_OK ? printed : EXIT_FAILURE;
    }
    return status == MOTE_OK ? print_plan(&out, &plan) : EXIT_FAILURE;
}

const struct command command_plan = {
    .name = "plan",
    .operands = "[FILE]",
    .summary = "the memory a model will take, and what is chosen to fit",
    .text =
        "Adds up what running FILE, or the model built into mote, will have resident at the most, mapped pages "
        "counted: "
        "weights, the memory of earlier tokens (KV) for a full context, activations, tokenizer, and the program "
        "itself. "
        "Reads the head of the file alone. What is predicted is within 3% or 4 MB of what is measured, and never below "
        "it.\n"
        "What fits the budget is chosen as mote run and mote chat choose it: a smaller batch gives way first, then KV "
        "in "
        "q8 or q4, then a smaller context, unless these were given. Where nothing fits, a sentence says what is "
        "lacking and "
        "what would fit, and the exit status is 1.",
    .examples = "mote plan qwen3-0.6b.gguf\n"
                "mote plan -m qwen3-0.6b.gguf --memory 512M --ctx 8192 --json",
    .groups = {&own_options, &model_options},
    .operands_max = 1,
    .operand_is_model = true,
    .run = run,
};
