/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned files: what is read is what was hashed, whatever happens to the file meanwhile. */
#define _GNU_SOURCE
#include "../refused.h"
#include "../temp_dir.h"

#include <cczoo/crypto.h>
#include <cczoo/pinned.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char *written; /* at each read, somebody writes to this file: see grows */
static off_t grows;         /* appends so many bytes; -1: cuts it to one */
static unsigned reads;
static int read_fails; /* so many calls are interrupted, then one fails; 0: none */

ssize_t __real_pread(int fd, void *to, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t offset);

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t offset)
{
    reads++;
    if (written) {
        struct stat st;
        CHECK(stat(written, &st) == 0 &&
              truncate(written, grows < 0 ? 1 : st.st_size + grows) == 0);
    }
    if (read_fails > 0) {
        errno = --read_fails ? EINTR : EIO;
        return -1;
    }
    return __real_pread(fd, to, size < 10000 ? size : 10000, offset); /* never all of it */
}

enum { CHUNK = CCZ_PINNED_CHUNK_SIZE, SIZE = 3 * CHUNK + 1000 };

static void fill(uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(i * 7 + i / 251);
}

static const char *write_new(const char *name, const uint8_t *bytes, size_t size)
{
    const char *path = temp_path(name);
    (void)unlink(path);
    CHECK(ccz_file_write(path, CCZ_SPAN(bytes, size), 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    return path;
}

/* In place, as somebody does who has the file open. */
static void poke(const char *path, uint64_t at, uint8_t value)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, &value, 1, (off_t)at) == 1);
    close(fd);
}

static void test_reads(void)
{
    static const size_t sizes[] = {0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, SIZE};
    static const struct {
        size_t at, size;
    } range[] = {{0, SIZE}, {CHUNK - 3, 6}, {5, 2 * CHUNK}, {SIZE - 1, 1}, {2 * CHUNK, CHUNK}};
    uint8_t *in = malloc(SIZE), *out = malloc(SIZE), want[32];
    struct ccz_err err = {0};
    CHECK(in && out);
    fill(in, SIZE);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const char *path = write_new("reads", in, sizes[i]);
        CCZ_AUTO(ccz_pinned) p = NULL;
        uint64_t size;
        CHECK(ccz_pinned_open(&p, path, &err) == CCZ_OK);
        CHECK(ccz_sha256(want, CCZ_SPAN(in, sizes[i])) == CCZ_OK);
        CHECK(memcmp(want, ccz_pinned_sha256(p), 32) == 0 && ccz_pinned_size(p) == sizes[i]);
        CHECK(ccz_pinned_size_at(&size, p, &err) == CCZ_OK && size == sizes[i]);
        memset(out, 0, SIZE);
        CHECK(ccz_pinned_read_at(out, p, 0, sizes[i], &err) == CCZ_OK);
        CHECK(memcmp(in, out, sizes[i]) == 0);
        for (size_t k = 0; k < sizeof(range) / sizeof(range[0]); k++) {
            memset(out, 0, SIZE);
            const bool inside = range[k].at + range[k].size <= sizes[i];
            const ccz_rc rc = ccz_pinned_read_at(out, p, range[k].at, range[k].size, &err);
            CHECK(inside ? rc == CCZ_OK && memcmp(in + range[k].at, out, range[k].size) == 0
                         : is_refused(rc, CCZ_E_IO, &err, "pinned:range"));
        }
        CHECK(ccz_pinned_read_at(out, p, sizes[i], 0, &err) == CCZ_OK);
        CHECK(is_refused(ccz_pinned_read_at(out, p, UINT64_MAX, 1, &err), CCZ_E_IO, &err,
                         "pinned:range"));
        CHECK(is_refused(ccz_pinned_read_at(out, p, 1, SIZE_MAX, &err), CCZ_E_IO, &err,
                         "pinned:range"));
    }
    free(in);
    free(out);
}

/* One bit in each chunk in turn: that chunk is refused by its number, the others are read. */
static void test_changed(void)
{
    uint8_t *in = malloc(SIZE), *out = malloc(SIZE);
    struct ccz_err err = {0};
    CHECK(in && out);
    fill(in, SIZE);
    for (size_t bad = 0; bad < 4; bad++) {
        const char *path = write_new("changed", in, SIZE);
        CCZ_AUTO(ccz_pinned) p = NULL;
        char text[32];
        CHECK(ccz_pinned_open(&p, path, &err) == CCZ_OK);
        const size_t at = bad * CHUNK + 999;
        poke(path, at, in[at] ^ 0x10);
        for (size_t i = 0; i < 4; i++) {
            const ccz_rc rc = ccz_pinned_read_at(out, p, i * CHUNK, 10, &err); /* not that byte */
            CHECK(i == bad ? is_refused(rc, CCZ_E_SIG, &err, "pinned:changed")
                           : rc == CCZ_OK && memcmp(out, in + i * CHUNK, 10) == 0);
        }
        CHECK(is_refused(ccz_pinned_read_at(out, p, 0, SIZE, &err), CCZ_E_SIG, &err,
                         "pinned:changed"));
        (void)snprintf(text, sizeof(text), "chunk %zu is another one", bad);
        CHECK(strcmp(err.got, text) == 0);
        /* again: a chunk that was refused is not held */
        CHECK(is_refused(ccz_pinned_read_at(out, p, bad * CHUNK, 10, &err), CCZ_E_SIG, &err,
                         "pinned:changed"));
        poke(path, at, in[at]); /* and what is as it was is read */
        CHECK(ccz_pinned_read_at(out, p, 0, SIZE, &err) == CCZ_OK && memcmp(in, out, SIZE) == 0);
    }
    free(in);
    free(out);
}

