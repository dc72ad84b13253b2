/* Words are grown as byte-pair encoding grows them: letters first, then all pairs of letters, then ever longer joints of
 * what there is, early ones more often. Every word but a letter is a merge of two earlier ones, so that each of them can
 * come out of a text.
 *
 * Special tokens and their ids are those of the published tokenizer.json files. Chat templates are short ones of our own,
 * which render the families' formats for plain conversations. */
#include "prepare/synth_vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prepare/synth_blocks.h"
#include "text/byte_map.h"
#include "text/vocabulary.h"

enum { NO_TOKEN = -1, LONGEST_WORD = 16, LETTERS = 26, LONGEST_RUN = 40 };

typedef struct special {
    uint32_t id;
    const char *text;
} special;

typedef struct token_facts {
    const char *pre; /* NULL: SentencePiece */
    uint32_t first_word;
    uint32_t words; /* their ids follow each other */
    int begin, end, pad, unknown;
    bool add_begin;
    uint32_t bytes;          /* SentencePiece: id of <0x00>; 255 more follow */
    uint32_t newlines;       /* SentencePiece: ids of runs of 1 to 31 line feeds, and of 2 to 32 spaces after them */
    const char *filler[2];   /* what ids without a meaning are called: these around the id */
    const special *specials; /* ends in a NULL text */
    const char *template;
} token_facts;

/* ------------------------------------------------------------------------------------------------------------- facts */

static const special smollm2_specials[] = {
    {0, "<|endoftext|>"},     {1, "<|im_start|>"},    {2, "<|im_end|>"},
    {3, "<repo_name>"},       {4, "<reponame>"},      {5, "<file_sep>"},
    {6, "<filename>"},        {7, "<gh_stars>"},      {8, "<issue_start>"},
    {9, "<issue_comment>"},   {10, "<issue_closed>"}, {11, "<jupyter_start>"},
    {12, "<jupyter_text>"},   {13, "<jupyter_code>"}, {14, "<jupyter_output>"},
    {15, "<jupyter_script>"}, {16, "<empty_output>"}, {0, NULL},
};

#define QWEN_SPECIALS                                                                                                  \
    {151643, "<|endoftext|>"}, {151644, "<|im_start|>"}, {151645, "<|im_end|>"}, {151646, "<|object_ref_start|>"},     \
        {151647, "<|object_ref_end|>"}, {151648, "<|box_start|>"}, {151649, "<|box_end|>"},                            \
        {151650, "<|quad_start|>"}, {151651, "<|quad_end|>"}, {151652, "<|vision_start|>"},                            \
        {151653, "<|vision_end|>"}, {151654, "<|vision_pad|>"}, {151655, "<|image_pad|>"}, {151656, "<|video_pad|>"},  \
        {151657, "<tool_call>"}, {151658, "</tool_call>"}, {151659, "<|fim_prefix|>"}, {151660, "<|fim_middle|>"},     \
        {151661, "<|fim_suffix|>"}, {151662, "<|fim_pad|>"}, {151663, "<|repo_name|>"},                                \
    {                                                                                                                  \
        151664, "<|file_sep|>"                                                                                         \
    }

static const special qwen2_specials[] = {QWEN_SPECIALS, {0, NULL}};
static const special qwen3_specials[] = {
    QWEN_SPECIALS,       {151665, "<tool_response>"}, {151666, "</tool_response>"},
    {151667, "<think>"}, {151668, "</think>"},        {0, NULL},
};

static const special gemma3_specials[] = {
    {0, "<pad>"},
    {1, "<eos>"},
    {2, "<bos>"},
    {3, "<unk>"},
    {4, "<mask>"},
    {5, "[multimodal]"},
    {105, "<start_of_turn>"},
    {106, "<end_of_turn>"},
    {255999, "<start_of_image>"},
    {256000, "<end_of_image>"},
    {0, NULL},
};

static const special phi4_specials[] = {
    {199999, "<|endoftext|>"},
    {200018, "<|endofprompt|>"},
    {200019, "<|assistant|>"},
    {200020, "<|end|>"},
    {200021, "<|user|>"},
    {200022, "<|system|>"},
    {200023, "<|tool|>"},
    {200024, "<|/tool|>"},
    {200025, "<|tool_call|>"},
    {200026, "<|/tool_call|>"},
    {200027, "<|tool_response|>"},
    {200028, "<|tag|>"},
    {0, NULL},
};

