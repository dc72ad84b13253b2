#include "figures.h"

#include <string.h>

#include "json_output.h"

/* Tokens a second; 0 where nothing was computed. */
static double rate(size_t tokens, double seconds)
{
    return tokens > 0 && seconds > 0 ? (double)tokens / seconds : 0;
}

static size_t computed_tokens(const mote_generation *generation)
{
    return generation->prompt_tokens - generation->cached_tokens;
}

/* The first token belongs to the prompt's pass. */
static size_t decoded_tokens(const mote_generation *generation)
{
    return generation->tokens > 0 ? generation->tokens - 1 : 0;
}

static void print_duration(struct output *err, const char *name, double seconds)
{
    if (seconds < 1)
        output_print(err, "%s %.*f ms, ", name, seconds < 0.01 ? 1 : 0, seconds * 1000);
    else
        output_print(err, "%s %.2f s, ", name, seconds);
}

static void print_rate(struct output *err, const char *name, size_t tokens, double seconds)
{
    double speed = rate(tokens, seconds);
    output_print(err, "%s %zu token%s at %.*f tok/s, ", name, tokens, tokens == 1 ? "" : "s", speed < 100 ? 1 : 0,
                 speed);
}

void figures_print(const struct figures *figures)
{
    const mote_generation *generation = &figures->generation;
    struct output err = output_to(stderr, "standard error");
    print_duration(&err, "load", figures->load_seconds);
    print_duration(&err, "first token", generation->first_token_seconds);
    print_rate(&err, "prefill", computed_tokens(generation), generation->prefill_seconds);
    print_rate(&err, "decode", decoded_tokens(generation), generation->decode_seconds);
    output_print(&err, "peak memory %s", human_bytes(mote_peak_memory()).text);
    if (generation->cached_tokens > 0)
        output_print(&err, ", %zu tokens of the prompt known", generation->cached_tokens);
    if (generation->shifted_tokens > 0)
        output_print(&err, ", %zu tokens forgotten", generation->shifted_tokens);
    if (generation->finish != MOTE_FINISH_END)
        output_print(&err, " (%s)", mote_finish_name(generation->finish));
    output_print(&err, "\n");
    fflush(stderr);
}

json_t *figures_json(const struct figures *figures, const char *model, uint64_t seed, const char *text, size_t length)
{
    const mote_generation *made = &figures->generation;
    /* clang-format off */
    return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:o, s:I}",
        "text", json_text(text, length),
        "finish", mote_finish_name(made->finish),
        "prompt_tokens", (json_int_t)made->prompt_tokens,
        "cached_tokens", (json_int_t)made->cached_tokens,
        "tokens", (json_int_t)made->tokens,
        "shifted_tokens", (json_int_t)made->shifted_tokens,
        "load_seconds", figures->load_seconds,
        "first_token_seconds", made->first_token_seconds,
        "prefill_seconds", made->prefill_seconds,
        "decode_seconds", made->decode_seconds,
        "prefill_tokens_per_second", rate(computed_tokens(made), made->prefill_seconds),
        "decode_tokens_per_second", rate(decoded_tokens(made), made->decode_seconds),
        "peak_memory_bytes", (json_int_t)mote_peak_memory(),
        "model", json_text(model, strlen(model)),
        "seed", (json_int_t)seed);
    /* clang-format on */
}
