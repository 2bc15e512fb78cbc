/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <cczoo/base.h>

#include "base/siphash.h"
#include "ccz_test.h"

#include <cczoo/parallel.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A tiny message: le16 version = 3, le32 body size, body. Shows the parse-then-check-once shape. */
static ccz_rc parse(struct ccz_span *body, struct ccz_span in, struct ccz_err *err)
{
    *body = (struct ccz_span){0};
    struct ccz_rd r = ccz_rd_from(in);
    uint16_t version = ccz_rd_le16(&r);
    uint32_t size = ccz_rd_le32(&r);
    struct ccz_span b = ccz_rd_take(&r, size);
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "demo:header", (int64_t)in.size,
                        "message of %zu bytes is truncated or has trailing bytes", in.size);
    if (version != 3)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "demo:version", version, 3);
    *body = b;
    return CCZ_OK;
}

static void test_parse(void)
{
    const uint8_t good[] = {3, 0, 2, 0, 0, 0, 'h', 'i'};
    struct ccz_span body;
    struct ccz_err err = {0};
    CHECK(parse(&body, CCZ_SPAN(good, sizeof(good)), &err) == CCZ_OK);
    CHECK(ccz_span_eq(body, ccz_span_str("hi")));
    for (size_t cut = 0; cut < sizeof(good); cut++) { /* every truncation is an error */
        CHECK(parse(&body, CCZ_SPAN(good, cut), &err) == CCZ_E_FORMAT);
        CHECK(body.ptr == NULL && body.size == 0);
    }
    CHECK(strcmp(err.where, "demo:header") == 0 && err.aux == 7);
    CHECK(parse(&body, CCZ_SPAN(good, 7), NULL) == CCZ_E_FORMAT); /* NULL err is fine */

    const uint8_t be[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(be, sizeof(be)));
    CHECK(ccz_rd_be16(&r) == 0x0102 && ccz_rd_be32(&r) == 0x03040506);
    CHECK(ccz_rd_le64(&r) == 0x0e0d0c0b0a090807u && ccz_rd_done(&r));
    uint8_t keep[2] = {9, 9};
    ccz_rd_copy(&r, keep, 2);
    CHECK(r.bad && keep[0] == 0 && keep[1] == 0);
}

static ccz_rc make(struct ccz_secret **out, int fail)
{
    *out = NULL;
    CCZ_AUTO(ccz_secret) s = NULL;
    ccz_rc rc = ccz_secret_new(&s, 32);
    if (rc != CCZ_OK)
        return rc;
    memset(ccz_secret_bytes(s), 7, 32);
    if (fail)
        return CCZ_E_IO; /* s is wiped and freed on the way out */
    *out = ccz_secret_take(&s);
    return CCZ_OK;
}

static void test_secret(void)
{
    CCZ_AUTO(ccz_secret) s = NULL;
    CHECK(make(&s, 1) == CCZ_E_IO && s == NULL);
    CHECK(make(&s, 0) == CCZ_OK && ccz_secret_size(s) == 32);
    struct ccz_secret *none = NULL;
    CHECK(ccz_secret_new(&none, 0) == CCZ_E_ARG && none == NULL);
    CHECK(ccz_secret_new(&none, CCZ_SECRET_SIZE_MAX + 1) == CCZ_E_ARG && none == NULL);
    ccz_secret_free(NULL);
}

