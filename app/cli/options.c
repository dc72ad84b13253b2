/* The table-driven parser. Numbers are strict: the whole word must be one, and in its range. */
#include "options.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "output.h"

enum { NAME_MAX_LENGTH = 32 }; /* of a word that can be a mistyped name */

void settings_init(struct settings *settings)
{
    memset(settings, 0, sizeof *settings);
    mote_engine_options_init(&settings->engine);
    mote_sampling_init(&settings->sampling);
    settings->sampling.temperature = -1;
    uint32_t seed; /* short enough to be typed again */
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0)
        seed = (uint32_t)time(NULL); /* so early after a boot that the kernel has no entropy */
    settings->sampling.seed = seed;
}

int usage_error(const char *command_name, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t length = strlen(text);
    const char *joint = length > 0 && text[length - 1] == '?' ? " " : "; ";
    complain("%s%ssee mote help%s%s", text, joint, *command_name ? " " : "", command_name);
    return EXIT_USAGE;
}

/* ----------------------------------------------------------------------------------------------------- nearest name */

/* Edits that turn one name into the other: insert, delete or replace a letter, or swap two neighbours (Damerau and
 * Levenshtein's restricted distance, three rows of the table at a time). */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][NAME_MAX_LENGTH + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > NAME_MAX_LENGTH || b_length > NAME_MAX_LENGTH)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        before[j] = last[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[b_length];
}

/* How far a mistyped word is from a name; SIZE_MAX if too far to be meant. One being the start of the other counts as
 * near: "temperature" means "temp", "freq" means "frequency-penalty". */
static size_t name_distance(const char *word, const char *name)
{
    size_t word_length = strlen(word), name_length = strlen(name);
    size_t shorter = word_length < name_length ? word_length : name_length;
    if (shorter >= 3 && strncmp(word, name, shorter) == 0)
        return 1;
    size_t distance = edit_distance(word, name);
    return distance <= (shorter + 2) / 3 ? distance : SIZE_MAX;
}

static const struct option *nearest_option(const struct command *command, const char *word)
{
    const struct option *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t g = 0; command->groups[g] != NULL; g++) {
        for (const struct option *o = command->groups[g]->options; o->name != NULL; o++) {
            size_t distance = name_distance(word, o->name);
            if (distance < best) {
                best = distance;
                nearest = o;
            }
        }
    }
    return nearest;
}

const struct command *command_nearest(const char *word)
{
    const struct command *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; commands[i] != NULL; i++) {
        size_t distance = name_distance(word, commands[i]->name);
        if (distance < best) {
            best = distance;
            nearest = commands[i];
        }
    }
    return nearest;
}

const struct command *command_find(const char *const *words, size_t count, size_t *used)
{
    for (size_t i = 0; count > 0 && commands[i] != NULL; i++) {
        const char *space = strchr(commands[i]->name, ' ');
        if (space == NULL && strcmp(words[0], commands[i]->name) == 0) {
            *used = 1;
            return commands[i];
        }
        size_t first = space != NULL ? (size_t)(space - commands[i]->name) : 0;
        if (space != NULL && count > 1 && strlen(words[0]) == first &&
            strncmp(words[0], commands[i]->name, first) == 0 && strcmp(words[1], space + 1) == 0) {
            *used = 2;
            return commands[i];
        }
    }
    return NULL;
}

/* ----------------------------------------------------------------------------------------------------------- values */

bool parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    if (value < low || value > high)
        return false;
    *out = value;
    return true;
}

bool parse_size(const char *text, uint64_t *out)
{
    static const char letters[] = "KMGTP";
    size_t digits = strspn(text, "0123456789"), fraction = 0;
    const char *unit = text + digits;
    if (*unit == '.') {
        fraction = strspn(unit + 1, "0123456789");
        unit += 1 + fraction;
    }
    if (digits == 0 || digits > 19 || (unit != text + digits && fraction == 0))
        return false;
    double bytes = strtod(text, NULL), base = 1024;
    const char *letter = *unit != '\0' ? strchr(letters, toupper((unsigned char)*unit)) : NULL;
    if (letter != NULL) {
        unit++;
        if (strcmp(unit, "B") == 0) /* as on the box that a memory comes in: MB are powers of ten */
            base = 1000;
        for (ptrdiff_t i = letter - letters; i >= 0; i--)
            bytes *= base;
        unit += strcmp(unit, "B") == 0 ? 1 : strcmp(unit, "iB") == 0 ? 2 : 0;
    } else if (fraction > 0) {
        return false;
    }
    if (*unit != '\0' || bytes < 1 || bytes >= 0x1p63)
        return false;
    *out = (uint64_t)bytes;
    return true;
}

