// Fills a database in memory and asks it: SQLite, from Debian's source package.
// flags: -lc
// source: sqlite3

#include "bench.h"
#include "sqlite3.h"

static int system_open(
    sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *out)
{
    (void)vfs, (void)path, (void)file, (void)flags, (void)out;
    return SQLITE_CANTOPEN;
}

static int system_path(sqlite3_vfs *vfs, const char *path, int count, char *out) {
    (void)vfs, (void)path, (void)count;
    *out = 0;
    return SQLITE_OK;
}

static int system_randomness(sqlite3_vfs *vfs, int count, char *out) {
    (void)vfs;
    for (int i = 0; i < count; i++) out[i] = (char)i;
    return count;
}

static int system_time(sqlite3_vfs *vfs, double *days) {
    (void)vfs;
    *days = 2440587.5;
    return SQLITE_OK;
}

int sqlite3_os_init(void) {
    static sqlite3_vfs vfs = {
        .iVersion = 1, .szOsFile = sizeof(sqlite3_file), .mxPathname = 64, .zName = "none",
        .xOpen = system_open, .xFullPathname = system_path, .xRandomness = system_randomness,
        .xCurrentTime = system_time,
    };
    return sqlite3_vfs_register(&vfs, 1);
}

int sqlite3_os_end(void) { return SQLITE_OK; }

static uint64_t sum;

static int row(void *unused, int columns, char **values, char **names) {
    (void)unused, (void)names;
    for (int i = 0; i < columns; i++) {
        for (const char *text = values[i]; text && *text; text++) sum = bench_mix(sum, (uint8_t)*text);
    }
    return 0;
}

// Nearly nothing, of a large module.
WEFT_METHOD(version) { weft_write(sqlite3_libversion(), 6); }

WEFT_METHOD(run) {
    static const char *const statements[] = {
        "CREATE TABLE numbers(id INTEGER PRIMARY KEY, name TEXT, value REAL)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)"
        " INSERT INTO numbers SELECT i, 'name ' || (i * 7919 % 10007), i * 1.5 FROM n",
        "CREATE INDEX names ON numbers(name)",
        "SELECT name, count(*), sum(value) FROM numbers GROUP BY name ORDER BY 3 DESC LIMIT 20",
        "SELECT count(*) FROM numbers a JOIN numbers b ON a.name = b.name AND a.id < b.id",
        "SELECT avg(value) FROM numbers WHERE name LIKE '%99%'",
    };
    sqlite3 *database;
    sum = (uint64_t)sqlite3_open(":memory:", &database);
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        int result = sqlite3_exec(database, statements[i], row, NULL, NULL);
        sum = bench_mix(sum, (uint64_t)result + 1);
    }
    bench_answer(sum);
}
