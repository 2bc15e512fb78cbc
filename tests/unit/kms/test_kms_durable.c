/* SPDX-License-Identifier: Apache-2.0 */
/* What was acknowledged is there after a power cut, kill -9 and a full disk. */
#define _GNU_SOURCE
#include "kms/kms_whole.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* A VFS that knows which files have been written and not synced. */
struct shim_file {
    sqlite3_file base;
    bool *dirty;        /* NULL: a file that is not the database or its log */
    sqlite3_file *real; /* follows this structure */
};
static sqlite3_vfs g_shim, *g_real;
static bool g_dirty_db, g_dirty_wal;
static int g_wal_syncs;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct shim_file *)f)->real;
}
static int shim_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f));
}
static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), p, n, at);
}
static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (((struct shim_file *)f)->dirty)
        *((struct shim_file *)f)->dirty = true;
    return real_of(f)->pMethods->xWrite(real_of(f), p, n, at);
}
static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return real_of(f)->pMethods->xTruncate(real_of(f), size);
}
static int shim_sync(sqlite3_file *f, int flags)
{
    int rc = real_of(f)->pMethods->xSync(real_of(f), flags);
    if (rc == SQLITE_OK && ((struct shim_file *)f)->dirty)
        *((struct shim_file *)f)->dirty = false;
    if (((struct shim_file *)f)->dirty == &g_dirty_wal)
        g_wal_syncs++;
    return rc;
}
static int shim_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), size);
}
static int shim_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}
static int shim_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
static int shim_reserved(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}
static int shim_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}
static int shim_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}
static int shim_device(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}
static const sqlite3_io_methods shim_methods = {
    1,         shim_close,  shim_read,     shim_write,   shim_truncate, shim_sync,   shim_size,
    shim_lock, shim_unlock, shim_reserved, shim_control, shim_sector,   shim_device, NULL,
    NULL,      NULL,        NULL,          NULL,         NULL,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    (void)vfs;
    struct shim_file *s = (struct shim_file *)f;
    s->real = (sqlite3_file *)(s + 1);
    s->dirty = flags & SQLITE_OPEN_MAIN_DB ? &g_dirty_db
               : flags & SQLITE_OPEN_WAL   ? &g_dirty_wal
                                           : NULL;
    int rc = g_real->xOpen(g_real, name, s->real, flags, out_flags);
    s->base.pMethods = rc == SQLITE_OK ? &shim_methods : NULL;
    return rc;
}

/* What the hook of a batch finds: everything is synced already, and no answer has left. */
static ccz_rc look_synced(void *arg, struct ccz_kms_store *s, struct cczi_kms_entry *entries,
                          size_t len, struct ccz_err *err)
{
    (void)s;
    (void)err;
    CHECK(!g_dirty_wal && !g_dirty_db);
    for (size_t i = 0; i < len; i++)
        CHECK(entries[i].receipt.audit_seq != 0);
    *(size_t *)arg += len;
    return CCZ_OK;
}

/* A batch is one fsync, before its answers. */
static void batch_synced(struct ccz_kms_store *s)
{
    enum { LEN = 64 };
    static struct fix_batch b;
    size_t seen = 0;
    s->on_batch = look_synced;
    s->on_batch_arg = &seen;
    fix_batch_begin(&b);
    for (int i = 0; i < LEN; i++)
        fix_batch_release(&b, i % 4 == 3 ? FIX_STALE : FIX_WORKLOAD, "key/k0");
    int syncs = g_wal_syncs;
    fix_batch_run(&b, s);
    CHECK(g_wal_syncs == syncs + 1 && seen == LEN && !g_dirty_wal && !g_dirty_db);
    for (int i = 0; i < LEN; i++)
        CHECK(b.entry[i].rc == (i % 4 == 3 ? CCZ_E_DENIED : CCZ_OK));
    fix_batch_end(&b);
    s->on_batch = NULL;
}

