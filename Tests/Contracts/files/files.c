// Asks the functions of WASI what is easily answered in two ways. Both engines have to say and take
// the same.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wasi/api.h>

extern char **environ;

static void show(const char *what, long long result) {
    printf("%s: %lld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerror(errno) : "");
}

static void list(const char *path, int depth) {
    DIR *folder = opendir(path);
    show(path, folder ? 0 : -1);
    if (!folder || depth > 4) return;
    struct dirent *entry;
    while ((entry = readdir(folder))) {
        printf("%*s%s %llu %d\n", depth, "", entry->d_name, (unsigned long long)entry->d_ino,
            entry->d_type);
        char inner[256];
        snprintf(inner, sizeof inner, "%s/%s", strcmp(path, "/") ? path : "", entry->d_name);
        struct stat information;
        if (stat(inner, &information) != 0) continue;
        printf("%*s%lld %d %lld\n", depth, "", (long long)information.st_size,
            S_ISDIR(information.st_mode), (long long)information.st_mtim.tv_sec);
        if (S_ISDIR(information.st_mode)) list(inner, depth + 1);
    }
    closedir(folder);
}

static void read_file(const char *path) {
    char bytes[16] = {0};
    int file = open(path, O_RDONLY);
    show(path, file);
    if (file < 0) return;
    show("read", read(file, bytes, 4));
    show("tell", lseek(file, 0, SEEK_CUR));
    show("end", lseek(file, -2, SEEK_END));
    show("read", read(file, bytes, 10));
    show("read", read(file, bytes, 10));
    show("pread", pread(file, bytes, 5, 1));
    show("pread", pread(file, bytes, 5, 1000));
    show("before", lseek(file, -1, SEEK_SET));
    show("beyond", lseek(file, 1000, SEEK_SET));
    show("read", read(file, bytes, 10));
    show("write", write(file, "x", 1));
    struct stat information;
    show("stat", fstat(file, &information));
    show("size", information.st_size);
    show("truncate", ftruncate(file, 0));
    show("close", close(file));
    show("close", close(file));
    printf("%s\n", bytes);
}

int main(int count, char **arguments) {
    const char *path = getenv("PATH_INFO");
    if (strncmp(path, "/exit", 5) == 0) {
        fprintf(stderr, "leaving\n");
        printf("Content-Type: text/plain\n\nwritten\n");
        exit(atoi(path + 6));
    }
    if (strncmp(path, "/abort", 6) == 0) abort();
    if (strcmp(path, "/head") == 0) {
        printf("Status: 418 I am a teapot\r\nX-Own: a: b \r\nContent-Type: text/x\r\n\r\nbody\n\nrest\n");
        return 0;
    }
    if (strcmp(path, "/no-head") == 0) {
        printf("Content-Type text\n\nbody\n");
        return 0;
    }
    if (strcmp(path, "/bad-head") == 0) {
        printf("Status: 99\nx: y\n\nbody\n");
        return 0;
    }
    // A slash, a colon or a letter with an accent on it is another character, not another byte.
    if (strcmp(path, "/accent-head") == 0) {
        printf("Content-Type:\xcc\x81text\nX-Own:\xcc\x81 a \t\n\nbody\n");
        return 0;
    }
    if (strcmp(path, "/kelvin-head") == 0) {
        printf("Content-Type: text/x\n\xe2\x84\xaa: v\n\nbody\n");
        return 0;
    }
    if (strcmp(path, "/wide-head") == 0) {
        printf("Content-Type: %*s%*s\n\nbody\n", 8100, "wide", 300, "");
        return 0;
    }
    for (int i = 0; i < count; i++) printf("%s\n", arguments[i]);
    for (char **item = environ; *item; item++) printf("%s\n", *item);
    list("/", 0);
    list("/none", 0);
    read_file("/one.txt");
    read_file("/inner/../inner/./two.txt");
    read_file("/inner/../../one.txt");
    read_file("/inner");
    read_file("/content");
    read_file("/inner/\xcc\x81two.txt");
    read_file("/inner\xcc\x81/two.txt");
    show("create", open("/new", O_CREAT | O_WRONLY, 0600));
    show("write", open("/one.txt", O_WRONLY));
    show("mkdir", mkdir("/made", 0700));
    show("unlink", unlink("/one.txt"));
    show("rename", rename("/one.txt", "/other"));
    char link[16];
    show("readlink", readlink("/one.txt", link, sizeof link));
    show("seek", lseek(0, 0, SEEK_SET));
    struct stat information;
    show("stat", fstat(0, &information));
    show("size", information.st_size);
    show("tty", isatty(1));
    show("read 1", read(1, link, 1));
    show("write 0", write(0, "x", 1));
    show("read 9", read(9, link, 1));
    struct timespec now;
    show("clock", clock_gettime(CLOCK_MONOTONIC, &now));
    printf("%lld %ld\n", (long long)now.tv_sec, now.tv_nsec);
    unsigned char random[40];
    show("random", getentropy(random, sizeof random));
    for (size_t i = 0; i < sizeof random; i++) printf("%02x", random[i]);
    printf("\n");
    int c;
    while ((c = getchar()) != EOF) putchar(c + 1);
    fflush(stdout);
    // Far beyond the end, and what takes the number of the folder that was there from the start.
    uint8_t entries[64];
    size_t used = 0;
    show("readdir", __wasi_fd_readdir(3, entries, sizeof entries, ~0ull, &used));
    show("used", (long long)used);
    __wasi_prestat_t stat3;
    show("prestat", __wasi_fd_prestat_get(3, &stat3));
    show("close 3", __wasi_fd_close(3));
    show("prestat", __wasi_fd_prestat_get(3, &stat3));
    show("last", write(1, "end", 3));
    return 0;
}