static void test_ct_eq(void)
{
    uint8_t a[64] = {0}, b[64] = {0};
    CHECK(ccz_ct_eq(a, b, 64) == 1 && ccz_ct_eq(a, b, 0) == 1);
    for (size_t i = 0; i < 512; i++) {
        b[i / 8] ^= (uint8_t)(1u << (i % 8));
        CHECK(ccz_ct_eq(a, b, 64) == 0);
        b[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
}

static void test_rc(void)
{
    CHECK(strcmp(ccz_rc_name(CCZ_E_SIG), "CCZ_E_SIG") == 0);
    CHECK(strcmp(ccz_rc_str((ccz_rc)-999), "unknown error") == 0);
}

static void test_err(void)
{
    struct ccz_err e;
    CHECK(ccz_refuse(&e, CCZ_E_POLICY, "policy:mrenclave", "aa", "bb") == CCZ_E_POLICY);
    CHECK(strcmp(e.msg, "got aa, expected bb") == 0 && strcmp(e.got, "aa") == 0);
    uint8_t big[100];
    memset(big, 0xab, sizeof(big));
    CHECK(ccz_refuse_bytes(&e, CCZ_E_SIG, "x:y", big, sizeof(big), big, 0) == CCZ_E_SIG);
    CHECK(strlen(e.got) == CCZ_ERR_VALUE_SIZE - 2 && strcmp(e.expected, "(empty)") == 0);
    CHECK(strcmp(e.got + strlen(e.got) - 2, "..") == 0);
    CHECK(ccz_refuse_num(&e, CCZ_E_FORMAT, "q:v", 4, 3) == CCZ_E_FORMAT && e.aux == 4);
    CHECK(ccz_hint(&e, e.rc, "do this") == CCZ_E_FORMAT && strcmp(e.hint, "do this") == 0);
    ccz_refuse(&e, CCZ_E_PEER, e.where, e.got, e.expected); /* aliases its own fields */
    CHECK(strcmp(e.where, "q:v") == 0 && strcmp(e.got, "4") == 0);
}

/* Of another implementation, with a key of zeros. */
static void test_siphash(void)
{
    static const struct {
        const char *text;
        uint64_t hash;
    } rows[] = {{"a", UINT64_C(0x407448d2b89b1813)},
                {"abcdefg", UINT64_C(0x6db12aae9070f506)},
                {"abcdefgh", UINT64_C(0x3f7b849c0b8e35ea)},
                {"abcdefghi", UINT64_C(0xf89b34a3d11eb6e5)}};
    const uint64_t zero[2] = {0, 0}, one[2] = {1, 0}, other[2] = {0, 1};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t size = strlen(rows[i].text);
        CHECK(cczi_siphash(zero, rows[i].text, size) == rows[i].hash);
        CHECK(cczi_siphash(one, rows[i].text, size) != rows[i].hash);
        CHECK(cczi_siphash(other, rows[i].text, size) != rows[i].hash);
    }
}

static void test_buf(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 700);
    CHECK(ccz_buf_extend(&b, 0) != NULL && strcmp(ccz_buf_str(&b), "") == 0);
    ccz_buf_printf(&b, "%s-%d", "x", 7);
    CHECK(strcmp(ccz_buf_str(&b), "x-7") == 0);
    ccz_buf_be32(&b, 0x01020304);
    ccz_buf_le16(&b, 0x0102);
    CHECK(b.size == 9 && b.ptr[3] == 1 && b.ptr[7] == 2);
    ccz_buf_consume(&b, 8);
    CHECK(b.size == 1 && b.ptr[0] == 1);
    for (int i = 0; i < 699; i++)
        ccz_buf_u8(&b, (uint8_t)i);
    CHECK(!b.bad && b.size == 700);
    ccz_buf_u8(&b, 1); /* over the maximum: sticky */
    CHECK(b.bad && b.size == 700 && ccz_buf_span(&b).ptr == NULL);
    ccz_buf_put_str(&b, "");
    CHECK(b.bad);
    ccz_buf_clear(&b);
    b.wipe = true;
    for (int i = 0; i < 600; i++)
        ccz_buf_u8(&b, 3);
    CHECK(!b.bad && b.ptr[599] == 3);
}

