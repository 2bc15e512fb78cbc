/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "CCZF-ckp", version 1, role (1), 6 bytes 0, digest of the configuration (32), round (8), numbers (4), states (4), salt (32),
 * tag (16), then sealed: for each state its round (8) and numbers (8 each). All before the tag is authenticated.
 * The AES-256-GCM key is HKDF(seal, salt): fresh for every file, so that the nonce can be 0.
 */
#include "fedlr/fedlr_priv.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t MAGIC[8] = {'C', 'C', 'Z', 'F', '-', 'c', 'k', 'p'};
static const uint8_t NONCE[CCZ_AEAD_NONCE_SIZE] = {0};
enum {
    VERSION = 1,
    KEY_SIZE = 32,
    SALT_SIZE = 32,
    HEAD_SIZE = 8 + 8 + 32 + 8 + 4 + 4 + SALT_SIZE, /* authenticated */
    NUMBERS_MAX = 3 * (CCZ_FEDLR_COLS_MAX + 8),
    FILE_SIZE_MAX = HEAD_SIZE + CCZ_AEAD_TAG_SIZE + 2 * 8 * (NUMBERS_MAX + 1)
};

ccz_rc cczi_fl_history_new(struct cczi_fl_history *h, size_t len, struct ccz_err *err)
{
    *h = (struct cczi_fl_history){.now.len = len, .before.len = len};
    h->now.v = cczi_fl_zeros(len, sizeof(double));
    h->before.v = cczi_fl_zeros(len, sizeof(double));
    return h->now.v && h->before.v ? CCZ_OK : cczi_fl_no_memory(err);
}

void cczi_fl_history_free(struct cczi_fl_history *h)
{
    for (struct cczi_fl_state *s = &h->now; s; s = s == &h->now ? &h->before : NULL) {
        if (s->v)
            ccz_wipe(s->v, s->len * sizeof(double));
        free(s->v);
        s->v = NULL;
    }
}

static ccz_rc file_key(uint8_t key[KEY_SIZE], const struct ccz_secret *seal, struct ccz_span salt)
{
    return ccz_hkdf(key, KEY_SIZE, CCZ_SHA256, salt,
                    CCZ_SPAN(ccz_secret_view(seal), ccz_secret_size(seal)),
                    ccz_span_str("cczoo fedlr checkpoint"));
}

static void put_state(struct ccz_buf *out, const struct cczi_fl_state *s)
{
    ccz_buf_le64(out, s->round);
    for (size_t i = 0; i < s->len; i++)
        cczi_fl_msg_put_double(out, s->v[i]);
}

static ccz_rc store(const struct cczi_fl_history *h, enum cczi_fl_role role,
                    const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    CCZ_AUTO_BUF file, plain;
    CCZ_AUTO(ccz_aead) aead = NULL;
    uint8_t digest[32], salt[SALT_SIZE], key[KEY_SIZE], tag[CCZ_AEAD_TAG_SIZE];
    ccz_buf_init(&file, FILE_SIZE_MAX);
    ccz_buf_init(&plain, FILE_SIZE_MAX);
    plain.wipe = true;
    cczi_fl_config_digest(digest, run->cfg);
    put_state(&plain, &h->now);
    if (h->has_before)
        put_state(&plain, &h->before);
    ccz_rc rc = ccz_random(salt, sizeof(salt));
    if (rc == CCZ_OK)
        rc = ccz_aead_new(&aead, CCZ_AES_256_GCM);
    if (rc == CCZ_OK)
        rc = file_key(key, run->seal, CCZ_SPAN(salt, sizeof(salt)));
    ccz_buf_put(&file, MAGIC, sizeof(MAGIC));
    ccz_buf_u8(&file, VERSION);
    ccz_buf_u8(&file, (uint8_t)role);
    ccz_buf_le16(&file, 0);
    ccz_buf_le32(&file, 0);
    ccz_buf_put(&file, digest, sizeof(digest));
    ccz_buf_le64(&file, h->now.round);
    ccz_buf_le32(&file, (uint32_t)h->now.len);
    ccz_buf_le32(&file, h->has_before ? 2 : 1);
    ccz_buf_put(&file, salt, sizeof(salt));
    if (rc == CCZ_OK && !plain.bad)
        rc = ccz_aead_seal(aead, plain.ptr, tag, key, NONCE, ccz_buf_span(&file),
                           ccz_buf_span(&plain));
    ccz_wipe(key, sizeof(key));
    if (rc != CCZ_OK || plain.bad)
        return ccz_fail(err, plain.bad ? CCZ_E_NOMEM : rc, "fedlr:checkpoint", 0,
                        "the state cannot be sealed");
    ccz_buf_put(&file, tag, sizeof(tag));
    ccz_buf_put_span(&file, ccz_buf_span(&plain));
    return ccz_file_write(run->checkpoint, ccz_buf_span(&file), 0600, CCZ_FILE_REPLACE, err);
}

