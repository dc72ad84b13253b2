/* Text to token ids and back, with nothing but the vocabulary of a model.
 *
 *     tokens [MODEL.gguf]
 *
 * Shows why ids are turned back through a detokenizer and not one by one: a character may be spread over several
 * tokens, and text that goes to people must never hold a part of one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mote/mote.h>

static const char sample[] = "Turn it on. つけて。🙂 <|im_end|>";

/* Prints each id with the text that it completes. Returns how many bytes came back. */
static size_t print_back(mote_detokenizer *detokenizer, const mote_ids *ids)
{
    size_t total = 0, length;
    for (size_t i = 0; i < ids->count; i++) {
        const char *text = mote_detokenizer_push(detokenizer, ids->at[i], &length);
        printf("%8d  \"%.*s\"\n", ids->at[i], (int)length, text); /* "": a part of a character, held back */
        total += length;
    }
    mote_detokenizer_finish(detokenizer, &length);
    return total + length;
}

int main(int argc, char **argv)
{
    mote_model *model = NULL;
    mote_detokenizer *detokenizer = NULL;
    mote_ids plain = {0}, trusted = {0};
    mote_model_options options;
    mote_error error;
    mote_model_options_init(&options);
    options.parts = MOTE_PARTS_VOCABULARY; /* quick, and enough: no weights are needed */
    int status = EXIT_FAILURE;

    /* "<|im_end|>" in a person's text is ten letters. Only in text that the program itself wrote may it be the control
     * token that ends a turn, or anybody could end it. */
    if (mote_model_open(&model, argc > 1 ? argv[1] : NULL, &options, &error) ||
        mote_detokenizer_open(&detokenizer, model, true, &error) ||
        mote_tokenize(model, sample, strlen(sample), 0, &plain, &error) ||
        mote_tokenize(model, sample, strlen(sample), MOTE_TOKENIZE_SPECIAL, &trusted, &error)) {
        fprintf(stderr, "%s\n", error.text);
    } else {
        size_t bytes = print_back(detokenizer, &plain);
        printf("%zu bytes, %zu tokens; %zu where control tokens are trusted\n", bytes, plain.count, trusted.count);
        status = bytes == strlen(sample) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    mote_ids_free(&plain);
    mote_ids_free(&trusted);
    mote_detokenizer_close(detokenizer);
    mote_model_close(model);
    return status;
}