static void test_text(void)
{
    uint8_t out[3];
    char hex[7];
    CHECK(ccz_unhex(out, 3, "00aBfF", 6) == CCZ_OK && out[1] == 0xab && out[2] == 0xff);
    ccz_hex(hex, out, 3);
    CHECK(strcmp(hex, "00abff") == 0);
    CHECK(ccz_unhex(out, 3, "00aBf", 5) == CCZ_E_FORMAT && out[1] == 0);
    CHECK(ccz_unhex(out, 3, "00aBfg", 6) == CCZ_E_FORMAT);
    char esc[12];
    ccz_escape(esc, sizeof(esc), ccz_span_str("a\nb\\c"));
    CHECK(strcmp(esc, "a\\x0ab\\x5cc") == 0 || strcmp(esc, "a\\x0ab\\x5c") == 0);
    char quoted[64]; /* would be a field of its own */
    ccz_escape(quoted, sizeof(quoted), ccz_span_str("x\" where=\"y"));
    CHECK(strcmp(quoted, "x\\x22 where=\\x22y") == 0);
    ccz_escape(esc, 4, ccz_span_str("\n\n"));
    CHECK(strcmp(esc, "") == 0);
}

static void test_time(void)
{
    int64_t t;
    char s[21];
    CHECK(ccz_time_parse(&t, "1970-01-01T00:00:00Z", 20) == CCZ_OK && t == 0);
    CHECK(ccz_time_parse(&t, "2024-02-29T23:59:59Z", 20) == CCZ_OK && t == 1709251199);
    ccz_time_format(s, t);
    CHECK(strcmp(s, "2024-02-29T23:59:59Z") == 0);
    for (int64_t d = 0; d < 80000; d += 37) { /* 219 years, round trip */
        int64_t back;
        ccz_time_format(s, d * 86400 + 3661);
        CHECK(ccz_time_parse(&back, s, 20) == CCZ_OK && back == d * 86400 + 3661);
    }
    static const struct {
        int64_t t_s;
        const char *text;
    } ends[] = {{CCZ_TIME_MAX_S, "9999-12-31T23:59:59Z"},
                {CCZ_TIME_MAX_S + 1, "9999-12-31T23:59:59Z"}, /* and not the year 0 */
                {317368281600, "9999-12-31T23:59:59Z"},       /* nor 2027 */
                {INT64_MAX, "9999-12-31T23:59:59Z"},
                {-62167219200, "0000-01-01T00:00:00Z"},
                {INT64_MIN, "0000-01-01T00:00:00Z"}};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        ccz_time_format(s, ends[i].t_s);
        CHECK(strcmp(s, ends[i].text) == 0);
    }
    static const char *const bad[] = {"2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z",
                                      "2023-01-01T24:00:00Z", "2023-01-01 00:00:00Z",
                                      "2023-01-01T00:00:00z", "20x3-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(ccz_time_parse(&t, bad[i], 20) == CCZ_E_FORMAT && t == 0);
}

static void test_file(void)
{
    char dir[] = "/tmp/ccz_base_XXXXXX", path[64];
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/k", dir);
    struct ccz_err e;
    CHECK(ccz_file_write(path, ccz_span_str("abc"), 0600, CCZ_FILE_CREATE_ONLY, &e) == CCZ_OK);
    CHECK(ccz_file_write(path, ccz_span_str("x"), 0600, CCZ_FILE_CREATE_ONLY, &e) == CCZ_E_EXISTS);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 10);
    CHECK(ccz_file_read(&b, path, &e) == CCZ_OK && strcmp(ccz_buf_str(&b), "abc") == 0);
    CCZ_AUTO(ccz_secret) s = NULL;
    CHECK(ccz_file_read_secret(&s, path, 16, &e) == CCZ_OK && ccz_secret_size(s) == 3);
    struct ccz_secret *open_to_all = NULL;
    CHECK(chmod(path, 0644) == 0);
    CHECK(ccz_file_read_secret(&open_to_all, path, 16, &e) == CCZ_E_DENIED && !open_to_all);
    CHECK(strcmp(e.where, "file:permissions") == 0 && strcmp(e.got, "0644") == 0);
    CHECK(ccz_file_write(path, ccz_span_str("0123456789ab"), 0600, CCZ_FILE_REPLACE, &e) == CCZ_OK);
    ccz_buf_clear(&b);
    CHECK(ccz_file_read(&b, path, &e) == CCZ_E_LIMIT);
    CHECK(unlink(path) == 0);
    ccz_buf_clear(&b);
    CHECK(ccz_file_read(&b, path, &e) == CCZ_E_NOT_FOUND);
    (void)snprintf(path, sizeof(path), "%s/a/b", dir);
    CHECK(ccz_dir_make(path, 0700, &e) == CCZ_OK && ccz_dir_make(path, 0700, &e) == CCZ_OK);
    CHECK(rmdir(path) == 0);
    (void)snprintf(path, sizeof(path), "%s/a", dir);
    CHECK(rmdir(path) == 0 && rmdir(dir) == 0); /* and no temporary file was left */
}

