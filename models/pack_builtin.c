/* The build runs this to pack the built-in model: pack_builtin PLAIN PACKED. It is linked with the library's objects, but
 * without the model that it is about to make. */
#include <stdio.h>
#include <stdlib.h>

#include <mote/mote.h>

const unsigned char mote_builtin_model_begin[1], mote_builtin_model_end[1];

int main(int argc, char **argv)
{
    mote_error error;
    const mote_pack_options options = {.overwrite = true};
    if (argc == 3 && mote_pack(argv[1], argv[2], &options, &error) == MOTE_OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "pack_builtin: %s\n", argc == 3 ? error.text : "name the plain model and the packed one");
    return EXIT_FAILURE;
}
