/* The expressions are recognised by their text: they are few, and published tokenizers write them alike. */
#include "prepare/convert_words.h"

#define ELSEWHERE "choose another model"

enum { MOST_STEPS = 8 }; /* of a sequence */

#define CONTRACTIONS   "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define MAYBE_IN_FRONT "[^\\r\\n\\p{L}\\p{N}]?"
#define SPACES         "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CAPITALS       "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SMALL          "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

static const struct {
    const char *expression;
    const char *words;
} expressions[] = {
    {CONTRACTIONS "|" MAYBE_IN_FRONT "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES, "qwen2"},
    {CONTRACTIONS "|" MAYBE_IN_FRONT "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES, "llama-bpe"},
    {MAYBE_IN_FRONT CAPITALS "*" SMALL "+" CONTRACTIONS "?|" MAYBE_IN_FRONT CAPITALS "+" SMALL "*" CONTRACTIONS
                             "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES,
     "gpt-4o"},
};

/* The steps of a normalizer, pre-tokenizer or post-processor: itself, or those of a sequence. False: more than anybody has. */
typedef struct step_list {
    json_value at[MOST_STEPS];
    size_t count;
} step_list;

static bool list_steps(json_value it, const char *inner, step_list *steps)
{
    *steps = (step_list){.count = 0};
    if (json_kind_of(it) <= JSON_NULL)
        return true;
    if (!json_is_text(json_get(it, "type"), "Sequence")) {
        steps->at[steps->count++] = it;
        return true;
    }
    json_value list = json_get(it, inner);
    for (json_value step = json_first(list); json_is(step); step = json_next(list, step)) {
        if (steps->count == MOST_STEPS)
            return false;
        steps->at[steps->count++] = step;
    }
    return true;
}

static bool is_type(json_value step, const char *type)
{
    return json_is_text(json_get(step, "type"), type);
}

static bool is_true(json_value object, const char *key)
{
    return json_kind_of(json_get(object, key)) == JSON_TRUE;
}

/* ---------------------------------------------------------------------------------------------------------- byte-level */

static const char *words_of_split(json_value step)
{
    json_value expression = json_get(json_get(step, "pattern"), "Regex");
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
        if (json_is_text(expression, expressions[i].expression))
            return expressions[i].words;
    return NULL;
}

/* The last step writes bytes as characters; the one before, or that itself, cuts. */
static const char *find_words(json_value root)
{
    step_list steps;
    if (!list_steps(json_get(root, "pre_tokenizer"), "pretokenizers", &steps) || steps.count == 0)
        return NULL;
    json_value last = steps.at[steps.count - 1];
    bool cuts = json_kind_of(json_get(last, "use_regex")) != JSON_FALSE; /* where it does not say, it does */
    if (!is_type(last, "ByteLevel") || is_true(last, "add_prefix_space") || steps.count > 2)
        return NULL;
    if (steps.count == 1)
        return cuts ? "gpt-2" : NULL;
    if (is_type(steps.at[0], "Digits") && is_true(steps.at[0], "individual_digits"))
        return cuts ? "smollm" : NULL;
    return is_type(steps.at[0], "Split") && !cuts ? words_of_split(steps.at[0]) : NULL;
}

static mote_status read_byte_level(convert_vocabulary *v, json_value root, mote_error *error)
{
    step_list normal;
    const char *name = json_name(v->document);
    v->words = find_words(root);
    if (v->words == NULL)
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: its pre-tokenizer is none of those of GPT-2, SmolLM2, Qwen2, Llama 3 and GPT-4o; " ELSEWHERE,
                    name);
    bool listed = list_steps(json_get(root, "normalizer"), "normalizers", &normal);
    bool composes = strcmp(v->words, "qwen2") == 0; /* mote composes for these */
    if (!listed || normal.count > 1 || (normal.count == 1 && !(composes && is_type(normal.at[0], "NFC"))))
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: its text is normalized otherwise than that of other %s tokenizers; " ELSEWHERE, name,
                    v->words);
    if ((strcmp(v->words, "llama-bpe") == 0) != is_true(v->model, "ignore_merges"))
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: words that are tokens are merged, or not, otherwise than by other %s tokenizers; " ELSEWHERE,
                    name, v->words);
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------------- SentencePiece */

/* Spaces become "▁", with one in front (Llama 2) or not (Gemma). A split at spaces behind that finds none. */
static mote_status read_sentencepiece(convert_vocabulary *v, json_value root, mote_error *error)
{
    step_list steps;
    bool sound = list_steps(json_get(root, "normalizer"), "normalizers", &steps), replaces = false;
    for (size_t i = 0; i < steps.count; i++) {
        json_value step = steps.at[i];
        if (is_type(step, "Prepend") && json_is_text(json_get(step, "prepend"), SPACE_MARK))
            v->space_prefix = true;
        else if (is_type(step, "Replace") && json_is_text(json_get(json_get(step, "pattern"), "String"), " ") &&
                 json_is_text(json_get(step, "content"), SPACE_MARK))
            replaces = true;
        else
            sound = false;
    }
    json_value cut = json_get(root, "pre_tokenizer");
    bool cuts = json_kind_of(cut) > JSON_NULL &&
                !(is_type(cut, "Split") && json_is_text(json_get(json_get(cut, "pattern"), "String"), " "));
    if (!sound || !replaces || cuts)
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: its normalizer and pre-tokenizer are not those of Gemma or Llama 2, nor are they "
                    "byte-level; " ELSEWHERE,
                    json_name(v->document));
    return MOTE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- ends */

/* A template puts tokens in front of a text, "A", and behind it. */
static void read_template(convert_vocabulary *v, json_value step)
{
    json_value single = json_get(step, "single");
    bool behind = false;
    for (json_value item = json_first(single); json_is(item); item = json_next(single, item)) {
        if (json_is(json_get(item, "Sequence")))
            behind = true;
        else if (json_is(json_get(item, "SpecialToken")))
            *(behind ? &v->ends : &v->begins) = true;
    }
}

mote_status convert_words_read(convert_vocabulary *v, mote_error *error)
{
    step_list steps;
    json_value root = json_root(v->document);
    bool bytes = is_true(v->model, "byte_fallback");
    mote_status status = bytes ? read_sentencepiece(v, root, error) : read_byte_level(v, root, error);
    if (status != MOTE_OK)
        return status;
    if (!list_steps(json_get(root, "post_processor"), "processors", &steps))
        return fail(error, MOTE_E_UNSUPPORTED, "%s: its post-processor has more than %d steps; " ELSEWHERE,
                    json_name(v->document), MOST_STEPS);
    for (size_t i = 0; i < steps.count; i++) {
        if (is_type(steps.at[i], "TemplateProcessing"))
            read_template(v, steps.at[i]);
        else if (!is_type(steps.at[i], "ByteLevel"))
            return fail(error, MOTE_E_UNSUPPORTED, "%s: its post-processor is of a kind that mote lacks; " ELSEWHERE,
                        json_name(v->document));
    }
    return MOTE_OK;
}