/* open() of a file without a name fails with this; 0: it does not. */
static int nameless_fails;
static int nameless_tried;
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    if ((flags & O_TMPFILE) != O_TMPFILE || nameless_fails == 0)
        return __real_open(path, flags, 0600);
    nameless_tried++;
    errno = nameless_fails;
    return -1;
}

/* With O_TMPFILE and without: readable, writable, private, without a name. */
static void test_nameless(void)
{
    static const int codes[] = {0, EOPNOTSUPP, EISDIR, EINVAL};
    char dir[] = "/tmp/cczoo-nameless-XXXXXX";
    CHECK(mkdtemp(dir));
    for (size_t i = 0; i < 4; i++) {
        struct stat st;
        char back[4] = "";
        nameless_fails = codes[i];
        const int fd = ccz_nameless_open(dir);
        CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 07777) == 0600);
        CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
        CHECK(pwrite(fd, "abc", 3, 0) == 3 && pread(fd, back, 3, 0) == 3 &&
              strcmp(back, "abc") == 0);
        CHECK(close(fd) == 0);
    }
    CHECK(nameless_tried == 3);
    nameless_fails = ENOSPC; /* a reason that a name would not mend */
    CHECK(ccz_nameless_open(dir) == -1 && errno == ENOSPC);
    nameless_fails = EINVAL;
    char *deep = malloc(5000);
    CHECK(deep);
    memset(deep, 'd', 4999);
    deep[4999] = 0;
    CHECK(ccz_nameless_open(deep) == -1 && errno == ENAMETOOLONG);
    free(deep);
    nameless_fails = 0;
    CHECK(ccz_nameless_open("/nowhere/at/all") == -1 && errno == ENOENT);
    CHECK(rmdir(dir) == 0); /* it was empty */
}

/* fsync() of folders fails with this; 0: it does not. */
static int sync_errno;
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    struct stat st;
    if (sync_errno == 0 || fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode))
        return __real_fsync(fd);
    errno = sync_errno;
    return -1;
}

