/* mote tune: how many threads are best on this device, found by trying. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "interrupt.h"
#include "json_output.h"
#include "loading.h"
#include "progress.h"
#include "tuning.h"

enum {
    COUNTS_MAX = 24,
    THREADS_MAX = 256,
    CONTEXT = 256,
    PROMPT_MAX = 128,
    PROMPT_MIN = 16, /* well above what an engine takes for decoding */
    DECODE_MAX = 64,
    ROUNDS_MAX = 15
};

static const double SECONDS_EACH = 3.5;    /* for prefill, and for decode */
static const double SAMPLE_SECONDS = 0.02; /* long enough for the clock, short enough for many rounds */
static const double CLOSE_ENOUGH = 1.03;   /* a difference within the noise is not worth another thread */

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"show", 0, OPTION_FLAG, NULL, 0, 0, AT(show), "Measure nothing: print what is kept."},
    {"forget", 0, OPTION_FLAG, NULL, 0, 0, AT(forget), "Measure nothing: delete what is kept."},
    {"json", 'j', OPTION_FLAG, NULL, 0, 0, AT(json), "Print one JSON object."},
    {0},
};
static const struct option_group own_options = {"Options", table};

/* Seconds a token, the least of all rounds; 0: not measured. */
struct trial {
    uint32_t threads;
    double prefill;
    double decode;
};

struct tuner {
    struct loaded loaded;
    mote_token ids[PROMPT_MAX];
    size_t prompt; /* tokens of a prefill sample */
    size_t answer; /* tokens of a decode sample */
    float *logits;
    struct trial trial[COUNTS_MAX]; /* most threads first: if time runs out, the unlikely ones are left out */
    size_t count;
    mote_error error;
};

/* 1 to 8, then 12, 16, 24, 32, …, and always all. */
static void choose_counts(struct tuner *tuner, uint32_t most)
{
    uint32_t counts[COUNTS_MAX];
    size_t count = 0;
    for (uint32_t n = 1; n < most && count + 1 < COUNTS_MAX;) {
        counts[count++] = n;
        uint32_t power = 1;
        while (power * 2 <= n)
            power *= 2;
        n += n < 8 ? 1 : power / 2;
    }
    counts[count++] = most;
    for (size_t i = 0; i < count; i++)
        tuner->trial[i] = (struct trial){.threads = counts[count - 1 - i]};
    tuner->count = count;
}

/* Seconds that one sample takes; below 0 after a failure. */
static double sample(struct tuner *tuner, uint32_t threads, bool decode)
{
    struct loaded *loaded = &tuner->loaded;
    size_t passes = decode ? tuner->answer : 1;
    mote_engine_set_threads(loaded->engine, threads, threads);
    mote_session_clear(loaded->session);
    double begin = seconds_now();
    for (size_t i = 0; i < passes; i++) {
        mote_work work = {loaded->session, tuner->ids + i, decode ? 1 : tuner->prompt, decode ? tuner->logits : NULL,
                          1};
        if (interrupted() || mote_engine_step(loaded->engine, &work, 1, &tuner->error) != MOTE_OK)
            return -1;
    }
    return seconds_now() - begin;
}

/* Finds a sample's size by a first one, which also warms the memory up: all counts of threads shall have a few rounds. */
static bool choose_sizes(struct tuner *tuner)
{
    uint32_t most = tuner->trial[0].threads;
    double turns = 0; /* a round, in samples with all threads, if fewer were slower in proportion */
    for (size_t i = 0; i < tuner->count; i++)
        turns += (double)most / tuner->trial[i].threads;
    tuner->prompt = PROMPT_MIN;
    tuner->answer = 1;
    double few = sample(tuner, most, false), one = sample(tuner, most, true);
    if (few < 0 || one < 0)
        return false;
    while (tuner->prompt < PROMPT_MAX && few * 2 * turns < SECONDS_EACH / 3) {
        tuner->prompt *= 2;
        few *= 2;
    }
    while (tuner->answer < DECODE_MAX && one < SAMPLE_SECONDS) {
        tuner->answer *= 2;
        one *= 2;
    }
    return true;
}

/* Round after round over all counts, so that a change of clock rate or another program's work meets all of them. */
static bool measure(struct tuner *tuner, bool decode)
{
    double end = seconds_now() + SECONDS_EACH;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        for (size_t i = 0; i < tuner->count; i++) {
            double *best = decode ? &tuner->trial[i].decode : &tuner->trial[i].prefill;
            if (seconds_now() > end && (round > 0 || i > 0))
                return true;
            double took = sample(tuner, tuner->trial[i].threads, decode);
            if (took < 0)
                return false;
            took /= (double)(decode ? tuner->answer : tuner->prompt);
            *best = *best == 0 || took < *best ? took : *best;
        }
    }
    return true;
}