#define CHATML_WITH_SYSTEM(system)                                                                                     \
    "{%- if not messages or messages[0].role != 'system' -%}<|im_start|>system\n" system                               \
    "<|im_end|>\n{% endif -%}" CHATML
#define CHATML                                                                                                         \
    "{%- for message in messages -%}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor -%}"    \
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
#define SMOLLM2_TEMPLATE CHATML_WITH_SYSTEM("You are a helpful AI assistant named SmolLM, trained by Hugging Face")
#define QWEN2_TEMPLATE   CHATML_WITH_SYSTEM("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")
#define QWEN3_TEMPLATE                                                                                                 \
    "{%- for message in messages -%}<|im_start|>{{ message.role }}\n"                                                  \
    "{{ message.content.split('</think>')[-1].lstrip('\\n') if message.role == 'assistant' else message.content }}"    \
    "<|im_end|>\n{% endfor -%}{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
#define GEMMA3_TEMPLATE                                                                                                \
    "{{ bos_token }}{%- set ns = namespace(first='') -%}{%- for message in messages -%}"                               \
    "{%- if message.role == 'system' -%}{%- set ns.first = message.content + '\\n\\n' -%}{%- else -%}"                 \
    "<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}\n"                                  \
    "{{ ns.first }}{{ message.content | trim }}<end_of_turn>\n{% set ns.first = '' -%}{%- endif -%}{%- endfor -%}"     \
    "{%- if add_generation_prompt -%}<start_of_turn>model\n{% endif -%}"
#define PHI4_TEMPLATE                                                                                                  \
    "{%- for message in messages -%}<|{{ message.role }}|>{{ message.content }}<|end|>{%- endfor -%}"                  \
    "{%- if add_generation_prompt -%}<|assistant|>{%- else -%}<|endoftext|>{%- endif -%}"

static const token_facts facts[] = {
    [VOCABULARY_SMOLLM2] =
        {"smollm", 17, 49152 - 17, 1, 2, 2, 0, false, 0, 0, {"<", ">"}, smollm2_specials, SMOLLM2_TEMPLATE},
    [VOCABULARY_QWEN2] = {"qwen2",
                          0,
                          151643,
                          151643,
                          151645,
                          151643,
                          NO_TOKEN,
                          false,
                          0,
                          0,
                          {"[PAD", "]"},
                          qwen2_specials,
                          QWEN2_TEMPLATE},
    [VOCABULARY_QWEN3] = {"qwen2",
                          0,
                          151643,
                          151643,
                          151645,
                          151643,
                          NO_TOKEN,
                          false,
                          0,
                          0,
                          {"[PAD", "]"},
                          qwen3_specials,
                          QWEN3_TEMPLATE},
    [VOCABULARY_GEMMA3] =
        {NULL, 494, 255999 - 494, 2, 1, 0, 3, true, 238, 107, {"<unused", ">"}, gemma3_specials, GEMMA3_TEMPLATE},
    [VOCABULARY_PHI4] = {"gpt-4o",
                         0,
                         199998,
                         199999,
                         199999,
                         199999,
                         199999,
                         false,
                         0,
                         0,
                         {"<|dummy_", "|>"},
                         phi4_specials,
                         PHI4_TEMPLATE},
};

/* ------------------------------------------------------------------------------------------------------------- words */

typedef struct word {
    uint32_t left, right; /* a merge of these; a letter: NO_WORD */
    uint8_t length;
    bool open; /* begins with a space */
    char text[LONGEST_WORD];
} word;

#define NO_WORD UINT32_MAX

typedef struct lexicon {
    word *at;
    uint32_t count;
    uint32_t *slots;
    hash_index index;         /* over the slots */
    uint32_t letter[LETTERS]; /* a … z */
    uint32_t space;
    uint32_t letters; /* the words that are no merges */
} lexicon;

/* False if it is too long, or there already. */
static bool add_word(lexicon *l, word next)
{
    uint64_t hash = hash_bytes(next.text, next.length);
    hash_probe probe = hash_index_begin(&l->index, hash);
    for (uint32_t known; hash_index_next(&l->index, &probe, &known);)
        if (l->at[known].length == next.length && memcmp(l->at[known].text, next.text, next.length) == 0)
            return false;
    if (!hash_index_put(l->slots, &probe, l->count))
        return false;
    l->at[l->count++] = next;
    return true;
}