/* An acknowledged call has nothing left to sync: a power cut cannot take it back. */
static void test_synced(void)
{
    g_real = sqlite3_vfs_find(NULL);
    g_shim = *g_real;
    g_shim.zName = "shim";
    g_shim.szOsFile = (int)sizeof(struct shim_file) + g_real->szOsFile;
    g_shim.xOpen = shim_open;
    CHECK(sqlite3_vfs_register(&g_shim, 1) == SQLITE_OK);
    dir_fresh();
    init_store();
    struct ccz_kms_store *s = open_store();
    CHECK(fix_put_policy(s, "server", fix_policy, false, NULL) == CCZ_OK);
    CHECK(!g_dirty_wal && !g_dirty_db);
    char name[32];
    for (int i = 0; i < 40; i++) { /* enough to checkpoint in between */
        (void)snprintf(name, sizeof(name), "k%d", i);
        CHECK(fix_create_key(s, name, "aes-128", (struct ccz_span){0}, "server", NULL) == CCZ_OK);
        CHECK(!g_dirty_wal && !g_dirty_db);
        (void)snprintf(name, sizeof(name), "key/k%d", i);
        CHECK(fix_release(NULL, s, FIX_WORKLOAD, name, 0, NULL) == CCZ_OK);
        CHECK(!g_dirty_wal && !g_dirty_db);
        CHECK(fix_release(NULL, s, FIX_STALE, name, 0, NULL) == CCZ_E_DENIED); /* refusals too */
        CHECK(!g_dirty_wal && !g_dirty_db);
    }
    CHECK(ccz_kms_store_check(NULL, s, NULL) == CCZ_OK);
    batch_synced(s);
    /* the shim does see unsynced writes: the same change with a weaker setting */
    CHECK(cczi_kms_db_exec(&s->db, "PRAGMA synchronous = NORMAL", NULL) == CCZ_OK);
    CHECK(fix_create_key(s, "weak", "aes-128", (struct ccz_span){0}, NULL, NULL) == CCZ_OK);
    CHECK(g_dirty_wal);
    ccz_kms_store_free(s);
}

static void store_with_policy(void)
{
    dir_fresh();
    init_store();
    struct ccz_kms_store *s = open_store();
    CHECK(fix_put_policy(s, "server", fix_policy, false, NULL) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* Runs @p child, which begins with number @p from and tells each one that was acknowledged, and kills it at a moment of
 * its own in each cycle, but not before the first. @return the last one told */
static uint32_t kill_running(void (*child)(int fd, uint32_t from), uint32_t from, unsigned cycle)
{
    int fd[2], status;
    uint32_t acked, next;
    CHECK(pipe(fd) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(fd[0]);
        child(fd[1], from);
    }
    close(fd[1]);
    CHECK(read(fd[0], &acked, sizeof(acked)) == (ssize_t)sizeof(acked)); /* it is running */
    usleep(1000 * (cycle * 7 % 23));
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    while (read(fd[0], &next, sizeof(next)) == (ssize_t)sizeof(next))
        acked = next;
    close(fd[0]);
    return acked;
}

/* Creates keys k<from>, k<from+1>, ... for ever, telling each acknowledged one; runs in a child. */
static void create_until_killed(int fd, uint32_t from)
{
    struct ccz_kms_store *s = open_store();
    for (uint32_t i = from;; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "k%u", i);
        if (fix_create_key(s, name, "aes-256", (struct ccz_span){0}, "server", NULL) != CCZ_OK ||
            write(fd, &i, sizeof(i)) != (ssize_t)sizeof(i))
            _exit(1);
    }
}

/* kill -9 at any moment: what was acknowledged is there, at most one more, and everything checks.
 */
static void test_kill9(void)
{
    struct ccz_kms_store *s;
    uint32_t done = 0;
    store_with_policy();
    for (unsigned cycle = 0; cycle < 25; cycle++) {
        done = kill_running(create_until_killed, done, cycle) + 1;
        s = open_store(); /* checks every row, value and audit line */
        struct ccz_kms_check c;
        CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK);
        CHECK(c.versions == done ||
              c.versions == done + 1);   /* the last one may have missed only its answer */
        CHECK(c.bindings == c.versions); /* an item and its binding are one */
        CHECK(c.audit_lines ==
              c.versions + 3); /* and its line: init, PutPolicy, audit-key, then one each */
        done = (uint32_t)c.versions;
        ccz_kms_store_free(s);
    }
}

/* The same in batches of BATCH keys, acknowledged together. */
enum { BATCH = 16 };
static void batches_until_killed(int fd, uint32_t from)
{
    static struct fix_batch b;
    struct ccz_kms_store *s = open_store();
    for (uint32_t i = from;; i++) {
        fix_batch_begin(&b);
        for (uint32_t k = 0; k < BATCH; k++) {
            char name[32];
            (void)snprintf(name, sizeof(name), "b%u/k%u", i, k);
            fix_batch_create_key(&b, name, "server");
        }
        fix_batch_run(&b, s);
        for (uint32_t k = 0; k < BATCH; k++)
            if (b.entry[k].rc != CCZ_OK)
                _exit(1);
        fix_batch_end(&b);
        if (write(fd, &i, sizeof(i)) != (ssize_t)sizeof(i))
            _exit(1);
    }
}