/* The fewest threads that are as good as any. */
static const struct trial *choose(const struct tuner *tuner, bool decode)
{
    const struct trial *chosen = &tuner->trial[0];
    double best = 0;
    for (size_t i = 0; i < tuner->count; i++) {
        double took = decode ? tuner->trial[i].decode : tuner->trial[i].prefill;
        if (took > 0 && (best == 0 || took < best))
            best = took;
    }
    for (size_t i = 0; i < tuner->count; i++) { /* ends at the fewest */
        double took = decode ? tuner->trial[i].decode : tuner->trial[i].prefill;
        if (took > 0 && took <= best * CLOSE_ENOUGH)
            chosen = &tuner->trial[i];
    }
    return chosen;
}

static double rate(double seconds)
{
    return seconds > 0 ? 1 / seconds : 0;
}

static json_t *trials_json(const struct tuner *tuner)
{
    json_t *trials = json_array();
    for (size_t i = tuner->count; i-- > 0;) {
        const struct trial *trial = &tuner->trial[i];
        json_t *object =
            json_pack("{s:I, s:f, s:f}", "threads", (json_int_t)trial->threads, "prefill_tokens_per_second",
                      rate(trial->prefill), "decode_tokens_per_second", rate(trial->decode));
        if (json_array_append_new(trials, object) != 0) {
            json_decref(trials);
            return NULL;
        }
    }
    return trials;
}