static bool join(lexicon *l, uint32_t left, uint32_t right)
{
    const word *a = &l->at[left], *b = &l->at[right];
    word next = {left, right, 0, a->open, ""};
    if (a->length + b->length > LONGEST_WORD)
        return false;
    memcpy(next.text, a->text, a->length);
    memcpy(next.text + a->length, b->text, b->length);
    next.length = (uint8_t)(a->length + b->length);
    return add_word(l, next);
}

static void add_letter(lexicon *l, const char *text, size_t length, unsigned char byte)
{
    word next = {NO_WORD, NO_WORD, (uint8_t)length, byte == ' ', ""};
    memcpy(next.text, text, length);
    if (byte == ' ')
        l->space = l->count;
    if (byte >= 'a' && byte <= 'z')
        l->letter[byte - 'a'] = l->count;
    add_word(l, next);
}

/* All bytes, printable ones first as GPT-2's vocabulary has them; or the characters of ASCII that print. */
static void add_letters(lexicon *l, bool byte_level)
{
    char text[4];
    if (!byte_level)
        add_letter(l, SPACE_MARK, SPACE_MARK_LENGTH, ' ');
    for (uint32_t code = 0; code < 0x144; code++) {
        int byte = byte_level ? byte_map_byte(code) : code > ' ' && code < 0x7f ? (int)code : -1;
        char raw = (char)byte;
        if (byte >= 0)
            add_letter(l, text, byte_map_write(&raw, 1, text), (unsigned char)byte);
    }
    l->letters = l->count;
}

/* A word, or a small letter; low numbers more often. */
static uint32_t draw(const lexicon *l, uint64_t *state)
{
    uint64_t bits = synth_bits(state), choices = LETTERS + (l->count - l->letters);
    uint32_t chosen = (uint32_t)(((choices * (bits & 0xffffff) >> 24) * (bits >> 40)) >> 24);
    return chosen < LETTERS ? l->letter[chosen] : l->letters + chosen - LETTERS;
}

static mote_status grow(lexicon *l, uint32_t wanted, bool byte_level, mote_error *error)
{
    uint64_t state = 1;
    size_t slots = hash_index_slots(wanted);
    *l = (lexicon){.at = calloc(wanted, sizeof *l->at), .slots = calloc(slots, sizeof *l->slots)};
    if (l->at == NULL || l->slots == NULL)
        return fail_memory(error, wanted * sizeof *l->at + slots * sizeof *l->slots, "a vocabulary");
    l->index = hash_index_over(l->slots, wanted);
    add_letters(l, byte_level);
    for (int a = 0; a < LETTERS; a++)
        join(l, l->space, l->letter[a]);
    for (int a = 0; a < LETTERS * LETTERS; a++)
        join(l, l->letter[a / LETTERS], l->letter[a % LETTERS]);
    while (l->count < wanted) {
        uint32_t left = draw(l, &state), right = draw(l, &state);
        if (!l->at[right].open)
            join(l, left, right);
    }
    return MOTE_OK;
}

static void lexicon_free(lexicon *l)
{
    free(l->at);
    free(l->slots);
}

/* ------------------------------------------------------------------------------------------------------------ tokens */

typedef struct token {
    gguf_string text;
    token_kind kind;
    float score;
    char room[LONGEST_RUN];
} token;

enum { RUNS = 31 }; /* of line feeds, and as many of spaces */

