/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model as a file, not encrypted: "CCZFLmd1", size of the head (8), head, parameters. Head, protobuf: 1 layout, 2 round, 3 digest,
 * 4 signature (64 bytes; absent: none).
 */
#define _DEFAULT_SOURCE
#include "fl/fl_priv.h"

#include <cczoo/codec.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MAGIC[8] = {'C', 'C', 'Z', 'F', 'L', 'm', 'd', '1'};
enum { H_LAYOUT = 1, H_ROUND, H_DIGEST, H_SIG };
#define HEAD_SIZE_MAX (CCZ_FL_LAYOUT_SIZE_MAX + 4096)

static ccz_rc write_all(int fd, const void *from, uint64_t size, struct ccz_err *err)
{
    const uint8_t *p = from;
    while (size > 0) {
        ssize_t n = write(fd, p, size < (1U << 30) ? (size_t)size : (size_t)1 << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ccz_fail(err, CCZ_E_IO, "fl:model-file", errno, "cannot write: %s",
                            strerror(errno));
        p += n;
        size -= (uint64_t)n;
    }
    return CCZ_OK;
}

ccz_rc ccz_fl_model_save(const char *path, const struct ccz_fl_layout *l, uint64_t round,
                         const float *params, const struct ccz_key *sign_key, struct ccz_err *err)
{
    uint8_t digest[CCZ_FL_DIGEST_SIZE], sig[CCZI_HFL_SIG_SIZE];
    struct ccz_newfile f;
    CCZ_AUTO_BUF head;
    ccz_buf_init(&head, HEAD_SIZE_MAX + 16);
    ccz_rc rc = ccz_fl_model_digest(digest, l, round, params, err);
    if (rc == CCZ_OK && sign_key)
        rc = cczi_hfl_sign(sig, sign_key, digest, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put(&head, MAGIC, sizeof(MAGIC));
    ccz_buf_le64(&head, 0);
    size_t mark = ccz_pb_open(&head, H_LAYOUT);
    ccz_fl_layout_encode(&head, l);
    ccz_pb_close(&head, mark);
    ccz_pb_put_uint(&head, H_ROUND, round);
    ccz_pb_put_bytes(&head, H_DIGEST, CCZ_SPAN(digest, sizeof(digest)));
    if (sign_key)
        ccz_pb_put_bytes(&head, H_SIG, CCZ_SPAN(sig, sizeof(sig)));
    if (head.bad)
        return cczi_hfl_no_memory(err);
    for (unsigned i = 0; i < 8; i++)
        head.ptr[8 + i] = (uint8_t)((uint64_t)(head.size - 16) >> (8 * i));
    rc = ccz_newfile_open(&f, path, 0600, err);
    if (rc != CCZ_OK)
        return rc;
    rc = write_all(f.fd, head.ptr, head.size, err);
    if (rc == CCZ_OK)
        rc = write_all(f.fd, params, l->len * sizeof(float), err);
    if (rc == CCZ_OK)
        return ccz_newfile_commit(&f, CCZ_FILE_REPLACE, err);
    ccz_newfile_abort(&f);
    return rc;
}

static ccz_rc malformed(const char *what, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_FORMAT, "fl:model-file", 0, "%s", what);
}

static ccz_rc read_all(int fd, void *to, uint64_t size, struct ccz_err *err)
{
    uint8_t *p = to;
    while (size > 0) {
        ssize_t n = read(fd, p, size < (1U << 30) ? (size_t)size : (size_t)1 << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ccz_fail(err, CCZ_E_IO, "fl:model-file", errno, "cannot read: %s",
                            strerror(errno));
        if (n == 0)
            return malformed("the file ends too early", err);
        p += n;
        size -= (uint64_t)n;
    }
    return CCZ_OK;
}

struct head {
    struct ccz_span layout, digest, sig;
    uint64_t round;
};

static bool take_head(struct head *h, struct ccz_span in)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    *h = (struct head){0};
    while (ccz_pb_next(&f, &r)) {
        if (f.number == H_LAYOUT)
            h->layout = f.bytes;
        else if (f.number == H_ROUND)
            h->round = f.num;
        else if (f.number == H_DIGEST)
            h->digest = f.bytes;
        else if (f.number == H_SIG)
            h->sig = f.bytes;
    }
    return !r.bad && h->digest.size == CCZ_FL_DIGEST_SIZE;
}

static ccz_rc load_fd(struct ccz_fl_layout **layout, float **params, uint64_t *round, int fd,
                      const struct ccz_key *key, struct ccz_err *err)
{
    uint8_t start[16], digest[CCZ_FL_DIGEST_SIZE];
    struct head h;
    struct stat st;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, HEAD_SIZE_MAX);
    ccz_rc rc = read_all(fd, start, sizeof(start), err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(start + 8, 8));
    uint64_t size = ccz_rd_le64(&r);
    if (memcmp(start, MAGIC, sizeof(MAGIC)) != 0 || size == 0 || size > HEAD_SIZE_MAX)
        return malformed("not a model", err);
    uint8_t *room = ccz_buf_extend(&text, (size_t)size);
    rc = room ? read_all(fd, room, size, err) : cczi_hfl_no_memory(err);
    if (rc == CCZ_OK && !take_head(&h, ccz_buf_span(&text)))
        rc = malformed("the head is malformed", err);
    if (rc == CCZ_OK)
        rc = ccz_fl_layout_decode(layout, h.layout, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t bytes = (*layout)->len * sizeof(float);
    if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != sizeof(start) + size + bytes)
        return malformed("the file has another size than its layout asks for", err);
    *params = cczi_hfl_vector((*layout)->len);
    rc = *params ? read_all(fd, *params, bytes, err) : cczi_hfl_no_memory(err);
    if (rc == CCZ_OK)
        rc = ccz_fl_model_digest(digest, *layout, h.round, *params, err);
    if (rc == CCZ_OK && memcmp(digest, h.digest.ptr, sizeof(digest)) != 0)
        rc = ccz_refuse_bytes(err, CCZ_E_SIG, "fl:model-digest", digest, sizeof(digest),
                              h.digest.ptr, h.digest.size);
    if (rc == CCZ_OK && key)
        rc = cczi_hfl_verify(key, h.sig, digest, err);
    *round = h.round;
    return rc;
}

ccz_rc ccz_fl_model_load(struct ccz_fl_layout **layout, float **params, uint64_t *round,
                         const char *path, const struct ccz_key *key, struct ccz_err *err)
{
    *layout = NULL;
    *params = NULL;
    *round = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ccz_fail(err, errno == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "fl:model-file", errno,
                        "cannot open %.120s: %s", path, strerror(errno));
    ccz_rc rc = load_fd(layout, params, round, fd, key, err);
    (void)close(fd);
    if (rc == CCZ_OK)
        return rc;
    ccz_fl_layout_free(*layout);
    free(*params);
    *layout = NULL;
    *params = NULL;
    *round = 0;
    return rc;
}
