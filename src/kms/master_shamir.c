/* SPDX-License-Identifier: Apache-2.0 */
/* Master key in shares: stored are their hashes alone. */
#include "master_priv.h"

#include "kms_priv.h"

#include <stdio.h>
#include <string.h>

static ccz_rc bad_numbers(struct ccz_err *err)
{
    return ccz_refuse(err, CCZ_E_ARG, "kms:master-spec", "shamir:...",
                      "shamir: or shamir:K/N with 2 <= K <= N <= 64");
}

static ccz_rc shamir_open(struct ccz_kms_master *m, const char *rest,
                          const struct ccz_kms_master_cfg *cfg, struct ccz_err *err)
{
    if (*rest) {
        unsigned k = 0, n = 0;
        int end = 0;
        if (strspn(rest, "0123456789/") != strlen(rest) || strlen(rest) > 5 ||
            sscanf(rest, "%u/%u%n", &k, &n, &end) != 2 || rest[end] || k < 2 || k > n ||
            n > CCZ_KMS_SHARES_MAX)
            return bad_numbers(err);
        m->make_needed = (uint8_t)k;
        m->make_total = (uint8_t)n;
    }
    int n = snprintf(m->shares_dir, sizeof(m->shares_dir), "%s",
                     cfg->shares_dir ? cfg->shares_dir : "");
    if (n < 0 || (size_t)n >= sizeof(m->shares_dir) - 32)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:path", n, "the folder of the shares is too long");
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------- make */

static ccz_rc write_share(const struct ccz_kms_master *m, const struct cczi_share *s,
                          struct ccz_err *err)
{
    char path[CCZI_MASTER_PATH_SIZE + 32], text[CCZ_KMS_SHARE_SIZE_MAX];
    (void)snprintf(path, sizeof(path), "%s/share-%u.txt", m->shares_dir, s->index);
    cczi_share_print(text, s);
    size_t n = strlen(text);
    if (n == 0)
        return ccz_fail(err, CCZ_E_INTERNAL, "kms:share", 0, "cannot hash");
    text[n] = '\n';
    ccz_rc rc = ccz_file_write(path, CCZ_SPAN(text, n + 1), 0600, CCZ_FILE_CREATE_ONLY, err);
    ccz_wipe(text, sizeof(text));
    return rc;
}

static ccz_rc no_readback(struct ccz_err *err, unsigned index)
{
    (void)ccz_fail(err, CCZ_E_IO, "kms:master-readback", (int64_t)index,
                   "share %u was written and does not come back", index);
    return cczi_kms_hint(err, CCZ_E_IO);
}

/* Every share as it lies in its file, and the key out of the last of them. */
static ccz_rc read_shares(const struct ccz_kms_master *m, const struct cczi_share *shares,
                          const struct ccz_secret *key, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) memory = NULL;
    if (ccz_secret_new(&memory, m->make_total * sizeof(*shares) + CCZI_SHARE_KEY_SIZE) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:share", 0, "out of memory");
    struct cczi_share *got = (struct cczi_share *)(void *)ccz_secret_bytes(memory);
    for (uint8_t i = 0; i < m->make_total; i++) {
        char path[CCZI_MASTER_PATH_SIZE + 32];
        CCZ_AUTO(ccz_secret) text = NULL;
        (void)snprintf(path, sizeof(path), "%s/share-%u.txt", m->shares_dir, i + 1u);
        if (ccz_file_read_secret(&text, path, CCZ_KMS_SHARE_SIZE_MAX, NULL) != CCZ_OK ||
            cczi_share_parse(&got[i], CCZ_SPAN(ccz_secret_view(text), ccz_secret_size(text)),
                             NULL) != CCZ_OK ||
            !ccz_ct_eq(&got[i], &shares[i], sizeof(*got)))
            return no_readback(err, i + 1u);
    }
    uint8_t *again = ccz_secret_bytes(memory) + m->make_total * sizeof(*shares);
    cczi_shamir_combine(again, got + m->make_total - m->make_needed, m->make_needed);
    return ccz_ct_eq(again, ccz_secret_view(key), CCZI_SHARE_KEY_SIZE) ? CCZ_OK
                                                                       : no_readback(err, 0);
}

static ccz_rc shamir_wrap(struct ccz_buf *body, struct ccz_kms_master *m, struct ccz_span header,
                          const struct ccz_secret *key, struct ccz_err *err)
{
    (void)header;
    if (!m->make_total || !m->shares_dir[0])
        return ccz_fail(err, CCZ_E_ARG, "kms:master-spec", 0,
                        "a key in shares needs shamir:K/N and a folder for the shares");
    CCZ_AUTO(ccz_secret) memory = NULL;
    ccz_rc rc = ccz_secret_new(&memory, m->make_total * sizeof(struct cczi_share));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:share", 0, "out of memory");
    struct cczi_share *shares = (struct cczi_share *)(void *)ccz_secret_bytes(memory);
    rc = cczi_shamir_split(shares, ccz_secret_view(key), m->make_needed, m->make_total);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:share", 0, "cannot make shares");
    ccz_buf_u8(body, m->make_needed);
    ccz_buf_u8(body, m->make_total);
    ccz_buf_put(body, shares[0].set, sizeof(shares[0].set));
    rc = ccz_dir_make(m->shares_dir, 0700, err);
    for (uint8_t i = 0; rc == CCZ_OK && i < m->make_total; i++) {
        uint8_t commitment[32];
        if (cczi_share_commit(commitment, &shares[i]) != CCZ_OK)
            return ccz_fail(err, CCZ_E_INTERNAL, "kms:share", 0, "cannot hash");
        ccz_buf_put(body, commitment, sizeof(commitment));
        rc = write_share(m, &shares[i], err);
    }
    return rc == CCZ_OK ? read_shares(m, shares, key, err) : rc;
}

/* -------------------------------------------------------------------------- together */

/* The description in the file, or in the one of a rekey that was cut short, whichever shares of are given. */
static ccz_rc description(struct ccz_buf *file, struct cczi_shamir_body *out,
                          struct ccz_kms_master *m, const uint8_t *set, struct ccz_err *err)
{
    struct cczi_kms_blob blob;
    ccz_rc rc = cczi_kms_master_read(file, &blob, m, m->path, err);
    if (rc == CCZ_OK)
        rc = cczi_shamir_body_parse(out, blob.body, err);
    if (rc == CCZ_OK && (!set || memcmp(out->set.ptr, set, CCZI_SHARE_ID_SIZE) == 0))
        return CCZ_OK;
    char next[CCZI_MASTER_PATH_SIZE + 8];
    (void)snprintf(next, sizeof(next), "%s.next", m->path);
    CCZ_AUTO_BUF other;
    ccz_buf_init(&other, CCZI_BLOB_SIZE_MAX);
    struct cczi_shamir_body b;
    if (cczi_kms_master_read(&other, &blob, m, next, NULL) == CCZ_OK &&
        cczi_shamir_body_parse(&b, blob.body, NULL) == CCZ_OK &&
        (!set || memcmp(b.set.ptr, set, CCZI_SHARE_ID_SIZE) == 0)) {
        struct ccz_buf swap = *file;
        *file = other;
        other = swap;
        *out = b; /* its spans point into what is now *file */
        return CCZ_OK;
    }
    if (rc != CCZ_OK)
        return rc;
    char hex[2 * CCZI_SHARE_ID_SIZE + 1], want[sizeof(hex)];
    ccz_hex(hex, set, CCZI_SHARE_ID_SIZE);
    ccz_hex(want, out->set.ptr, CCZI_SHARE_ID_SIZE);
    return ccz_refuse(err, CCZ_E_MISMATCH, "kms:share-set", hex, want);
}

static void forget_shares(struct ccz_kms_master *m)
{
    ccz_secret_free(m->shares);
    m->shares = NULL;
}

ccz_rc ccz_kms_master_shares(struct ccz_kms_shares *out, struct ccz_kms_master *m,
                             struct ccz_err *err)
{
    *out = (struct ccz_kms_shares){0};
    if (m->ops->kind != CCZI_MASTER_SHAMIR)
        return CCZ_OK;
    ccz_rc rc = CCZ_OK;
    (void)pthread_mutex_lock(&m->lock);
    if (m->have.total == 0) {
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, CCZI_BLOB_SIZE_MAX);
        struct cczi_shamir_body b;
        rc = description(&file, &b, m, NULL, err);
        if (rc == CCZ_OK)
            *out = (struct ccz_kms_shares){0, b.needed, b.total, true};
    } else {
        *out = m->have;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return rc;
}

/* Genuine, and not given before; the lock is held. */
static ccz_rc add_share(struct ccz_kms_master *m, const struct cczi_share *s, struct ccz_err *err)
{
    struct cczi_share *have = NULL;
    ccz_rc rc = CCZ_OK;
    if (!m->shares)
        rc = ccz_secret_new(&m->shares, CCZ_KMS_SHARES_MAX * sizeof(*s));
    if (rc == CCZ_OK && !m->key)
        rc = ccz_secret_new(&m->key, CCZ_KMS_MASTER_KEY_SIZE);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:share", 0, "out of memory");
    have = (struct cczi_share *)(void *)ccz_secret_bytes(m->shares);
    if (m->have.given && memcmp(have[0].set, s->set, sizeof(s->set)) != 0)
        m->have.given = 0; /* of another set that is described: start again with this one */
    for (uint32_t i = 0; i < m->have.given; i++)
        if (have[i].index == s->index)
            return CCZ_OK;
    have[m->have.given] = *s;
    m->have = (struct ccz_kms_shares){m->have.given + 1, s->needed, s->total, true};
    if (m->have.given == s->needed) {
        cczi_shamir_combine(ccz_secret_bytes(m->key), have, s->needed);
        m->have.sealed = false;
        forget_shares(m);
    }
    return CCZ_OK;
}

static ccz_rc give(struct ccz_kms_master *m, const struct cczi_share *s, struct ccz_err *err)
{
    if (m->have.total && !m->have.sealed)
        return CCZ_OK; /* one more than was needed */
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, CCZI_BLOB_SIZE_MAX);
    struct cczi_shamir_body b;
    ccz_rc rc = description(&file, &b, m, s->set, err);
    uint8_t commitment[32];
    if (rc != CCZ_OK)
        return rc;
    if (cczi_share_commit(commitment, s) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "kms:share", 0, "cannot hash");
    if (s->index > b.total || s->needed != b.needed || s->total != b.total ||
        !ccz_ct_eq(commitment, b.commitments.ptr + 32 * (size_t)(s->index - 1), 32)) {
        (void)ccz_fail(err, CCZ_E_SIG, "kms:share-wrong", s->index,
                       "share %u is not the one that was handed out", s->index);
        return cczi_kms_hint(err, CCZ_E_SIG);
    }
    return add_share(m, s, err);
}

