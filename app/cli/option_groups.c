/* The options that several commands share. */
#include "options.h"

#define AT(field) offsetof(struct settings, field)

static const struct option model_table[] = {
    {"model", 'm', OPTION_TEXT, "FILE", 1, 4096, AT(model),
     "The model: a GGUF file, or any part of a split one. Without it the model built into mote is used."},
    {0},
};
const struct option_group model_options = {"Model", model_table};

static const struct option machine_table[] = {
    {"ctx", 'c', OPTION_COUNT, "N", 1, 1 << 24, AT(engine.context),
     "How many tokens of prompt and answer fit together. Default: what the model was made for, at most 4096, and less "
     "where memory is short."},
    {"memory", 0, OPTION_SIZE, "SIZE", 0, 0, AT(engine.memory),
     "The most memory to have resident, mapped files counted: 256M, 1.5G, 300MiB (MB and GB are powers of 1000). What "
     "fits is found before the model is loaded: a smaller --batch first, then --kv q8 or q4, then a smaller context, "
     "unless "
     "these were given; mote plan shows it. Default: what the machine, control groups and resource limits leave free."},
    {"threads", 't', OPTION_COUNT, "N", 1, 1024, AT(engine.threads),
     "Processors to use. Default: as mote tune has measured, or the fast ones that this process may use."},
    {"threads-batch", 0, OPTION_COUNT, "N", 1, 1024, AT(engine.prefill_threads),
     "Processors for the prompt, where it is better with more or fewer than the answer. Default: as --threads."},
    {"batch", 0, OPTION_COUNT, "N", 1, 65536, AT(engine.batch),
     "Tokens of the prompt computed together at most. Default: 256, and 128 down to 16 where memory is short."},
    {"kv", 0, OPTION_CHOICE, KV_TYPES, 0, 0, AT(kv),
     "Number format of the memory of earlier tokens: f32 is exact, f16 takes half its space, q8 little more than a "
     "quarter, q4 than an eighth. Default: f16, and q8 or q4 where memory is short."},
    {"kv-values", 0, OPTION_CHOICE, KV_TYPES, 0, 0, AT(kv_values),
     "Another format than that of --kv for values. Default: as --kv."},
    {"verbose", 'v', OPTION_FLAG, NULL, 0, 0, AT(verbose),
     "Say on standard error what memory was planned, how many threads run, and why that many."},
    {0},
};
const struct option_group machine_options = {"Machine", machine_table};

static const struct option context_table[] = {
    {"on-full", 0, OPTION_CHOICE, ON_FULL, 0, 0, AT(on_full),
     "When the context is full: error ends there and says so; shift keeps the beginning, in a chat the system message, "
     "and what was said last, and forgets what lies between, which takes a pause each time. Default: error."},
    {"cache", 0, OPTION_TEXT, "DIR", 1, 4096, AT(engine.cache_directory),
     "Keep what prompts of 64 tokens and more have left in memory in DIR, and read what a later prompt has in common "
     "with "
     "them in place of computing it again. DIR is made if need be; who can read it can read the prompts."},
    {"cache-size", 0, OPTION_SIZE, "SIZE", 0, 0, AT(engine.cache_bytes),
     "The most that --cache may hold: 512M, 2G. What was used longest ago goes first. Default: 1G."},
    {"cache-daily", 0, OPTION_SIZE, "SIZE", 0, 0, AT(engine.cache_daily_bytes),
     "The most that --cache may write in a day, so that a memory card lasts. Default: 2G."},
    {0},
};
const struct option_group context_options = {"Context", context_table};

static const struct option sampling_table[] = {
    {"temp", 0, OPTION_REAL, "T", 0, 100, AT(sampling.temperature),
     "How freely tokens are drawn: 0 always takes the likeliest, 1 follows the model. Default: 0 for the built-in "
     "model, 0.7 for others."},
    {"top-k", 0, OPTION_COUNT, "N", 0, 1 << 24, AT(sampling.top_k),
     "Draw from the N likeliest tokens; 0 from all. Default: 40."},
    {"top-p", 0, OPTION_REAL, "P", 0, 1, AT(sampling.top_p),
     "Draw from the likeliest tokens that make up the share P. Default: 0.95; 1 turns it off."},
    {"min-p", 0, OPTION_REAL, "P", 0, 1, AT(sampling.min_p),
     "Leave out tokens less likely than P times the likeliest. Default: 0.05; 0 turns it off."},
    {"typical-p", 0, OPTION_REAL, "P", 0, 1, AT(sampling.typical_p),
     "Draw from the tokens of the most typical surprise that make up the share P. Default: 1, off."},
    {"repeat-penalty", 0, OPTION_REAL, "R", 0.01, 100, AT(sampling.repeat_penalty),
     "Make tokens that have appeared less likely by the factor R. Default: 1, off."},
    {"presence-penalty", 0, OPTION_REAL, "R", -100, 100, AT(sampling.presence_penalty),
     "Lower the logit of each token that has appeared by R. Default: 0, off."},
    {"frequency-penalty", 0, OPTION_REAL, "R", -100, 100, AT(sampling.frequency_penalty),
     "Lower the logit of a token by R for each time it has appeared. Default: 0, off."},
    {"repeat-last-n", 0, OPTION_COUNT, "N", 0, 4096, AT(sampling.penalty_window),
     "How many of the last tokens the penalties look at. Default: 64."},
    {"logit-bias", 0, OPTION_BIAS, "ID=B", -10000, 10000, AT(biases),
     "Add B to the logit of the token ID (see mote tokenize). May be repeated."},
    {"seed", 0, OPTION_NUMBER, "N", 0, 0, AT(sampling.seed),
     "Where the draws begin: the same number and input give the same answer. Default: different each time."},
    {0},
};
const struct option_group sampling_options = {"Sampling", sampling_table};
