#include "json_output.h"

#include <stdlib.h>

#include "textbuf.h"

json_t *json_text(const char *text, size_t length)
{
    json_t *string = json_stringn(text, length);
    if (string != NULL)
        return string;
    struct textbuf clean = {0};
    bool added = true;
    for (size_t i = 0; i < length && added;) {
        uint32_t code;
        size_t bytes = utf8_character(text + i, length - i, &code);
        added = bytes > 0 ? textbuf_append(&clean, text + i, bytes) : textbuf_append(&clean, "\xef\xbf\xbd", 3);
        i += bytes > 0 ? bytes : 1;
    }
    if (added)
        string = json_stringn(clean.at, clean.length);
    textbuf_free(&clean);
    return string;
}

static int write_piece(const char *text, size_t length, void *user)
{
    struct output *out = user;
    output_write(out, text, length);
    return out->error == 0 ? 0 : -1;
}

int output_json(struct output *out, json_t *root, size_t flags)
{
    if (root == NULL) {
        complain("no memory for the JSON output; free some, or ask for less");
        return EXIT_FAILURE;
    }
    int status = json_dump_callback(root, write_piece, out, flags | JSON_PRESERVE_ORDER) == 0 ? 0 : EXIT_FAILURE;
    if (status != 0 && out->error == 0)
        complain("no memory to write the JSON output; free some");
    json_decref(root);
    output_print(out, "\n");
    return output_finish(out, status);
}
