#include "temporary_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64];

int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/mote-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

int remove_folder(void **state)
{
    (void)state;
    char command[80];
    snprintf(command, sizeof command, "rm -rf %.21s", folder); /* mkdtemp's part of it */
    return system(command);
}

const char *in_folder(const char *name)
{
    static char path[8][400];
    static size_t turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

size_t folder_count(void)
{
    size_t count = 0;
    DIR *directory = opendir(folder);
    while (directory != NULL && readdir(directory) != NULL)
        count++;
    if (directory != NULL)
        closedir(directory);
    return count - 2; /* itself and the one above */
}

unsigned char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    long end = file != NULL && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    unsigned char *bytes = end >= 0 ? malloc((size_t)end + 1) : NULL;
    if (bytes == NULL || fseek(file, 0, SEEK_SET) != 0 || fread(bytes, 1, (size_t)end, file) != (size_t)end) {
        perror(path);
        exit(1);
    }
    fclose(file);
    *size = (size_t)end;
    return bytes;
}
