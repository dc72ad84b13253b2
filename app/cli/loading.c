#include "loading.h"

#include <stdlib.h>

#include "interrupt.h"
#include "output.h"
#include "progress.h"
#include "tuning.h"

mote_model *load_parts(const struct settings *settings, mote_parts parts)
{
    mote_model *model;
    mote_model_options options;
    mote_error error;
    mote_model_options_init(&options);
    options.parts = parts;
    if (mote_model_open(&model, settings->model, &options, &error) != MOTE_OK)
        complain("%s", error.text);
    return model;
}

static mote_status open_model(struct loaded *loaded, const struct settings *settings, mote_error *error)
{
    mote_model_options options;
    struct progress progress;
    mote_model_options_init(&options);
    progress_start(&progress, "loading", progress_size(settings->model));
    options.cpu = settings->cpu;
    options.progress = progress_step;
    options.user = &progress;
    mote_status status = mote_model_open(&loaded->model, settings->model, &options, error);
    progress_end(&progress);
    return status;
}

/* What does not fit is refused before a weight is read. */
static mote_status plan_memory(const struct settings *settings, const mote_engine_options *options, mote_error *error)
{
    mote_memory_plan plan;
    const mote_model_options directory = {.cpu = settings->cpu};
    mote_status status = mote_plan_memory(&plan, settings->model, &directory, options, error);
    if (status == MOTE_OK && settings->verbose)
        complain("memory: %s at most, with a context of %u tokens, keys in %s, values in %s, a batch of %u",
                 human_bytes(plan.peak).text, plan.context, mote_kv_type_name(plan.kv_keys),
                 mote_kv_type_name(plan.kv_values), plan.batch);
    return status;
}

void complain_of_tunings(const struct tunings *tunings)
{
    if (tunings->state == TUNING_FOREIGN)
        complain("%s was measured on another machine (%s, %u processors) and is not used; run mote tune here",
                 tunings->path, *tunings->machine != '\0' ? tunings->machine : "unknown", tunings->processors);
    else if (tunings->state == TUNING_DAMAGED)
        complain("%s is damaged and not used; run mote tune, or mote tune --forget", tunings->path);
}

/* Threads that the user did not choose are as mote tune measured them for a model like this. True if they are. */
static bool apply_tuning(const struct settings *settings, const mote_model_info *info, mote_engine_options *options)
{
    if (options->threads != 0)
        return false;
    struct tunings *tunings = malloc(sizeof *tunings);
    const struct tuning *found = NULL;
    if (tunings != NULL) {
        tunings_load(tunings);
        if (settings->verbose || (tunings->state == TUNING_DAMAGED && !settings->quiet))
            complain_of_tunings(tunings);
        found = tunings_find(tunings, info->weight_bytes);
    }
    if (found != NULL) {
        options->decode_threads = found->decode_threads;
        if (options->prefill_threads == 0)
            options->prefill_threads = found->prefill_threads;
    }
    free(tunings);
    return found != NULL;
}

static void say(void *user, const char *sentence)
{
    (void)user;
    complain("%s", sentence);
}

bool loaded_open(struct loaded *loaded, const struct settings *settings)
{
    mote_error error;
    mote_engine_options options = settings->engine;
    double start = seconds_now();
    *loaded = (struct loaded){0};
    options.kv_keys = kv_keys_of(settings);
    options.kv_values = kv_values_of(settings);
    if (!settings->quiet)
        options.say = say;
    bool tuned = false;
    mote_status status = plan_memory(settings, &options, &error);
    if (status == MOTE_OK)
        status = open_model(loaded, settings, &error);
    if (status == MOTE_OK) {
        mote_model_describe(loaded->model, &loaded->info);
        tuned = apply_tuning(settings, &loaded->info, &options);
    }
    if (status != MOTE_OK || mote_engine_open(&loaded->engine, loaded->model, &options, &error) != MOTE_OK ||
        mote_session_open(&loaded->session, loaded->engine, &error) != MOTE_OK) {
        if (error.status == MOTE_E_CANCELLED)
            complain("stopped while loading the model; run again");
        else
            complain("%s", error.text);
        loaded_close(loaded);
        return false;
    }
    mote_engine_describe(loaded->engine, &loaded->limits);
    if (settings->verbose)
        complain("threads: %u for the prompt, %u for decoding%s", loaded->limits.prefill_threads,
                 loaded->limits.decode_threads,
                 tuned                  ? ", as mote tune measured"
                 : options.threads == 0 ? "; mote tune would measure what is best"
                                        : "");
    loaded->seconds = seconds_now() - start;
    interrupt_watch(loaded->session);
    return true;
}

void loaded_close(struct loaded *loaded)
{
    interrupt_watch(NULL);
    mote_session_close(loaded->session);
    mote_engine_close(loaded->engine);
    mote_model_close(loaded->model);
    *loaded = (struct loaded){0};
}

mote_sampling chosen_sampling(const struct settings *settings)
{
    mote_sampling sampling = settings->sampling, usual;
    mote_sampling_init(&usual);
    if (sampling.temperature < 0) /* the built-in model's answers are JSON: the likeliest is the right one */
        sampling.temperature = settings->model == NULL ? 0 : usual.temperature;
    sampling.bias = settings->biases;
    sampling.bias_count = settings->bias_count;
    return sampling;
}

const char *model_name(const struct settings *settings, const mote_model_info *info)
{
    if (info->name != NULL && *info->name != '\0')
        return info->name;
    return settings->model != NULL ? settings->model : "built-in";
}