/* What says that something is durable has to be. */
static void test_newdir(void)
{
    char dir[] = "/tmp/ccz_base_XXXXXX", path[64], file[5000];
    struct ccz_err e;
    struct ccz_newdir d, other;
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/k", dir);
    (void)snprintf(file, sizeof(file), "%s/k/f", dir);
    CHECK(ccz_newdir_open(&d, path, 0700, &e) == CCZ_OK && access(path, F_OK) != 0);
    CHECK(access(d.tmp, F_OK) == 0);
    ccz_newdir_abort(&d);
    ccz_newdir_abort(&d);
    CHECK(rmdir(dir) == 0 && mkdir(dir, 0700) == 0); /* nothing was left */
    CHECK(ccz_newdir_open(&d, path, 0700, &e) == CCZ_OK);
    CHECK(ccz_newdir_open(&other, path, 0700, &e) == CCZ_E_IO && strcmp(e.where, "file:dir") == 0);
    ccz_newdir_abort(&other); /* what it did not make it does not remove */
    CHECK(access(d.tmp, F_OK) == 0);
    (void)snprintf(file, sizeof(file), "%s/f", d.tmp);
    CHECK(ccz_file_write(file, ccz_span_str("abc"), 0600, CCZ_FILE_REPLACE, &e) == CCZ_OK);
    CHECK(ccz_newdir_commit(&d, &e) == CCZ_OK && d.tmp[0] == 0);
    ccz_newdir_abort(&d);
    (void)snprintf(file, sizeof(file), "%s/k/f", dir);
    CHECK(access(file, F_OK) == 0);
    CHECK(ccz_newdir_open(&d, path, 0700, &e) == CCZ_E_EXISTS && d.tmp[0] == 0);
    /* somebody is faster */
    CHECK(unlink(file) == 0 && rmdir(path) == 0);
    CHECK(ccz_newdir_open(&d, path, 0700, &e) == CCZ_OK && mkdir(path, 0700) == 0);
    CHECK(ccz_file_write(file, ccz_span_str("abc"), 0600, CCZ_FILE_REPLACE, &e) == CCZ_OK);
    CHECK(ccz_newdir_commit(&d, &e) == CCZ_E_EXISTS && strcmp(e.where, "file:exists") == 0);
    CHECK(access(file, F_OK) == 0 && unlink(file) == 0 && rmdir(path) == 0 && rmdir(dir) == 0);
    CHECK(ccz_newdir_open(&d, path, 0700, &e) == CCZ_E_NOT_FOUND);
}

static void test_sync(void)
{
    char dir[] = "/tmp/ccz_base_XXXXXX", path[64];
    struct ccz_err e;
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/k", dir);
    sync_errno = EIO;
    CHECK(ccz_file_write(path, ccz_span_str("abc"), 0600, CCZ_FILE_REPLACE, &e) == CCZ_E_IO);
    CHECK(strcmp(e.where, "file:sync") == 0 && e.aux == EIO);
    CHECK(access(path, F_OK) == 0);
    CHECK(ccz_sync_parent(path, &e) == CCZ_E_IO);
    sync_errno = EINVAL; /* a file system that has no such thing */
    CHECK(ccz_file_write(path, ccz_span_str("abc"), 0600, CCZ_FILE_REPLACE, &e) == CCZ_OK);
    sync_errno = 0;
    CHECK(ccz_sync_parent(path, &e) == CCZ_OK && ccz_sync_parent("k", &e) == CCZ_OK &&
          ccz_sync_parent("/k", &e) == CCZ_OK);
    CHECK(unlink(path) == 0 && rmdir(dir) == 0);
    CHECK(ccz_sync_parent(path, &e) == CCZ_E_IO && strcmp(e.where, "file:sync") == 0);
    char far[5000];
    memset(far, 'a', sizeof(far) - 1);
    far[sizeof(far) - 1] = 0;
    CHECK(ccz_sync_parent(far, &e) == CCZ_E_IO && strcmp(e.where, "file:sync") == 0);
}

