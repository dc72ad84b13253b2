/* A fresh folder for each test, and what is in it. For cmocka's setup and teardown:
 *
 *     cmocka_unit_test_setup_teardown(test, make_folder, remove_folder) */
#ifndef MOTE_TESTS_TEMPORARY_FOLDER_H
#define MOTE_TESTS_TEMPORARY_FOLDER_H

#include <stddef.h>

int make_folder(void **state);
int remove_folder(void **state);

/* A path in it; good until the eighth call after. */
const char *in_folder(const char *name);

/* Entries of the folder. */
size_t folder_count(void);

/* A file's bytes, freed by the caller; a file that cannot be read ends the test program. */
unsigned char *read_file(const char *path, size_t *size);

#endif