static void take_state(struct cczi_fl_state *s, struct ccz_rd *r)
{
    s->round = ccz_rd_le64(r);
    for (size_t i = 0; i < s->len; i++)
        s->v[i] = ccz_pb_as_double(ccz_rd_le64(r));
}

/* What stands in clear, checked against what this party is. */
static ccz_rc read_head(struct cczi_fl_history *h, uint64_t *round, struct ccz_rd *r,
                        enum cczi_fl_role role, const struct ccz_fedlr_run *run,
                        struct ccz_err *err)
{
    uint8_t digest[32], theirs[32];
    bool good = ccz_span_eq(ccz_rd_take(r, sizeof(MAGIC)), CCZ_SPAN(MAGIC, sizeof(MAGIC)));
    good &= ccz_rd_u8(r) == VERSION;
    good &= ccz_rd_u8(r) == (uint8_t)role;
    good &= ccz_rd_le16(r) == 0;
    good &= ccz_rd_le32(r) == 0;
    ccz_rd_copy(r, theirs, sizeof(theirs));
    *round = ccz_rd_le64(r);
    uint32_t len = ccz_rd_le32(r), states = ccz_rd_le32(r);
    if (!good || r->bad || len != h->now.len || states < 1 || states > 2)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_FORMAT, "fedlr:checkpoint", (int64_t)len,
                                 "the file is no state of this party"),
                        "another role or other columns wrote it: name another file");
    cczi_fl_config_digest(digest, run->cfg);
    if (memcmp(digest, theirs, sizeof(digest)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fedlr:checkpoint-config", theirs,
                                sizeof(theirs), digest, sizeof(digest));
    h->has_before = states == 2;
    return CCZ_OK;
}

ccz_rc cczi_fl_history_load(struct cczi_fl_history *h, enum cczi_fl_role role,
                            const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    CCZ_AUTO_BUF file, plain;
    CCZ_AUTO(ccz_aead) aead = NULL;
    struct ccz_err io = {0};
    uint8_t key[KEY_SIZE];
    uint64_t round;
    ccz_buf_init(&file, FILE_SIZE_MAX);
    ccz_buf_init(&plain, FILE_SIZE_MAX);
    plain.wipe = true;
    ccz_rc rc = run->checkpoint ? ccz_file_read(&file, run->checkpoint, &io) : CCZ_E_NOT_FOUND;
    if (rc == CCZ_E_NOT_FOUND)
        return CCZ_OK;
    if (rc != CCZ_OK) {
        if (err)
            *err = io;
        return rc;
    }
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&file));
    rc = read_head(h, &round, &r, role, run, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span salt = ccz_rd_take(&r, SALT_SIZE), tag = ccz_rd_take(&r, CCZ_AEAD_TAG_SIZE);
    size_t size = (h->has_before ? 2U : 1U) * 8 * (h->now.len + 1);
    struct ccz_span sealed = ccz_rd_take(&r, size);
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "fedlr:checkpoint", (int64_t)file.size,
                        "truncated or trailing bytes");
    uint8_t *room = ccz_buf_extend(&plain, size);
    rc = room ? file_key(key, run->seal, salt) : CCZ_E_NOMEM;
    if (rc == CCZ_OK)
        rc = ccz_aead_new(&aead, CCZ_AES_256_GCM);
    if (rc == CCZ_OK)
        rc = ccz_aead_open(aead, room, tag.ptr, key, NONCE, CCZ_SPAN(file.ptr, HEAD_SIZE), sealed);
    ccz_wipe(key, sizeof(key));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "fedlr:checkpoint-seal", 0,
                        "the file was changed, or sealed with another key");
    struct ccz_rd p = ccz_rd_from(ccz_buf_span(&plain));
    take_state(&h->now, &p);
    if (h->has_before)
        take_state(&h->before, &p);
    return CCZ_OK;
}

ccz_rc cczi_fl_history_push(struct cczi_fl_history *h, const double *v, enum cczi_fl_role role,
                            const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    struct cczi_fl_state spare = h->before;
    h->before = h->now;
    h->now = spare;
    h->now.round = h->before.round + 1;
    memcpy(h->now.v, v, h->now.len * sizeof(*v));
    h->has_before = true;
    return run->checkpoint ? store(h, role, run, err) : CCZ_OK;
}

ccz_rc cczi_fl_history_back(struct cczi_fl_history *h, uint64_t round, struct ccz_err *err)
{
    if (round == h->now.round)
        return CCZ_OK;
    if (!h->has_before || round != h->before.round)
        return ccz_hint(
            err,
            ccz_refuse_num(err, CCZ_E_PEER, "fedlr:resume", (int64_t)round, (int64_t)h->now.round),
            "the parties have no round in common: begin without checkpoints");
    struct cczi_fl_state spare = h->now;
    h->now = h->before;
    h->before = spare;
    h->has_before = false;
    return CCZ_OK;
}
