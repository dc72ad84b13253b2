/* What a Hugging Face folder says about conversations: the tokens that begin and end a text, the chat template, and how its
 * authors sample. From tokenizer_config.json, chat_template.jinja, generation_config.json and config.json, all of which but
 * the last may be absent. */
#ifndef MOTE_PREPARE_CONVERT_SPECIAL_H
#define MOTE_PREPARE_CONVERT_SPECIAL_H

#include "prepare/convert_vocabulary.h"

/* Declares them. Errors: FORMAT (an id past the vocabulary, a file that is no JSON), LIMIT, IO, MEMORY. */
mote_status convert_special_declare(const char *folder, const json *config, const convert_vocabulary *v,
                                    gguf_output *out, mote_error *error);

/* A file of the folder, malloc'd path; NULL: no memory. */
char *convert_path(const char *folder, const char *name);

#endif
