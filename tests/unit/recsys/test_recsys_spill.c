/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting on disk: the same matrices as in memory; nothing in clear on the disk, nothing left there; what fails, and how. */
#define _GNU_SOURCE
#include "recsys/spill.h"
#include "refused.h"
#include "temp_dir.h"

#include <cczoo/dataset.h>
#include <cczoo/recsys_data.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ----------------------------------------------------------------- what the file system refuses */

static long writes_left = -1; /* pwrite() until the disk is full; -1: it never is */
static bool write_failed;
static bool no_tmpfile; /* a file system without O_TMPFILE */

ssize_t __real_pwrite(int fd, const void *p, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t size, off_t at)
{
    if (writes_left >= 0 && writes_left-- == 0) {
        writes_left = 0;
        write_failed = true;
        errno = ENOSPC;
        return -1;
    }
    return __real_pwrite(fd, p, size, at);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_open(path, flags, 0600);
}

/* ------------------------------------------------------------------------------------- ratings */

enum { LEN = 400000, USERS = 3000, ITEMS = 2000 };

/* A rating that no other bytes look like, so that it is found where it is in clear. */
#define USER_MARK  0x51525354u
#define ITEM_MARK  0x41424344u
#define VALUE_MARK 12345.678F

static struct ccz_recsys_rating rating(struct ccz_seeded *rnd)
{
    return (struct ccz_recsys_rating){
        .user = (uint32_t)(ccz_seeded_below(rnd, USERS) * ccz_seeded_below(rnd, USERS) / USERS),
        .item = (uint32_t)ccz_seeded_below(rnd, ITEMS),
        .value = (float)ccz_seeded_below(rnd, 1000) / 7,
        .time = (int64_t)ccz_seeded_below(rnd, 50) - 25};
}

static void ratings(struct ccz_recsys_ratings *out, uint64_t len, uint64_t seed)
{
    struct ccz_seeded rnd = ccz_seeded_from(seed, 1);
    CHECK(ccz_recsys_ratings_init(out, USERS, ITEMS, len, true, NULL) == CCZ_OK);
    for (uint64_t i = 0; i < len; i++) {
        const struct ccz_recsys_rating r = rating(&rnd);
        out->user[i] = r.user;
        out->item[i] = r.item;
        out->value[i] = r.value;
        out->time[i] = r.time;
    }
}

static ccz_rc add_some(struct ccz_recsys_builder *b, struct ccz_seeded *rnd, uint64_t len,
                       struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    struct ccz_recsys_rating r[1000];
    for (uint64_t i = 0; i < len && rc == CCZ_OK; i += 1000) {
        for (int k = 0; k < 1000; k++)
            r[k] = rating(rnd);
        rc = ccz_recsys_builder_add(b, r, 1000, err);
    }
    return rc;
}

static ccz_rc build(struct ccz_recsys_matrices *m, const struct ccz_recsys_build_cfg *cfg,
                    uint64_t len, uint64_t seed, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_builder) b = NULL;
    struct ccz_seeded rnd = ccz_seeded_from(seed, 1);
    ccz_rc rc = ccz_recsys_builder_new(&b, cfg, err);
    if (rc == CCZ_OK)
        rc = add_some(b, &rnd, len, err);
    return rc == CCZ_OK ? ccz_recsys_builder_finish(m, b, err) : rc;
}

static void same_rows(const struct ccz_recsys_csr *a, const struct ccz_recsys_csr *b)
{
    /* the builder's sides end at the largest numbers */
    CHECK(a->rows <= b->rows && a->cols <= b->cols && a->len == b->len);
    CHECK(memcmp(a->start, b->start, ((size_t)a->rows + 1) * sizeof(*a->start)) == 0);
    CHECK(memcmp(a->col, b->col, a->len * sizeof(*a->col)) == 0);
    CHECK(memcmp(a->value, b->value, a->len * sizeof(*a->value)) == 0);
}

static bool dir_is_empty(const char *path)
{
    DIR *d = opendir(path);
    CHECK(d);
    size_t len = 0;
    for (struct dirent *e; (e = readdir(d));)
        len += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    closedir(d);
    return len == 0;
}

/* --------------------------------------------------------------------------------------- results */