ccz_rc ccz_kms_master_give(struct ccz_kms_shares *out, struct ccz_kms_master *m,
                           struct ccz_span text, struct ccz_err *err)
{
    if (out)
        *out = (struct ccz_kms_shares){0};
    if (m->ops->kind != CCZI_MASTER_SHAMIR)
        return ccz_refuse(err, CCZ_E_ARG, "kms:share-none", m->ops->name, "shamir");
    struct cczi_share s;
    ccz_rc rc = cczi_share_parse(&s, text, err);
    if (rc != CCZ_OK)
        return rc;
    (void)pthread_mutex_lock(&m->lock);
    rc = give(m, &s, err);
    if (rc == CCZ_OK && out)
        *out = m->have;
    (void)pthread_mutex_unlock(&m->lock);
    ccz_wipe(&s, sizeof(s));
    return rc;
}

static ccz_rc shamir_unwrap(uint8_t *key, struct ccz_kms_master *m,
                            const struct cczi_kms_blob *blob, struct ccz_err *err)
{
    struct cczi_shamir_body b;
    ccz_rc rc = cczi_shamir_body_parse(&b, blob->body, err);
    if (rc != CCZ_OK)
        return rc;
    (void)pthread_mutex_lock(&m->lock);
    bool whole = m->key && m->have.total && !m->have.sealed;
    if (whole)
        memcpy(key, ccz_secret_view(m->key), CCZ_KMS_MASTER_KEY_SIZE);
    else
        rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:sealed", m->have.given,
                      "the master key is in shares: %u of %u are given", m->have.given, b.needed);
    (void)pthread_mutex_unlock(&m->lock);
    return rc == CCZ_OK ? rc : cczi_kms_hint(err, rc);
}

static void shamir_close(struct ccz_kms_master *m)
{
    (void)m;
}

const struct cczi_kms_master_ops cczi_master_shamir = {
    "shamir", CCZI_MASTER_SHAMIR, shamir_open, shamir_wrap, shamir_unwrap, shamir_close};
