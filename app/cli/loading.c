#include "loading.h"

#include "interrupt.h"
#include "output.h"
#include "progress.h"

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
    options.progress = progress_step;
    options.user = &progress;
    mote_status status = mote_model_open(&loaded->model, settings->model, &options, error);
    progress_end(&progress);
    return status;
}

bool loaded_open(struct loaded *loaded, const struct settings *settings)
{
    mote_error error;
    mote_engine_options options = settings->engine;
    double start = seconds_now();
    *loaded = (struct loaded){0};
    if (settings->kv != 0)
        options.kv = (mote_kv_type)(settings->kv - 1);
    if (open_model(loaded, settings, &error) != MOTE_OK ||
        mote_engine_open(&loaded->engine, loaded->model, &options, &error) != MOTE_OK ||
        mote_session_open(&loaded->session, loaded->engine, &error) != MOTE_OK) {
        if (error.status == MOTE_E_CANCELLED)
            complain("stopped while loading the model; run again");
        else
            complain("%s", error.text);
        loaded_close(loaded);
        return false;
    }
    mote_model_describe(loaded->model, &loaded->info);
    mote_engine_describe(loaded->engine, &loaded->limits);
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