static void sorting(void)
{
    enum { N = 3000 };
    static uint32_t rec[N * RECORD_WIDTH_MAX], tmp[N * RECORD_WIDTH_MAX];
    for (unsigned width = 3; width <= RECORD_WIDTH_MAX; width += 2)
        for (int wide = 0; wide < 2; wide++) { /* small numbers, and those that use all bits */
            struct ccz_seeded rnd = ccz_seeded_from(width, (uint64_t)wide);
            for (uint32_t i = 0; i < N; i++) {
                const uint32_t scale = wide ? 0x10203040 : 1;
                rec[i * width] = (uint32_t)ccz_seeded_below(&rnd, 15) * scale;
                rec[i * width + 1] = (uint32_t)ccz_seeded_below(&rnd, 15) * scale;
                rec[i * width + 2] = i;
            }
            const uint32_t *s = cczi_recsys_sort(rec, tmp, N, width);
            for (uint32_t i = 1; i < N; i++) {
                const uint32_t *a = s + (i - 1) * width, *b = s + i * width;
                CHECK(a[0] < b[0] ||
                      (a[0] == b[0] && (a[1] < b[1] || (a[1] == b[1] && a[2] < b[2]))));
            }
        }
}

static void same_as_in_memory(void)
{
    temp_setup();
    static const uint64_t lens[] = {0, 1000, 52000, 53000, 110000, LEN};
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++)
        for (int twice = CCZ_RECSYS_TWICE_LAST; twice <= CCZ_RECSYS_TWICE_SUM; twice++) {
            struct ccz_recsys_matrices m;
            struct ccz_recsys_ratings r;
            struct ccz_err err = {0};
            CCZ_AUTO(ccz_recsys_csr) want = NULL;
            CCZ_AUTO(ccz_recsys_csr) turned = NULL;
            const struct ccz_recsys_build_cfg cfg = {
                .filter.twice = (enum ccz_recsys_twice)twice,
                .memory_max = lens[i] == LEN ? 12 << 20 : CCZ_RECSYS_BUILD_MEMORY_MIN,
                .spill_dir = temp_base,
                .by_item = true};
            no_tmpfile = i % 2;
            ratings(&r, lens[i], i);
            CHECK(ccz_recsys_csr_new(&want, &r, cfg.filter.twice, &err) == CCZ_OK &&
                  ccz_recsys_csr_transpose(&turned, want, &err) == CCZ_OK);
            CHECK(build(&m, &cfg, lens[i], i, &err) == CCZ_OK);
            same_rows(m.by_user, want);
            same_rows(m.by_item, turned);
            CHECK(m.memory_peak > 0 && m.memory_peak <= cfg.memory_max);
            CHECK(m.counts.read == lens[i] && m.counts.twice == lens[i] - m.counts.left);
            CHECK((m.runs > 0) == (m.spilled > 0) && (lens[i] < LEN || m.runs > 1));
            ccz_recsys_matrices_deinit(&m);
            ccz_recsys_ratings_deinit(&r);
        }
    no_tmpfile = false;
    CHECK(dir_is_empty(temp_base));
}

/* Little memory and many runs: merged on the way, several times over. */
static void many_levels(void)
{
    temp_setup();
    struct ccz_recsys_matrices m;
    struct ccz_recsys_builder *b;
    struct ccz_err err = {0};
    const struct ccz_recsys_build_cfg cfg = {.filter.twice = CCZ_RECSYS_TWICE_LAST,
                                             .memory_max = CCZ_RECSYS_BUILD_MEMORY_MIN,
                                             .spill_dir = temp_base};
    /* a few pairs again and again: the matrix stays small, and the last of all must count */
    CHECK(ccz_recsys_builder_new(&b, &cfg, &err) == CCZ_OK);
    for (uint32_t i = 0; i < 350000; i++) {
        const struct ccz_recsys_rating r = {.user = i % 7, .item = i % 5, .value = (float)i};
        CHECK(ccz_recsys_builder_add(b, &r, 1, &err) == CCZ_OK);
    }
    CHECK(ccz_recsys_builder_finish(&m, b, &err) == CCZ_OK);
    CHECK(m.by_user->len == 35 && m.runs >= 1 && m.runs <= 2);
    CHECK(m.spilled > 2 * UINT64_C(350000) * 20); /* written more than twice over */
    for (uint32_t u = 0; u < 7; u++)
        for (uint64_t k = m.by_user->start[u]; k < m.by_user->start[u + 1]; k++) {
            const uint32_t i = (uint32_t)m.by_user->value[k];
            CHECK(i % 7 == u && i % 5 == m.by_user->col[k] && i >= 350000 - 35);
        }
    CHECK(m.memory_peak <= cfg.memory_max);
    ccz_recsys_matrices_deinit(&m);
    ccz_recsys_builder_free(b);
    CHECK(dir_is_empty(temp_base));
}