/* A decimal number; no spaces, no hexadecimal, no infinity, no NaN. */
static bool parse_real(const char *text, double low, double high, float *out)
{
    char *end;
    if (text[strspn(text, "0123456789+-.eE")] != '\0' || *text == '\0')
        return false;
    double value = strtod(text, &end);
    if (*end != '\0' || !isfinite(value) || value < low || value > high)
        return false;
    *out = (float)value;
    return true;
}

static bool parse_text(const struct option *option, const char *text)
{
    size_t length = strlen(text);
    return length >= (size_t)option->low && length <= (size_t)option->high;
}

static bool parse_choice(const char *text, const char *words, uint32_t *out)
{
    size_t length = strlen(text);
    for (uint32_t index = 1;; index++) {
        size_t word = strcspn(words, "|");
        if (word == length && strncmp(words, text, word) == 0) {
            *out = index;
            return true;
        }
        if (words[word] == '\0')
            return false;
        words += word + 1;
    }
}

static int wrong_value(const struct command *command, const struct option *option, const char *text)
{
    switch (option->kind) {
    case OPTION_COUNT:
        return usage_error(command->name, "--%s wants a whole number from %.0f to %.0f, not '%s'", option->name,
                           option->low, option->high, text);
    case OPTION_COUNTS:
        return usage_error(command->name,
                           "--%s wants at most %d whole numbers from %.0f to %.0f, commas between, not '%s'",
                           option->name, LIST_MAX, option->low, option->high, text);
    case OPTION_NUMBER:
        return usage_error(command->name, "--%s wants a whole number from 0 to %lld, not '%s'", option->name,
                           (long long)INT64_MAX, text);
    case OPTION_SIZE:
        return usage_error(command->name, "--%s wants a size such as 256M, 1.5G or 300MiB, not '%.64s'", option->name,
                           text);
    case OPTION_REAL:
        return usage_error(command->name, "--%s wants a number from %g to %g, not '%s'", option->name, option->low,
                           option->high, text);
    case OPTION_CHOICE:
        return usage_error(command->name, "--%s wants one of %s, not '%s'", option->name, option->argument, text);
    case OPTION_BIAS:
        return usage_error(command->name, "--%s wants a token id, '=' and a number from %g to %g, not '%s'",
                           option->name, option->low, option->high, text);
    default:
        return usage_error(command->name, "--%s wants a text of %.0f to %.0f bytes", option->name, option->low,
                           option->high);
    }
}