static int print_result(const struct settings *settings, const struct tuner *tuner, const struct tuning *result,
                        const char *path)
{
    struct output out = output_to(stdout, "standard output");
    if (settings->json)
        return output_json(&out,
                           json_pack("{s:o, s:I, s:I, s:o, s:o}", "model",
                                     json_text(result->model, strlen(result->model)), "prefill_threads",
                                     (json_int_t)result->prefill_threads, "decode_threads",
                                     (json_int_t)result->decode_threads, "trials", trials_json(tuner), "file",
                                     path != NULL ? json_text(path, strlen(path)) : json_null()),
                           JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    output_print(&out, "threads   prefill tok/s   decode tok/s\n");
    for (size_t i = tuner->count; i-- > 0;) {
        const struct trial *trial = &tuner->trial[i];
        output_print(&out, "%7u", trial->threads);
        for (int decode = 0; decode < 2; decode++) {
            double seconds = decode ? trial->decode : trial->prefill;
            const char *mark = trial == choose(tuner, decode != 0) ? "*" : " ";
            if (seconds > 0)
                output_print(&out, "%*.1f%s", decode ? 14 : 15, rate(seconds), mark);
            else
                output_print(&out, "%*s ", decode ? 14 : 15, "no time");
        }
        output_print(&out, "\n");
    }
    output_print(&out, "\nChosen: %u for the prompt, %u for decoding, for models like this (", result->prefill_threads,
                 result->decode_threads);
    output_escaped(&out, result->model, strlen(result->model));
    output_print(&out, ").\n");
    if (path != NULL) {
        output_print(&out, "Kept in ");
        output_escaped(&out, path, strlen(path));
        output_print(&out, ".\n");
    }
    return output_finish(&out, EXIT_SUCCESS);
}

static struct tuning result_of(const struct settings *settings, const struct tuner *tuner)
{
    const struct trial *prefill = choose(tuner, false), *decode = choose(tuner, true);
    struct tuning result = {
        .weight_bytes = tuner->loaded.info.weight_bytes,
        .prefill_threads = prefill->threads,
        .decode_threads = decode->threads,
        .prefill_rate = rate(prefill->prefill),
        .decode_rate = rate(decode->decode),
    };
    const char *name = model_name(settings, &tuner->loaded.info);
    uint32_t code;
    for (size_t i = 0, bytes; name[i] != '\0'; i += bytes) { /* as many whole characters as fit */
        bytes = utf8_character(name + i, strlen(name + i), &code);
        if (bytes == 0 || i + bytes >= sizeof result.model)
            break;
        memcpy(result.model + i, name + i, bytes);
    }
    return result;
}

static int tune(const struct settings *settings, struct tuner *tuner)
{
    const struct loaded *loaded = &tuner->loaded;
    for (size_t i = 0; i < PROMPT_MAX; i++)
        tuner->ids[i] = (mote_token)(i * 7919 % loaded->info.vocabulary); /* any will do */
    tuner->logits = calloc(loaded->info.vocabulary, sizeof *tuner->logits);
    if (tuner->logits == NULL) {
        complain("no memory for a row of logits; free some and run again");
        return EXIT_FAILURE;
    }
    choose_counts(tuner, loaded->limits.threads);
    bool measured = choose_sizes(tuner) && measure(tuner, false) && measure(tuner, true);
    free(tuner->logits);
    if (!measured) {
        complain("%s", interrupted() ? "stopped; nothing is kept" : tuner->error.text);
        return EXIT_FAILURE;
    }
    struct tunings kept;
    struct tuning result = result_of(settings, tuner);
    tunings_load(&kept);
    int status = tunings_keep(&kept, &result);
    int printed = print_result(settings, tuner, &result, status == EXIT_SUCCESS ? kept.path : NULL);
    return status != EXIT_SUCCESS ? status : printed;
}

static int print_kept(const struct settings *settings)
{
    struct tunings kept;
    struct output out = output_to(stdout, "standard output");
    tunings_load(&kept);
    if (kept.state == TUNING_DAMAGED || kept.state == TUNING_FOREIGN) {
        complain_of_tunings(&kept);
        return EXIT_FAILURE;
    }
    if (settings->json)
        return output_json(&out, tunings_json(&kept), JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    if (kept.count == 0)
        output_print(&out, "Nothing is kept; mote tune measures.\n");
    else
        output_print(&out, "threads for the prompt   for decoding   model\n");
    for (size_t i = 0; i < kept.count; i++) {
        output_print(&out, "%22u   %12u   ", kept.at[i].prefill_threads, kept.at[i].decode_threads);
        output_escaped(&out, kept.at[i].model, strlen(kept.at[i].model));
        output_print(&out, ", %s\n", human_bytes(kept.at[i].weight_bytes).text);
    }
    return output_finish(&out, EXIT_SUCCESS);
}

static int forget(void)
{
    char path[STATE_PATH_CAPACITY];
    if (!state_path(path, "tuning.json", false) || unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR)
        return EXIT_SUCCESS;
    complain("cannot delete %s: %s; delete it yourself", path, strerror(errno));
    return EXIT_FAILURE;
}

static int run(const struct settings *settings)
{
    if (settings->show && settings->forget)
        return usage_error("tune", "--show and --forget: give one of them");
    if ((settings->show || settings->forget) && settings->model != NULL)
        return usage_error("tune", "--%s measures nothing, so it takes no model", settings->show ? "show" : "forget");
    if (settings->show)
        return print_kept(settings);
    if (settings->forget)
        return forget();
    mote_cpu_info cpu;
    struct settings all = *settings;
    mote_cpu_describe(&cpu, NULL, NULL);
    all.engine.threads = cpu.processors < THREADS_MAX ? cpu.processors : THREADS_MAX;
    all.engine.batch = PROMPT_MAX;
    all.engine.context = CONTEXT;
    struct tuner *tuner = calloc(1, sizeof *tuner);
    if (tuner == NULL) {
        complain("no memory to begin; free some and run again");
        return EXIT_FAILURE;
    }
    int status = EXIT_FAILURE;
    all.engine.forgetful = true;
    if (loaded_open(&tuner->loaded, &all)) {
        status = tune(settings, tuner);
        loaded_close(&tuner->loaded);
    }
    free(tuner);
    return status;
}

const struct command command_tune = {
    .name = "tune",
    .operands = "[FILE]",
    .summary = "measure how many threads are best on this device",
    .text =
        "Runs FILE, or the model built into mote, with one thread, two, and so on, for the prompt (prefill) and for "
        "the "
        "answer (decode), and keeps the smallest count within 3% of the best of each. After the model is loaded it "
        "takes "
        "less than ten seconds. Leave the device to itself meanwhile.\n"
        "What is kept holds for models of about the same size, a quarter to four times, on this device, and is used "
        "wherever --threads is not given. Without it mote takes the fast cores that this process may use.\n"
        "It is kept in $XDG_STATE_HOME/mote/tuning.json, or ~/.local/state/mote/tuning.json.",
    .examples = "mote tune qwen3-0.6b.gguf\n"
                "mote tune --show",
    .groups = {&own_options, &model_options},
    .operands_max = 1,
    .operand_is_model = true,
    .run = run,
};