/* ------------------------------------------------------------------------------ nothing in clear */

enum { FDS = 256 };
static bool inherited[FDS]; /* of whoever started this test: none of ours */

/* Open files of this process that have no name and hold `what`; `files` counts those without a name. */
static size_t search(size_t *files, const void *what, size_t size)
{
    size_t found = 0;
    *files = 0;
    for (int fd = 3; fd < FDS; fd++) {
        struct stat st;
        if (inherited[fd] || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 0)
            continue;
        uint8_t *p = malloc((size_t)st.st_size + 1);
        CHECK(p && pread(fd, p, (size_t)st.st_size, 0) == st.st_size);
        ++*files;
        found += memmem(p, (size_t)st.st_size, what, size) != NULL;
        free(p);
    }
    return found;
}

static void nothing_in_clear(void)
{
    temp_setup();
    struct ccz_recsys_builder *b;
    struct ccz_err err = {0};
    const struct ccz_recsys_build_cfg cfg = {.filter.twice = CCZ_RECSYS_TWICE_SUM,
                                             .memory_max = CCZ_RECSYS_BUILD_MEMORY_MIN,
                                             .spill_dir = temp_base};
    for (int way = 0; way < 2; way++) {
        no_tmpfile = way;
        CHECK(ccz_recsys_builder_new(&b, &cfg, &err) == CCZ_OK);
        uint32_t rec[] = {USER_MARK, ITEM_MARK, 0};
        const struct ccz_recsys_rating r = {USER_MARK, ITEM_MARK, VALUE_MARK, 0};
        memcpy(&rec[2], &r.value, sizeof(rec[2]));
        for (int i = 0; i < 300000; i++) /* whichever part of a run it was */
            CHECK(ccz_recsys_builder_add(b, &r, 1, &err) == CCZ_OK);
        size_t files;
        CHECK(search(&files, rec, 8) == 0 && files >= 1 && search(&files, &rec[1], 8) == 0);
        CHECK(search(&files, "GRAFS_PF", 8) == files); /* and the search does see what is there */
        CHECK(dir_is_empty(temp_base));
        /* one chunk in clear is found */
        const int fd = open(temp_base, O_TMPFILE | O_RDWR, 0600);
        if (fd >= 0) {
            CHECK(pwrite(fd, rec, sizeof(rec), 4096) == (ssize_t)sizeof(rec));
            CHECK(search(&files, rec, 8) == 1 && search(&files, &rec[1], 8) == 1);
            close(fd);
        } else {
            CHECK(way == 1);
        }
        ccz_recsys_builder_free(b);
        CHECK(search(&files, rec, 8) == 0 && files == 0);
    }
    no_tmpfile = false;
}

/* A process that is killed while it has runs on disk leaves an empty folder. */
static void killed(void)
{
    temp_setup();
    for (int way = 0; way < 2; way++) {
        int pipe_fd[2];
        CHECK(pipe(pipe_fd) == 0);
        no_tmpfile = way;
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            struct ccz_recsys_builder *b;
            struct ccz_err err = {0};
            struct ccz_seeded rnd = ccz_seeded_from(1, 1);
            const struct ccz_recsys_build_cfg cfg = {.filter.twice = CCZ_RECSYS_TWICE_SUM,
                                                     .memory_max = CCZ_RECSYS_BUILD_MEMORY_MIN,
                                                     .spill_dir = temp_base};
            size_t files;
            CHECK(ccz_recsys_builder_new(&b, &cfg, &err) == CCZ_OK &&
                  add_some(b, &rnd, 200000, &err) == CCZ_OK && !search(&files, "none at all", 11) &&
                  files > 0);
            CHECK(write(pipe_fd[1], "x", 1) == 1);
            for (;;)
                pause();
        }
        char x;
        close(pipe_fd[1]);
        CHECK(read(pipe_fd[0], &x, 1) == 1); /* 0 if the child failed */
        CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
        close(pipe_fd[0]);
        CHECK(dir_is_empty(temp_base));
    }
    no_tmpfile = false;
}