/* kill -9 inside a batch: all of it or nothing of it, and what was acknowledged is there. */
static void test_kill9_batch(void)
{
    struct ccz_kms_store *s;
    uint32_t done = 0;
    store_with_policy();
    for (unsigned cycle = 0; cycle < 12; cycle++) {
        uint32_t acked = kill_running(batches_until_killed, done, cycle);
        s = open_store();
        struct ccz_kms_check c;
        CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK);
        CHECK(c.versions % BATCH == 0 && c.bindings == c.versions);
        CHECK(c.audit_lines == c.versions + 3);
        done = (uint32_t)c.versions / BATCH;
        CHECK(done == acked + 1 || done == acked + 2);
        ccz_kms_store_free(s);
    }
}

/* The file system is full: a clear refusal, and nothing is lost. Runs in a child: the limit is for
 * good. */
static void fill_up(void)
{
    struct rlimit lim = {600000, 600000};
    (void)signal(SIGXFSZ, SIG_IGN); /* as the daemon does: the write fails instead */
    struct ccz_kms_store *s = open_store();
    CHECK(setrlimit(RLIMIT_FSIZE, &lim) == 0);
    struct ccz_err err = {0};
    char name[32];
    int made = 0;
    ccz_rc rc;
    for (;; made++) {
        (void)snprintf(name, sizeof(name), "k%d", made);
        rc = fix_create_key(s, name, "aes-256", (struct ccz_span){0}, "server", &err);
        if (rc != CCZ_OK || made == 100000)
            break;
    }
    CHECK(rc == CCZ_E_IO && strcmp(err.where, "kms:store-full") == 0 && err.hint[0] != 0);
    /* nothing leaves without its audit line, and there is no room for one */
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    while (rc != CCZ_OK || out.size) {
        rc = fix_release(&out, s, FIX_WORKLOAD, "key/k0", 0, &err);
        if (rc != CCZ_OK)
            break;
    }
    CHECK(rc == CCZ_E_IO && strcmp(err.where, "kms:store-full") == 0 && out.size == 0);
    ccz_buf_free(&out);
    printf("%d\n", made);
    (void)fflush(stdout);
    _exit(0);
}

/* What @p fn, which ends its process, has printed. */
static void in_child(char text[32], void (*fn)(void))
{
    int fd[2], status;
    CHECK(pipe(fd) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(dup2(fd[1], STDOUT_FILENO) >= 0);
        fn();
    }
    close(fd[1]);
    memset(text, 0, 32);
    CHECK(read(fd[0], text, 31) > 0);
    close(fd[0]);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_full(void)
{
    char text[32];
    store_with_policy();
    in_child(text, fill_up);
    long made = strtol(text, NULL, 10);
    CHECK(made > 10);
    struct ccz_kms_store *s = open_store();
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK && c.versions == (uint64_t)made &&
          c.bindings == c.versions);
    CHECK(fix_create_key(s, "afterwards", "aes-128", (struct ccz_span){0}, NULL, NULL) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* A batch in which one call is too large for the disk: that one is refused, the others are done. In a child. */
static void fill_up_batch(void)
{
    static struct fix_batch b;
    static char large[CCZ_KMS_VALUE_SIZE_MAX];
    struct rlimit lim = {120000, 120000};
    (void)signal(SIGXFSZ, SIG_IGN);
    memset(large, 'x', sizeof(large) - 1);
    struct ccz_kms_store *s = open_store();
    CHECK(setrlimit(RLIMIT_FSIZE, &lim) == 0);
    fix_batch_begin(&b);
    fix_batch_create_key(&b, "first", "server");
    fix_batch_put_secret(&b, "large1", large, "server");
    fix_batch_put_secret(&b, "large2", large, "server");
    fix_batch_create_key(&b, "last", "server");
    fix_batch_run(&b, s);
    CHECK(b.entry[0].rc == CCZ_OK && b.entry[0].answer.size);
    bool full = false;
    for (int i = 1; i < 3; i++) {
        struct cczi_kms_entry *e = &b.entry[i];
        CHECK(e->rc == CCZ_OK || (strcmp(e->err.where, "kms:store-full") == 0 && !e->answer.size));
        full = full || e->rc != CCZ_OK;
    }
    CHECK(full);
    printf("%d\n", b.entry[3].rc == CCZ_OK);
    (void)fflush(stdout);
    _exit(0);
}

static void test_full_batch(void)
{
    char text[32];
    store_with_policy();
    in_child(text, fill_up_batch);
    CHECK(text[0] == '1'); /* the last one was done */
    struct ccz_kms_store *s = open_store();
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/first", 0, NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/last", 0, NULL) == CCZ_OK);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.synced", test_synced},
    {"kms.kill9", test_kill9},
    {"kms.kill9_batch", test_kill9_batch},
    {"kms.full_batch", test_full_batch},
    {"kms.full", test_full},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
