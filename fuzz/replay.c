/* Runs a fuzz target over files once, without a fuzzer: what was ever found stays found.
 *
 * Arguments are files and folders. Every input is handed over in memory of exactly its size, so that a sanitizer sees
 * the first byte read past it. The empty input is always tried. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replayed;

static void replay_stream(FILE *file, size_t size, const char *path)
{
    uint8_t *data = calloc(1, size);
    if (size > 0 && (data == NULL || fread(data, 1, size, file) != size)) {
        fprintf(stderr, "%s: cannot read %zu bytes\n", path, size);
        exit(1);
    }
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed++;
}

static void replay_file(const char *path)
{
    struct stat about;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &about) != 0) {
        perror(path);
        exit(1);
    }
    if (S_ISREG(about.st_mode)) {
        fprintf(stderr, "%s\n", path); /* after a crash the last line names the input */
        replay_stream(file, (size_t)about.st_size, path);
    }
    fclose(file);
}

static void replay_folder(const char *path, DIR *folder)
{
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        replay_file(inner);
    }
}

int main(int count, char **arguments)
{
    replay_stream(NULL, 0, "the empty input");
    for (int i = 1; i < count; i++) {
        DIR *folder = opendir(arguments[i]);
        if (folder == NULL) {
            replay_file(arguments[i]);
            continue;
        }
        replay_folder(arguments[i], folder);
        closedir(folder);
    }
    printf("%zu inputs\n", replayed);
    return 0;
}