/* --------------------------------------------------------------------------------------- failures */

static const struct ccz_recsys_build_cfg small = {.filter.twice = CCZ_RECSYS_TWICE_SUM,
                                                  .memory_max = CCZ_RECSYS_BUILD_MEMORY_MIN,
                                                  .spill_dir = temp_base};

/* Every write in turn finds the disk full. */
static void disk_full(void)
{
    temp_setup();
    struct ccz_recsys_matrices m;
    struct ccz_err err = {0};
    CHECK(build(&m, &small, 200000, 3, &err) == CCZ_OK);
    ccz_recsys_matrices_deinit(&m);
    long k = 0;
    for (bool done = false; !done; k++) {
        writes_left = k;
        write_failed = false;
        ccz_rc rc = build(&m, &small, 200000, 3, &err);
        done = !write_failed;
        CHECK(done ? rc == CCZ_OK : is_refused(rc, CCZ_E_IO, &err, "pf:io"));
        CHECK(done || (strstr(err.msg, "No space") && !m.by_user));
        ccz_recsys_matrices_deinit(&m);
    }
    writes_left = -1;
    CHECK(k > 20 && dir_is_empty(temp_base));

    (void)signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is the same thing at another place */
    const struct rlimit limit = {.rlim_cur = 100000, .rlim_max = RLIM_INFINITY};
    const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(is_refused(build(&m, &small, 200000, 3, &err), CCZ_E_IO, &err, "pf:io"));
    CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
    struct ccz_recsys_build_cfg cfg = small;
    cfg.spill_dir = temp_path("none");
    CHECK(is_refused(build(&m, &cfg, 200000, 3, &err), CCZ_E_NOT_FOUND, &err, "recsys:spill"));
    cfg.spill_dir = "/proc/self/status";
    CHECK(is_refused(build(&m, &cfg, 200000, 3, &err), CCZ_E_IO, &err, "recsys:spill"));
}

static void memory_limits(void)
{
    temp_setup();
    struct ccz_recsys_matrices m;
    struct ccz_err err = {0};
    struct ccz_recsys_build_cfg cfg = small;
    cfg.spill_dir = NULL; /* nothing may go to disk */
    CHECK(is_refused(build(&m, &cfg, 200000, 3, &err), CCZ_E_LIMIT, &err, "recsys:memory-max") &&
          strstr(err.hint, "folder"));
    CHECK(build(&m, &cfg, 40000, 3, &err) == CCZ_OK && m.spilled == 0);
    ccz_recsys_matrices_deinit(&m);
    cfg = small; /* the matrix itself does not fit: 8 bytes a rating */
    CHECK(is_refused(build(&m, &cfg, 600000, 3, &err), CCZ_E_LIMIT, &err, "recsys:memory-max") &&
          strstr(err.hint, "matrix"));
    cfg.by_item = true; /* nor do two of them */
    CHECK(is_refused(build(&m, &cfg, 300000, 3, &err), CCZ_E_LIMIT, &err, "recsys:memory-max"));
    CHECK(build(&m, &cfg, 200000, 3, &err) == CCZ_OK);
    ccz_recsys_matrices_deinit(&m);

    /* dictionaries grow beyond what is left */
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 1 << 24);
    ccz_buf_put_str(&text, "user,item\n");
    for (int i = 0; i < 60000; i++)
        ccz_buf_printf(&text, "a-user-with-a-rather-long-name-%d,i\n", i);
    struct ccz_recsys_format f;
    CHECK(ccz_recsys_format_from(&f, "csv"));
    for (int more = 0; more < 2; more++) {
        CCZ_AUTO(ccz_recsys_source) s = NULL;
        CHECK(ccz_recsys_source_mem(&s, ccz_buf_span(&text), &err) == CCZ_OK);
        cfg = small;
        cfg.memory_max = more ? 32 << 20 : CCZ_RECSYS_BUILD_MEMORY_MIN;
        ccz_rc rc = ccz_recsys_build(&m, s, &f, &cfg, &err);
        CHECK(more ? rc == CCZ_OK && m.memory_peak <= cfg.memory_max
                   : is_refused(rc, CCZ_E_LIMIT, &err, "recsys:memory-max"));
        ccz_recsys_matrices_deinit(&m);
    }
}

