/* SPDX-License-Identifier: Apache-2.0 */
/* What binds messages to a session, and small helpers of the module. */
#define _DEFAULT_SOURCE
#include "base/ct.h"
#include "ot_priv.h"

#include <cczoo/crypto.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void absorb(uint8_t out[32], struct cczi_transcript *t, const char *label,
                   struct ccz_span data)
{
    uint8_t sizes[16];
    struct ccz_span text = ccz_span_str(label);
    for (int i = 0; i < 8; i++) {
        sizes[i] = (uint8_t)((uint64_t)text.size >> 8 * i);
        sizes[8 + i] = (uint8_t)((uint64_t)data.size >> 8 * i);
    }
    const struct ccz_span parts[] = {CCZ_SPAN(t->state, 32), CCZ_SPAN(sizes, 16), text, data};
    ccz_rc rc = ccz_hash(out, CCZ_SHA256, parts, 4);
    if (t->rc == CCZ_OK)
        t->rc = rc;
}

void cczi_transcript_start(struct cczi_transcript *t, const char *label, struct ccz_span session)
{
    memset(t, 0, sizeof(*t));
    cczi_transcript_put(t, label, session);
}

void cczi_transcript_put(struct cczi_transcript *t, const char *label, struct ccz_span data)
{
    uint8_t next[32] = {0};
    CCZ_CT_PUBLIC(data.ptr, data.size); /* both sides have seen it */
    absorb(next, t, label, data);
    memcpy(t->state, next, sizeof(next));
}

ccz_rc cczi_transcript_check(const struct cczi_transcript *t, struct ccz_err *err)
{
    return t->rc == CCZ_OK ? CCZ_OK : ccz_fail(err, t->rc, "ot:hash", 0, "hashing failed");
}

ccz_rc cczi_transcript_send(struct cczi_transcript *t, const char *label, struct ccz_span data,
                            struct ccz_chan *chan, struct ccz_err *err)
{
    cczi_transcript_put(t, label, data);
    ccz_rc rc = cczi_transcript_check(t, err);
    return rc == CCZ_OK ? ccz_chan_send(chan, data, err) : rc;
}

void cczi_transcript_draw(uint8_t out[32], struct cczi_transcript *t, const char *label)
{
    memset(out, 0, 32);
    absorb(out, t, "draw", ccz_span_str(label));
}

void cczi_transcript_tag(uint8_t out[32], struct cczi_transcript *t, const char *label,
                         struct ccz_f128 secret)
{
    memset(out, 0, 32);
    absorb(out, t, label, CCZ_SPAN(&secret, sizeof(secret)));
    CCZ_CT_PUBLIC(out, 32); /* sent, or compared with what is */
    ccz_wipe(&secret, sizeof(secret));
}

bool cczi_same(const void *a, const void *b, size_t size)
{
    int same = ccz_ct_eq(a, b, size);
    CCZ_CT_PUBLIC(&same, sizeof(same)); /* whether a check holds shows */
    return same;
}

struct ccz_f128 cczi_transcript_draw_f128(struct cczi_transcript *t, const char *label)
{
    uint8_t bytes[32];
    struct ccz_f128 r;
    cczi_transcript_draw(bytes, t, label);
    memcpy(&r, bytes, sizeof(r));
    return r;
}

void cczi_keyring_init(struct cczi_keyring *r, const struct cczi_ot_kernels *kernels,
                       struct cczi_transcript *t, const char *label)
{
    uint8_t bytes[32];
    cczi_transcript_draw(bytes, t, label);
    r->kernels = kernels;
    kernels->aes_key(&r->master, bytes);
}

void cczi_keyring_get(struct cczi_aes *aes, const struct cczi_keyring *r, uint64_t index)
{
    struct ccz_f128 key;
    uint8_t bytes[16];
    r->kernels->ctr(&key, 1, index, &r->master);
    memcpy(bytes, &key, sizeof(bytes));
    r->kernels->aes_key(aes, bytes);
}

ccz_rc cczi_random_f128(struct ccz_f128 *out, size_t len, const struct cczi_ot_kernels *kernels,
                        struct ccz_err *err)
{
    struct cczi_aes aes;
    uint8_t key[16];
    if (ccz_random(key, sizeof(key)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "ot:random", 0, "the random generator failed");
    kernels->aes_key(&aes, key);
    kernels->ctr(out, len, 0, &aes);
    CCZ_CT_SECRET(out, len * sizeof(*out));
    ccz_wipe(&aes, sizeof(aes));
    ccz_wipe(key, sizeof(key));
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------ memory */

#define LARGE_SIZE ((size_t)4 << 20)

ccz_rc cczi_array_init(struct cczi_array *a, size_t len, struct ccz_err *err)
{
    size_t size = (len * sizeof(*a->at) + 63) / 64 * 64;
    *a = (struct cczi_array){0};
    if (size >= LARGE_SIZE) {
        void *p =
            mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, (off_t)0);
        if (p != MAP_FAILED) {
            (void)madvise(p, size, MADV_HUGEPAGE); /* random access; a wish, not a need */
            (void)madvise(p, size, MADV_DONTDUMP);
            a->at = p;
        }
    } else {
        a->at = aligned_alloc(64, size ? size : 64);
        if (a->at)
            memset(a->at, 0, size);
    }
    if (!a->at)
        return ccz_fail(err, CCZ_E_NOMEM, "ot:memory", (int64_t)size, "out of memory");
    a->len = len;
    return CCZ_OK;
}

void cczi_array_deinit(struct cczi_array *a)
{
    size_t size = (a->len * sizeof(*a->at) + 63) / 64 * 64;
    if (a->at && size >= LARGE_SIZE) {
        (void)munmap(a->at, size);
    } else if (a->at) {
        ccz_wipe(a->at, size);
        free(a->at);
    }
    *a = (struct cczi_array){0};
}