/* Cut, grown, replaced, removed. */
static void test_ends(void)
{
    uint8_t *in = malloc(SIZE), *out = malloc(SIZE);
    struct ccz_err err = {0};
    CHECK(in && out);
    fill(in, SIZE);
    const char *path = write_new("ends", in, SIZE);
    CCZ_AUTO(ccz_pinned) p = NULL;
    CHECK(ccz_pinned_open(&p, path, &err) == CCZ_OK);
    CHECK(truncate(path, SIZE + 5000) == 0); /* what was appended is not seen */
    CHECK(ccz_pinned_read_at(out, p, 0, SIZE, &err) == CCZ_OK && memcmp(in, out, SIZE) == 0);
    CHECK(is_refused(ccz_pinned_read_at(out, p, SIZE, 1, &err), CCZ_E_IO, &err, "pinned:range"));
    CHECK(ccz_pinned_read_at(out, p, 0, 1, &err) ==
          CCZ_OK); /* another chunk than the last is held */
    CHECK(truncate(path, SIZE - 1) == 0);
    CHECK(is_refused(ccz_pinned_read_at(out, p, 3 * CHUNK, 10, &err), CCZ_E_SIG, &err,
                     "pinned:changed") &&
          strcmp(err.got, "chunk 3 is cut short") == 0);
    CHECK(truncate(path, 0) == 0);
    CHECK(
        is_refused(ccz_pinned_read_at(out, p, CHUNK, 10, &err), CCZ_E_SIG, &err, "pinned:changed"));
    CHECK(unlink(path) == 0 &&
          symlink("/dev/zero", path) == 0); /* the path is not followed again */
    CHECK(is_refused(ccz_pinned_read_at(out, p, 0, 10, &err), CCZ_E_SIG, &err, "pinned:changed"));
    free(in);
    free(out);
}

static void test_refuses(void)
{
    CCZ_AUTO(ccz_pinned) p = NULL;
    struct ccz_err err = {0};
    CHECK(is_refused(ccz_pinned_open(&p, temp_path("none"), &err), CCZ_E_NOT_FOUND, &err,
                     "pinned:open"));
    CHECK(is_refused(ccz_pinned_open(&p, temp_base, &err), CCZ_E_IO, &err, "pinned:open"));
    CHECK(is_refused(ccz_pinned_open(&p, "/dev/zero", &err), CCZ_E_IO, &err, "pinned:open"));
    const char *pipe = temp_path("pipe");
    CHECK(mkfifo(pipe, 0600) == 0); /* nobody writes to it */
    CHECK(is_refused(ccz_pinned_open(&p, pipe, &err), CCZ_E_IO, &err, "pinned:open") && !p);
}

/* What has no end, or another one than it had, is no file to pin. */
static void test_moving(void)
{
    uint8_t *in = malloc(SIZE);
    struct ccz_err err = {0};
    struct ccz_pinned *p = NULL;
    CHECK(in);
    fill(in, SIZE);
    const char *path = write_new("moving", in, SIZE);
    written = path;
    grows = 2 * CHUNK; /* faster than it is read */
    reads = 0;
    CHECK(is_refused(ccz_pinned_open(&p, path, &err), CCZ_E_SIG, &err, "pinned:changed") && !p);
    CHECK(reads < 40 && strstr(err.got, "grows"));
    written = NULL;
    path = write_new("moving", in, SIZE);
    written = path;
    grows = -1;
    CHECK(is_refused(ccz_pinned_open(&p, path, &err), CCZ_E_SIG, &err, "pinned:changed") && !p);
    CHECK(strstr(err.got, "cut"));
    written = NULL;
    CHECK(truncate(path, (off_t)CCZ_PINNED_SIZE_MAX + 1) == 0); /* takes no room */
    reads = 0;
    CHECK(is_refused(ccz_pinned_open(&p, path, &err), CCZ_E_LIMIT, &err, "pinned:size") && !p);
    CHECK(reads == 0);
    free(in);
}

static void test_io(void)
{
    uint8_t in[100], out[100];
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_pinned) p = NULL;
    fill(in, sizeof(in));
    const char *path = write_new("io", in, sizeof(in));
    read_fails = 3;
    CHECK(is_refused(ccz_pinned_open(&p, path, &err), CCZ_E_IO, &err, "pinned:read") && !p &&
          err.aux == EIO);
    CHECK(ccz_pinned_open(&p, path, &err) == CCZ_OK);
    CHECK(ccz_pinned_read_at(out, p, 0, sizeof(out), &err) == CCZ_OK);
    uint8_t *large = malloc(SIZE);
    CHECK(large);
    fill(large, SIZE);
    CCZ_AUTO(ccz_pinned) q = NULL;
    CHECK(ccz_pinned_open(&q, write_new("io-large", large, SIZE), &err) == CCZ_OK);
    read_fails = 1;
    CHECK(is_refused(ccz_pinned_read_at(out, q, 0, 10, &err), CCZ_E_IO, &err, "pinned:read"));
    CHECK(ccz_pinned_read_at(out, q, 0, 10, &err) == CCZ_OK && memcmp(out, large, 10) == 0);
    free(large);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"pinned.reads", test_reads}, {"pinned.changed", test_changed},
        {"pinned.ends", test_ends},   {"pinned.refuses", test_refuses},
        {"pinned.io", test_io},       {"pinned.moving", test_moving},
    };
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