static void test_cpu(void)
{
    const struct ccz_cpu *cpu = ccz_cpu();
    const char *pinned = getenv("CCZOO_CPU");
    CHECK(cpu->best < CCZ_CPU_TIERS && cpu->chosen <= cpu->best && ccz_cpu() == cpu);
    for (int i = 0; i < CCZ_CPU_TIERS; i++)
        CHECK(ccz_cpu_tier_from(ccz_cpu_tier_name((enum ccz_cpu_tier)i)) == (enum ccz_cpu_tier)i);
    CHECK(ccz_cpu_tier_from("AVX2") == CCZ_CPU_TIERS && ccz_cpu_tier_from("") == CCZ_CPU_TIERS);
    if (!pinned || ccz_cpu_tier_from(pinned) == CCZ_CPU_TIERS) /* a name that is none is ignored */
        CHECK(cpu->chosen == cpu->best);
    else
        CHECK(cpu->chosen <= ccz_cpu_tier_from(pinned));
    if (pinned && strcmp(pinned, "portable") == 0)
        CHECK(cpu->chosen == CCZ_CPU_PORTABLE && !cpu->mulx_adx);
#if defined(__x86_64__)
    /* what the compiler's own detection says of the processor */
    CHECK((cpu->best >= CCZ_CPU_AVX2) ==
          (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")));
    if (cpu->best >= CCZ_CPU_AVX512)
        CHECK(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl"));
    CHECK((cpu->best == CCZ_CPU_IFMA) ==
          (cpu->best >= CCZ_CPU_AVX512 && __builtin_cpu_supports("avx512ifma")));
#endif
}

static char logged[1024];

static void keep(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    CHECK(arg == logged && level == CCZ_LOG_WARN && strcmp(module, "base") == 0);
    (void)snprintf(logged, sizeof(logged), "%s", line);
}

/* What a peer sent cannot end its field or the line. */
static void test_log_err(void)
{
    struct ccz_err err = {0};
    ccz_log_install(keep, logged, CCZ_LOG_WARN);
    (void)ccz_fail(&err, CCZ_E_PEER, "peer:x\ny", 0, "no \"way\"\nerror base: forged");
    ccz_log_err(CCZ_LOG_WARN, "base", "dropped peer=a", &err);
    CHECK(strcmp(logged, "dropped peer=a where=peer:x\\x0ay "
                         "msg=\"no \\x22way\\x22\\x0aerror base: forged\"") == 0);
    (void)ccz_refuse(&err, CCZ_E_POLICY, "p:q", "1\x1b", "2");
    (void)ccz_hint(&err, CCZ_E_POLICY, "do");
    ccz_log_err(CCZ_LOG_WARN, "base", "refused", &err);
    CHECK(strstr(logged, "refused where=p:q got=\"1\\x1b\" expected=\"2\" ") == logged &&
          strstr(logged, " hint=\"do\""));
    logged[0] = 0;
    ccz_log_err(CCZ_LOG_DEBUG, "base", "refused", &err);
    CHECK(logged[0] == 0);
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
}

/* ---------------------------------------------------------------------------------- threads */

struct ranges {
    unsigned char seen[1000];
    size_t bad; /* the range with this item fails */
};

static ccz_rc mark(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    struct ranges *r = arg;
    for (size_t i = from; i < from + len; i++) {
        r->seen[i]++;
        if (i == r->bad)
            return ccz_fail(err, CCZ_E_FORMAT, "test:bad", (int64_t)i, "item %zu", i);
    }
    return CCZ_OK;
}

static void test_parallel(void)
{
    static const size_t lens[] = {0, 1, 7, 64, 65, 999, 1000};
    for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++)
        for (unsigned threads = 0; threads < 70; threads += threads < 9 ? 1 : 20)
            for (size_t grain = 1; grain < 2000; grain *= 8) {
                struct ranges r = {.bad = SIZE_MAX};
                struct ccz_err err = {0};
                CHECK(ccz_parallel(mark, &r, lens[l], grain, threads, &err) == CCZ_OK);
                for (size_t i = 0; i < sizeof(r.seen); i++)
                    CHECK(r.seen[i] == (i < lens[l]));
            }
    struct ranges r = {.bad = 700};
    struct ccz_err err = {0};
    CHECK(ccz_parallel(mark, &r, 1000, 8, 3, &err) == CCZ_E_FORMAT && err.aux == 700);
    CHECK(ccz_parallel(mark, &r, 1000, 8, 3, NULL) == CCZ_E_FORMAT);
    CHECK(ccz_processors() >= 1 && ccz_processors() <= CCZ_THREADS_MAX);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"base.parse", test_parse},       {"base.secret", test_secret},
        {"base.ct_eq", test_ct_eq},       {"base.rc", test_rc},
        {"base.err", test_err},           {"base.buf", test_buf},
        {"base.siphash", test_siphash},   {"base.text", test_text},
        {"base.time", test_time},         {"base.file", test_file},
        {"base.sync", test_sync},         {"base.cpu", test_cpu},
        {"base.log_err", test_log_err},   {"base.parallel", test_parallel},
        {"base.nameless", test_nameless}, {"base.newdir", test_newdir},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
