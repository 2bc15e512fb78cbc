/* SPDX-License-Identifier: Apache-2.0 */
/* A vector in an encrypted file without a name. */
#define _GNU_SOURCE
#include "fl/fl_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_SIZE = 32 };

struct cczi_hfl_spill {
    int fd;
    uint64_t size;
    uint64_t times; /* written: with the block, what makes nonces differ */
    bool whole;     /* what was written last is all there */
    uint8_t key[KEY_SIZE];
    pthread_mutex_t lock; /* of aead and block */
    struct ccz_aead *aead;
    uint8_t *block;
    uint8_t (*tags)[CCZ_AEAD_TAG_SIZE];
};

static ccz_rc io_failed(const char *what, int code, struct ccz_err *err)
{
    return ccz_hint(err,
                    ccz_fail(err, CCZ_E_IO, "fl:spill", code, "the model's file cannot be %s: %s",
                             what, strerror(code)),
                    "the folder of spilled models needs room for one model");
}

ccz_rc cczi_hfl_spill_new(struct cczi_hfl_spill **out, const char *dir, uint64_t size,
                          struct ccz_err *err)
{
    *out = NULL;
    struct cczi_hfl_spill *s = calloc(1, sizeof(*s));
    if (!s)
        return cczi_hfl_no_memory(err);
    uint64_t blocks = size / CCZI_HFL_SPILL_BLOCK + 1;
    pthread_mutex_init(&s->lock, NULL);
    s->size = size;
    s->tags = calloc((size_t)blocks, sizeof(*s->tags));
    s->block = malloc(CCZI_HFL_SPILL_BLOCK);
    ccz_rc rc = CCZ_OK;
    s->fd = ccz_nameless_open(dir);
    if (s->fd < 0)
        rc = io_failed("made", errno, err);
    else if (!s->tags || !s->block || ccz_aead_new(&s->aead, CCZ_AES_256_GCM) != CCZ_OK)
        rc = cczi_hfl_no_memory(err);
    else if (ccz_random(s->key, sizeof(s->key)) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "fl:random", 0, "no randomness");
    if (rc == CCZ_OK)
        *out = s;
    else
        cczi_hfl_spill_free(s);
    return rc;
}

void cczi_hfl_spill_free(struct cczi_hfl_spill *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        (void)close(s->fd);
    ccz_aead_free(s->aead);
    free(s->tags);
    free(s->block);
    pthread_mutex_destroy(&s->lock);
    ccz_wipe(s->key, sizeof(s->key));
    free(s);
}

static void nonce_of(uint8_t nonce[CCZ_AEAD_NONCE_SIZE], const struct cczi_hfl_spill *s,
                     uint64_t block)
{
    for (unsigned i = 0; i < 6; i++) {
        nonce[i] = (uint8_t)(s->times >> (8 * i));
        nonce[6 + i] = (uint8_t)(block >> (8 * i));
    }
}

static ccz_rc write_at(int fd, const uint8_t *from, size_t size, uint64_t at, struct ccz_err *err)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, from, size, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return io_failed("written", n < 0 ? errno : ENOSPC, err);
        from += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return CCZ_OK;
}

static ccz_rc read_at(uint8_t *to, int fd, size_t size, uint64_t at, struct ccz_err *err)
{
    while (size > 0) {
        ssize_t n = pread(fd, to, size, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return io_failed("read", n < 0 ? errno : ENODATA, err);
        to += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return CCZ_OK;
}

ccz_rc cczi_hfl_spill_put(struct cczi_hfl_spill *s, const void *bytes, struct ccz_err *err)
{
    const uint8_t *from = bytes;
    uint8_t nonce[CCZ_AEAD_NONCE_SIZE];
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&s->lock);
    s->times++;
    s->whole = false;
    for (uint64_t at = 0; rc == CCZ_OK && at < s->size; at += CCZI_HFL_SPILL_BLOCK) {
        uint64_t left = s->size - at, block = at / CCZI_HFL_SPILL_BLOCK;
        size_t n = left < CCZI_HFL_SPILL_BLOCK ? (size_t)left : (size_t)CCZI_HFL_SPILL_BLOCK;
        nonce_of(nonce, s, block);
        rc = ccz_aead_seal(s->aead, s->block, s->tags[block], s->key, nonce, CCZ_SPAN(NULL, 0),
                           CCZ_SPAN(from + at, n));
        rc = rc == CCZ_OK ? write_at(s->fd, s->block, n, at, err)
                          : ccz_fail(err, rc, "fl:spill-seal", 0, "the model cannot be encrypted");
    }
    s->whole = rc == CCZ_OK;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

ccz_rc cczi_hfl_spill_get(void *out, struct cczi_hfl_spill *s, uint64_t at, size_t size,
                          struct ccz_err *err)
{
    uint8_t nonce[CCZ_AEAD_NONCE_SIZE];
    uint64_t block = at / CCZI_HFL_SPILL_BLOCK;
    ccz_rc rc = read_at(out, s->fd, size, at, err);
    if (rc != CCZ_OK) {
        memset(out, 0, size);
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    nonce_of(nonce, s, block);
    rc = s->whole ? ccz_aead_open(s->aead, out, s->tags[block], s->key, nonce, CCZ_SPAN(NULL, 0),
                                  CCZ_SPAN(out, size))
                  : CCZ_E_SIG;
    pthread_mutex_unlock(&s->lock);
    if (rc == CCZ_OK)
        return CCZ_OK;
    memset(out, 0, size);
    return ccz_fail(err, CCZ_E_SIG, "fl:spill-seal", (int64_t)block,
                    "block %llu of the model's file is not what was written",
                    (unsigned long long)block);
}

ccz_rc cczi_hfl_spill_get_all(void *out, struct cczi_hfl_spill *s, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (uint64_t at = 0; rc == CCZ_OK && at < s->size; at += CCZI_HFL_SPILL_BLOCK) {
        uint64_t left = s->size - at;
        size_t n = left < CCZI_HFL_SPILL_BLOCK ? (size_t)left : (size_t)CCZI_HFL_SPILL_BLOCK;
        rc = cczi_hfl_spill_get((uint8_t *)out + at, s, at, n, err);
    }
    return rc;
}