/* "512,1024" */
static bool add_counts(const struct option *option, const char *text, struct counts *list)
{
    for (;;) {
        char digits[11];
        size_t length = strcspn(text, ",");
        uint64_t number;
        if (length >= sizeof digits || list->count == LIST_MAX)
            return false;
        memcpy(digits, text, length);
        digits[length] = '\0';
        if (!parse_number(digits, (uint64_t)option->low, (uint64_t)option->high, &number))
            return false;
        list->at[list->count++] = (uint32_t)number;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

static bool add_operand(const struct command *command, const char *word, struct settings *settings)
{
    if (settings->operand_count < command->operands_max) {
        settings->operands[settings->operand_count++] = word;
        return true;
    }
    const char *advice = command->operands_max == 1 ? "; put a text of several in quotes" : "";
    usage_error(command->name, "'%.64s' is one word too many%s", word, advice);
    return false;
}

/* "ID=B" */
static bool parse_bias(const struct option *option, const char *text, mote_logit_bias *out)
{
    char digits[11];
    size_t length = strcspn(text, "=");
    uint64_t id;
    if (text[length] != '=' || length >= sizeof digits)
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (!parse_number(digits, 0, INT32_MAX, &id))
        return false;
    out->token = (mote_token)id;
    return parse_real(text + length + 1, option->low, option->high, &out->bias);
}

/* Options that add up; the caller has stored nothing yet. */
static bool has_room(const struct command *command, const struct option *option, size_t count, size_t most)
{
    if (count == most)
        usage_error(command->name, "--%s may be given %zu times", option->name, most);
    return count < most;
}

static bool add_text(const struct command *command, const struct option *option, const char *text, const char **texts,
                     size_t *count, size_t most)
{
    if (!has_room(command, option, *count, most))
        return false;
    if (parse_text(option, text)) {
        texts[(*count)++] = text;
        return true;
    }
    wrong_value(command, option, text);
    return false;
}

static bool add_bias(const struct command *command, const struct option *option, const char *text,
                     struct settings *settings)
{
    if (!has_room(command, option, settings->bias_count, BIASES_MAX))
        return false;
    if (parse_bias(option, text, &settings->biases[settings->bias_count])) {
        settings->bias_count++;
        return true;
    }
    wrong_value(command, option, text);
    return false;
}

static bool store_value(const struct command *command, const struct option *option, const char *text,
                        struct settings *settings)
{
    void *field = (char *)settings + option->offset;
    bool good = true;
    uint64_t number;
    switch (option->kind) {
    case OPTION_FLAG: *(bool *)field = true; break;
    case OPTION_TEXT:
        good = parse_text(option, text);
        *(const char **)field = text;
        break;
    case OPTION_COUNT:
        good = parse_number(text, (uint64_t)option->low, (uint64_t)option->high, &number);
        if (good)
            *(uint32_t *)field = (uint32_t)number;
        break;
    case OPTION_COUNTS: good = add_counts(option, text, field); break;
    case OPTION_NUMBER: good = parse_number(text, 0, INT64_MAX, (uint64_t *)field); break;
    case OPTION_SIZE: good = parse_size(text, (uint64_t *)field); break;
    case OPTION_REAL: good = parse_real(text, option->low, option->high, (float *)field); break;
    case OPTION_CHOICE: good = parse_choice(text, option->argument, (uint32_t *)field); break;
    case OPTION_STOP: return add_text(command, option, text, settings->stops, &settings->stop_count, STOPS_MAX);
    case OPTION_TENSOR: return add_text(command, option, text, settings->tensors, &settings->tensor_count, TENSORS_MAX);
    case OPTION_BIAS: return add_bias(command, option, text, settings);
    case OPTION_OPERAND:
        good = parse_text(option, text);
        if (good)
            return add_operand(command, text, settings);
        break;
    }
    if (!good)
        wrong_value(command, option, text);
    return good;
}

/* ------------------------------------------------------------------------------------------------------------ words */

static const struct option *find_option(const struct command *command, const char *name, size_t length, char letter)
{
    for (size_t g = 0; command->groups[g] != NULL; g++) {
        for (const struct option *o = command->groups[g]->options; o->name != NULL; o++) {
            if (letter != 0 ? o->letter == letter : strlen(o->name) == length && memcmp(o->name, name, length) == 0)
                return o;
        }
    }
    return NULL;
}

static void unknown_option(const struct command *command, const char *word)
{
    char name[NAME_MAX_LENGTH + 1];
    bool is_long = word[1] == '-';
    size_t length = is_long ? strcspn(word + 2, "=") : 0;
    const struct option *nearest = NULL;
    if (is_long && length < sizeof name) {
        memcpy(name, word + 2, length);
        name[length] = '\0';
        nearest = nearest_option(command, name);
    } else if (!is_long) {
        nearest = nearest_option(command, word + 1); /* -temp */
    }
    int shown = is_long ? 2 + (int)(length < 64 ? length : 64) : (int)strnlen(word, 64);
    if (nearest != NULL)
        usage_error(command->name, "unknown option %.*s; did you mean --%s?", shown, word, nearest->name);
    else
        usage_error(command->name, "unknown option %.*s", shown, word);
}

/* Takes one option off the words and returns how many words it was; 0 on an error. */
static size_t take_option(const struct command *command, const char *const *words, size_t count,
                          struct settings *settings)
{
    const char *word = words[0], *value = NULL;
    const struct option *option;
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        option = find_option(command, word + 2, length, 0);
        if (word[2 + length] == '=')
            value = word + 2 + length + 1;
    } else {
        option = find_option(command, NULL, 0, word[1]);
        if (word[2] != '\0')
            value = word + 2;
        /* Flags are not run together, and -temp is meant as --temp. */
        if (value != NULL && ((option != NULL && option->kind == OPTION_FLAG) ||
                              find_option(command, word + 1, strcspn(word + 1, "="), 0) != NULL))
            option = NULL;
    }
    if (option == NULL) {
        unknown_option(command, word);
        return 0;
    }
    if (option->kind == OPTION_FLAG) {
        if (value != NULL) {
            usage_error(command->name, "--%s takes no value", option->name);
            return 0;
        }
        return store_value(command, option, "", settings) ? 1 : 0;
    }
    size_t used = value != NULL ? 1 : 2;
    if (value == NULL && count < 2) {
        usage_error(command->name, "--%s needs a value: --%s %s", option->name, option->name, option->argument);
        return 0;
    }
    return store_value(command, option, value != NULL ? value : words[1], settings) ? used : 0;
}

parse_result options_parse(const struct command *command, const char *const *words, size_t count,
                           struct settings *settings)
{
    bool options_end = false;
    for (size_t i = 0; i < count;) {
        const char *word = words[i];
        if (options_end || word[0] != '-' || word[1] == '\0') { /* "-" alone is an operand */
            if (!add_operand(command, word, settings))
                return PARSE_FAILED;
            i++;
        } else if (strcmp(word, "--") == 0) {
            options_end = true;
            i++;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            return PARSE_HELP;
        } else {
            size_t used = take_option(command, words + i, count - i, settings);
            if (used == 0)
                return PARSE_FAILED;
            i += used;
        }
    }
    if (command->operand_is_model && settings->operand_count > 0) {
        if (settings->model != NULL) {
            usage_error(command->name, "a file and --model: give one of them");
            return PARSE_FAILED;
        }
        settings->model = settings->operands[0];
    }
    return PARSE_DONE;
}