/* Fills `t`, which must stay where it is. */
static void describe(const token_facts *f, const lexicon *l, uint32_t id, token *t)
{
    const special *s = f->specials;
    *t = (token){.kind = TOKEN_UNUSED};
    while (s->text != NULL && s->id != id)
        s++;
    if (s->text != NULL) {
        t->kind = (int)id == f->unknown && f->pre == NULL ? TOKEN_UNKNOWN : TOKEN_CONTROL;
        t->text = (gguf_string){s->text, strlen(s->text)};
    } else if (id >= f->first_word && id - f->first_word < f->words) {
        const word *w = &l->at[id - f->first_word];
        t->kind = TOKEN_NORMAL;
        t->score = -(float)(id - f->first_word);
        t->text = (gguf_string){w->text, w->length};
    } else if (f->bytes != 0 && id >= f->bytes && id - f->bytes < 256) {
        t->kind = TOKEN_BYTE;
        t->text = (gguf_string){t->room, (size_t)snprintf(t->room, sizeof t->room, "<0x%02X>", id - f->bytes)};
    } else if (f->newlines != 0 && id >= f->newlines && id - f->newlines < 2 * RUNS) {
        bool spaces = id - f->newlines >= RUNS;
        size_t length = spaces ? id - f->newlines - RUNS + 2 : id - f->newlines + 1;
        t->kind = TOKEN_USER;
        t->text = (gguf_string){memset(t->room, spaces ? ' ' : '\n', length), length};
    } else {
        int length = snprintf(t->room, sizeof t->room, "%s%u%s", f->filler[0], id, f->filler[1]);
        t->text = (gguf_string){t->room, (size_t)length};
    }
}

static void write_texts(gguf_output *out, const token_facts *f, const lexicon *l, uint32_t count)
{
    token t;
    gguf_output_strings(out, "tokenizer.ggml.tokens", count);
    for (uint32_t id = 0; id < count; id++) {
        describe(f, l, id, &t);
        gguf_output_item(out, t.text);
    }
}

static mote_status write_kinds(gguf_output *out, const token_facts *f, const lexicon *l, uint32_t count,
                               mote_error *error)
{
    token t;
    int32_t *kinds = calloc(count, sizeof *kinds);
    float *scores = calloc(count, sizeof *scores);
    if (kinds != NULL && scores != NULL) {
        for (uint32_t id = 0; id < count; id++) {
            describe(f, l, id, &t);
            kinds[id] = (int32_t)t.kind;
            scores[id] = t.score;
        }
        gguf_output_numbers(out, "tokenizer.ggml.token_type", GGUF_I32, count, kinds);
        if (f->pre == NULL)
            gguf_output_numbers(out, "tokenizer.ggml.scores", GGUF_F32, count, scores);
    }
    bool made = kinds != NULL && scores != NULL;
    free(kinds);
    free(scores);
    return made ? MOTE_OK : fail_memory(error, count * (sizeof *kinds + sizeof *scores), "a vocabulary");
}

static void write_merges(gguf_output *out, const lexicon *l)
{
    char text[LONGEST_WORD + 1];
    gguf_output_strings(out, "tokenizer.ggml.merges", l->count - l->letters);
    for (uint32_t i = l->letters; i < l->count; i++) {
        const word *w = &l->at[i];
        size_t left = l->at[w->left].length;
        memcpy(text, w->text, left);
        text[left] = ' ';
        memcpy(text + left + 1, w->text + left, w->length - left);
        gguf_output_item(out, (gguf_string){text, w->length + 1u});
    }
}

static void write_id(gguf_output *out, const char *key, int id)
{
    if (id >= 0)
        gguf_output_u32(out, key, (uint32_t)id);
}

mote_status synth_vocabulary_write(gguf_output *out, const model_shape *shape, mote_error *error)
{
    const token_facts *f = &facts[shape->vocabulary];
    lexicon l;
    mote_status status = grow(&l, f->words, f->pre != NULL, error);
    if (status == MOTE_OK) {
        gguf_output_text(out, "tokenizer.ggml.model", f->pre != NULL ? "gpt2" : "llama");
        gguf_output_text(out, "tokenizer.ggml.pre", f->pre != NULL ? f->pre : "default");
        write_texts(out, f, &l, shape->tokens);
        status = write_kinds(out, f, &l, shape->tokens, error);
        if (f->pre != NULL)
            write_merges(out, &l);
        write_id(out, "tokenizer.ggml.bos_token_id", f->begin);
        write_id(out, "tokenizer.ggml.eos_token_id", f->end);
        write_id(out, "tokenizer.ggml.padding_token_id", f->pad);
        write_id(out, "tokenizer.ggml.unknown_token_id", f->unknown);
        gguf_output_bool(out, "tokenizer.ggml.add_bos_token", f->add_begin);
        if (f->pre == NULL)
            gguf_output_bool(out, "tokenizer.ggml.add_space_prefix", false);
        gguf_output_text(out, "tokenizer.chat_template", f->template);
    }
    lexicon_free(&l);
    return status;
}