static void refuse_twice(void)
{
    temp_setup();
    struct ccz_recsys_builder *b;
    struct ccz_recsys_matrices m;
    struct ccz_err err = {0};
    struct ccz_recsys_build_cfg cfg = small;
    cfg.filter.twice = CCZ_RECSYS_TWICE_REFUSE;
    for (int again = 0; again < 2; again++) { /* the two ratings are in different runs */
        CHECK(ccz_recsys_builder_new(&b, &cfg, &err) == CCZ_OK);
        for (uint32_t i = 0; i < 100000; i++) {
            const struct ccz_recsys_rating r = {.user = i == 99999 && again ? 0 : i,
                                                .item = i == 99999 && again ? 0 : i % 9};
            CHECK(ccz_recsys_builder_add(b, &r, 1, &err) == CCZ_OK);
        }
        ccz_rc rc = ccz_recsys_builder_finish(&m, b, &err);
        CHECK(again ? is_refused(rc, CCZ_E_EXISTS, &err, "recsys:twice") && !m.by_user
                    : rc == CCZ_OK && m.by_user->len == 100000);
        ccz_recsys_matrices_deinit(&m);
        ccz_recsys_builder_free(b);
    }
    CHECK(ccz_recsys_builder_new(&b, &small, &err) == CCZ_OK);
    const struct ccz_recsys_rating r = {.value = 3e38F};
    CHECK(ccz_recsys_builder_add(b, &r, 1, &err) == CCZ_OK &&
          ccz_recsys_builder_add(b, &r, 1, &err) == CCZ_OK);
    CHECK(is_refused(ccz_recsys_builder_finish(&m, b, &err), CCZ_E_FORMAT, &err, "recsys:value"));
    ccz_recsys_builder_free(b);
}

/* Files without a name that this process has opened, as the host could reach them. What runs the tests may have left it some, too. */
static size_t spill_files(int fd[16])
{
    size_t len = 0;
    for (int i = 3; i < FDS && len < 16; i++) {
        struct stat st;
        if (!inherited[i] && fstat(i, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0)
            fd[len++] = i;
    }
    return len;
}

/* A changed bit, and two runs swapped for one another: noticed before anything comes out. */
static void tampered(void)
{
    temp_setup();
    for (int how = 0; how < 3; how++) {
        struct ccz_recsys_builder *b;
        struct ccz_recsys_matrices m;
        struct ccz_err err = {0};
        struct ccz_seeded rnd = ccz_seeded_from(5, 1);
        struct ccz_recsys_build_cfg cfg = small;
        cfg.memory_max = 12 << 20; /* runs of the same size, not merged yet */
        CHECK(ccz_recsys_builder_new(&b, &cfg, &err) == CCZ_OK &&
              add_some(b, &rnd, 600000, &err) == CCZ_OK);
        int fd[16];
        CHECK(spill_files(fd) >= 2);
        uint8_t byte;
        CHECK(pread(fd[0], &byte, 1, 300 * 4096 + 11) == 1);
        byte ^= 1;
        if (how == 1)
            CHECK(pwrite(fd[0], &byte, 1, 300 * 4096 + 11) == 1);
        if (how == 2) {
            const int keep = dup(fd[0]);
            CHECK(keep >= 0 && dup2(fd[1], fd[0]) == fd[0] && dup2(keep, fd[1]) == fd[1]);
            close(keep);
        }
        ccz_rc rc = ccz_recsys_builder_finish(&m, b, &err);
        CHECK(how == 0 ? rc == CCZ_OK
                       : rc == CCZ_E_SIG && strncmp(err.where, "pf:", 3) == 0 && !m.by_user);
        ccz_recsys_matrices_deinit(&m);
        ccz_recsys_builder_free(b);
    }
}

int main(int argc, char **argv)
{
    for (int fd = 0; fd < FDS; fd++)
        inherited[fd] = fcntl(fd, F_GETFD) >= 0;
    static const struct ccz_test tests[] = {
        {"recsys.sorting", sorting},
        {"recsys.spill_same", same_as_in_memory},
        {"recsys.spill_levels", many_levels},
        {"recsys.spill_clear", nothing_in_clear},
        {"recsys.spill_killed", killed},
        {"recsys.spill_disk_full", disk_full},
        {"recsys.spill_memory", memory_limits},
        {"recsys.spill_twice", refuse_twice},
        {"recsys.spill_tampered", tampered},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
