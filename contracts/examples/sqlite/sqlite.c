// Answers SQL over a database that is content: GET /zones.db?dir=CID&sql=SELECT… reads the file
// zones.db of the folder CID; the SQL may be the body of a POST as well. Each statement that has
// columns answers one line of JSON. A WASI command; SQLite is Debian's source package. Reading the
// database by pages is the work of the small file system below, which SQLite takes in place of its own.

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sqlite3.h"

// MARK: - A file system that only reads

typedef struct {
    sqlite3_file base;
    int descriptor;
} open_file;

static int file_close(sqlite3_file *file) {
    return close(((open_file *)file)->descriptor) == 0 ? SQLITE_OK : SQLITE_IOERR_CLOSE;
}

static int file_read(sqlite3_file *file, void *out, int count, sqlite3_int64 offset) {
    int done = 0;
    while (done < count) {
        ssize_t got = pread(
            ((open_file *)file)->descriptor, (char *)out + done, count - done, offset + done);
        if (got < 0) return SQLITE_IOERR_READ;
        if (got == 0) break;
        done += (int)got;
    }
    if (done == count) return SQLITE_OK;
    memset((char *)out + done, 0, count - done);
    return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
    return SQLITE_READONLY;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) { return SQLITE_READONLY; }

static int file_sync(sqlite3_file *file, int flags) { return SQLITE_OK; }

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
    struct stat information;
    if (fstat(((open_file *)file)->descriptor, &information) != 0) return SQLITE_IOERR_FSTAT;
    *size = information.st_size;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *file, int level) { return SQLITE_OK; }

static int file_is_locked(sqlite3_file *file, int *out) {
    *out = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int code, void *argument) { return SQLITE_NOTFOUND; }

static int file_sector(sqlite3_file *file) { return 4096; }

static int file_characteristics(sqlite3_file *file) { return SQLITE_IOCAP_IMMUTABLE; }

static const sqlite3_io_methods methods = {
    .iVersion = 1, .xClose = file_close, .xRead = file_read, .xWrite = file_write,
    .xTruncate = file_truncate, .xSync = file_sync, .xFileSize = file_size, .xLock = file_lock,
    .xUnlock = file_lock, .xCheckReservedLock = file_is_locked, .xFileControl = file_control,
    .xSectorSize = file_sector, .xDeviceCharacteristics = file_characteristics,
};

static int system_open(
    sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *out)
{
    file->pMethods = NULL;
    int descriptor = path ? open(path, O_RDONLY) : -1;
    if (descriptor < 0) return SQLITE_CANTOPEN;
    ((open_file *)file)->descriptor = descriptor;
    file->pMethods = &methods;
    if (out) *out = SQLITE_OPEN_READONLY;
    return SQLITE_OK;
}

static int system_delete(sqlite3_vfs *vfs, const char *path, int sync) { return SQLITE_READONLY; }

static int system_access(sqlite3_vfs *vfs, const char *path, int flags, int *out) {
    // There are no journals beside a database that nobody writes.
    *out = 0;
    return SQLITE_OK;
}

static int system_path(sqlite3_vfs *vfs, const char *path, int count, char *out) {
    if ((int)strlen(path) >= count) return SQLITE_CANTOPEN;
    strcpy(out, path);
    return SQLITE_OK;
}

static int system_randomness(sqlite3_vfs *vfs, int count, char *out) {
    if (count > 256) count = 256;
    return getentropy(out, count) == 0 ? count : 0;
}

static int system_sleep(sqlite3_vfs *vfs, int microseconds) { return 0; }

static int system_time(sqlite3_vfs *vfs, double *days) {
    *days = 2440587.5;  // There is no clock: it is always 1970.
    return SQLITE_OK;
}

static int system_error(sqlite3_vfs *vfs, int count, char *out) { return 0; }

int sqlite3_os_init(void) {
    static sqlite3_vfs vfs = {
        .iVersion = 1, .szOsFile = sizeof(open_file), .mxPathname = 1024, .zName = "content",
        .xOpen = system_open, .xDelete = system_delete, .xAccess = system_access,
        .xFullPathname = system_path, .xRandomness = system_randomness, .xSleep = system_sleep,
        .xCurrentTime = system_time, .xGetLastError = system_error,
    };
    return sqlite3_vfs_register(&vfs, 1);
}

int sqlite3_os_end(void) { return SQLITE_OK; }

// MARK: - Request and response

static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The decoded value of a parameter of the query; NULL if it is not there.
static char *parameter(const char *name) {
    const char *item = getenv("QUERY_STRING");
    size_t length = strlen(name);
    while (item) {
        if (*item == '&') item++;
        const char *end = strchr(item, '&');
        if (strncmp(item, name, length) == 0 && item[length] == '=') {
            const char *from = item + length + 1, *to = end ? end : item + strlen(item);
            char *value = malloc(to - from + 1), *out = value;
            if (!value) return NULL;
            while (from < to) {
                int high, low;
                if (*from == '%' && (high = digit(from[1])) >= 0 && (low = digit(from[2])) >= 0) {
                    *out++ = (char)(high << 4 | low);
                    from += 3;
                } else {
                    *out++ = *from == '+' ? ' ' : *from;
                    from++;
                }
            }
            *out = 0;
            return value;
        }
        item = end;
    }
    return NULL;
}

static char *body(void) {
    enum { largest = 1 << 20 };
    char *text = malloc(largest + 1);
    if (text) text[fread(text, 1, largest, stdin)] = 0;
    return text;
}

static void put_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c < 0x20) {
            printf("\\u%04x", c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

static void put_column(sqlite3_stmt *statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: printf("%lld", sqlite3_column_int64(statement, column)); break;
    case SQLITE_FLOAT: {
        // SQLite writes numbers itself, the same everywhere.
        const char *text = (const char *)sqlite3_column_text(statement, column);
        fputs(text && strcmp(text, "Inf") && strcmp(text, "-Inf") ? text : "null", stdout);
        break;
    }
    case SQLITE_NULL: fputs("null", stdout); break;
    case SQLITE_BLOB: {
        const unsigned char *bytes = sqlite3_column_blob(statement, column);
        putchar('"');
        for (int i = 0; i < sqlite3_column_bytes(statement, column); i++) printf("%02x", bytes[i]);
        putchar('"');
        break;
    }
    default: put_text((const char *)sqlite3_column_text(statement, column));
    }
}

// Writes the columns and rows of a statement as a line of JSON; gives what SQLite says at the end.
static int put_rows(sqlite3_stmt *statement) {
    int columns = sqlite3_column_count(statement), result, rows = 0;
    if (columns == 0) return sqlite3_step(statement);
    fputs("{\"columns\":[", stdout);
    for (int i = 0; i < columns; i++) {
        if (i > 0) putchar(',');
        put_text(sqlite3_column_name(statement, i));
    }
    fputs("],\"rows\":[", stdout);
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        fputs(rows++ > 0 ? ",[" : "[", stdout);
        for (int i = 0; i < columns; i++) {
            if (i > 0) putchar(',');
            put_column(statement, i);
        }
        putchar(']');
    }
    fputs("]}\n", stdout);
    return result;
}

static int fail(const char *status, const char *reason) {
    printf("Status: %s\nContent-Type: text/plain; charset=utf-8\n\n%s\n", status, reason);
    return 0;
}

int main(void) {
    char *sql = parameter("sql");
    if (!sql) sql = body();
    sqlite3 *database;
    if (sqlite3_open_v2(getenv("PATH_INFO"), &database, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        return fail("404 Not Found", "there is no such database: /NAME?dir=CID&sql=SELECT...");
    }
    int headers = 0;
    while (sql && *sql) {
        sqlite3_stmt *statement;
        const char *rest;
        int result = sqlite3_prepare_v2(database, sql, -1, &statement, &rest);
        if (result != SQLITE_OK && !headers) return fail("400 Bad Request", sqlite3_errmsg(database));
        if (!headers++) printf("Content-Type: application/x-ndjson\n\n");
        if (result == SQLITE_OK && statement) result = put_rows(statement);
        if (result != SQLITE_OK && result != SQLITE_DONE) {
            printf("{\"error\":");
            put_text(sqlite3_errmsg(database));
            printf("}\n");
            return 0;
        }
        sqlite3_finalize(statement);
        sql = (char *)rest;
    }
    if (!headers) return fail("400 Bad Request", "there is no SQL: /NAME?dir=CID&sql=SELECT...");
    return 0;
}
