/* SPDX-License-Identifier: Apache-2.0 */
#include "psi_priv.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, BUCKET_LEN_MIN = 1024 };
#define BUCKET_LEN_MAX     (UINT64_C(1) << 22)
#define BUCKET_LEN_DEFAULT BUCKET_LEN_MAX

void cczi_psi_derive(uint8_t out[32], const char *label, const uint8_t key[32], struct ccz_span in)
{
    struct cczi_ro ro;
    uint8_t hash[1][32];
    cczi_ro_init(&ro, label, key);
    cczi_ro_hash_spans(hash, &ro, &in, 1);
    memcpy(out, hash[0], 32);
}

/* --------------------------------------------------------------------------------- hello */

static uint8_t *put(uint8_t *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    return to + size;
}

void cczi_psi_hello_put(uint8_t out[CCZI_PSI_HELLO_SIZE], const struct cczi_psi_hello *h)
{
    const uint8_t head[8] = {'P', 'S', 'I', VERSION, h->role, h->protocol, h->learns, h->output};
    const uint32_t reserved = 0;
    uint8_t *to = put(out, head, sizeof(head));
    to = put(to, &h->len, 8);
    to = put(to, &h->min_intersection, 8);
    to = put(to, &h->bucket_len, 8);
    to = put(to, &reserved, 4);
    to = put(to, h->prepared, 32);
    to = put(to, h->session, 32);
    (void)put(to, h->nonce, 32);
}

ccz_rc cczi_psi_hello_get(struct cczi_psi_hello *h, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    *h = (struct cczi_psi_hello){0};
    struct ccz_span magic = ccz_rd_take(&r, 3);
    uint8_t version = ccz_rd_u8(&r);
    if (!ccz_span_eq(magic, ccz_span_str("PSI")))
        return ccz_fail(err, CCZ_E_PEER, "psi:message", 0, "the peer does not speak this protocol");
    if (version != VERSION)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "psi:version", version, VERSION);
    h->role = ccz_rd_u8(&r);
    h->protocol = ccz_rd_u8(&r);
    h->learns = ccz_rd_u8(&r);
    h->output = ccz_rd_u8(&r);
    h->len = ccz_rd_le64(&r);
    h->min_intersection = ccz_rd_le64(&r);
    h->bucket_len = ccz_rd_le64(&r);
    uint32_t reserved = ccz_rd_le32(&r);
    ccz_rd_copy(&r, h->prepared, 32);
    ccz_rd_copy(&r, h->session, 32);
    ccz_rd_copy(&r, h->nonce, 32);
    if (!ccz_rd_done(&r) || reserved != 0) {
        *h = (struct cczi_psi_hello){0};
        return ccz_fail(err, CCZ_E_PEER, "psi:message", (int64_t)in.size, "a malformed greeting");
    }
    return CCZ_OK;
}

static ccz_rc refuse_setting(struct ccz_err *err, const char *where, uint64_t got,
                             uint64_t expected)
{
    return ccz_hint(err,
                    ccz_refuse_num(err, CCZ_E_MISMATCH, where, (int64_t)got, (int64_t)expected),
                    "both sides have to be configured alike");
}

/* What both have to say alike, each with a name of its own. */
static ccz_rc compare(const struct cczi_psi_hello *peer, const struct cczi_psi_hello *own,
                      const struct ccz_psi_cfg *cfg, struct ccz_err *err)
{
    uint64_t most = cfg->peer_len_max ? cfg->peer_len_max : CCZ_PSI_LEN_MAX;
    if (peer->role + own->role != CCZ_PSI_SENDER + CCZ_PSI_RECEIVER || peer->role == 0)
        return ccz_fail(err, CCZ_E_MISMATCH, "psi:role", peer->role,
                        "one side has to be the sender, the other one the receiver");
    if (peer->protocol != own->protocol)
        return refuse_setting(err, "psi:peer-protocol", peer->protocol, own->protocol);
    if (peer->learns != own->learns)
        return refuse_setting(err, "psi:peer-learns", peer->learns, own->learns);
    if (peer->output != own->output)
        return refuse_setting(err, "psi:peer-output", peer->output, own->output);
    if (peer->min_intersection != own->min_intersection)
        return refuse_setting(err, "psi:peer-minimum", peer->min_intersection,
                              own->min_intersection);
    if (memcmp(peer->session, own->session, 32) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "psi:peer-session", peer->session, 16,
                                own->session, 16);
    if (memcmp(peer->prepared, own->prepared, 32) != 0)
        return ccz_hint(err,
                        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "psi:peer-ids", peer->prepared, 16,
                                         own->prepared, 16),
                        "domain, trim and fold_case have to be the same on both sides");
    if (peer->len > most)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "psi:peer-len",
                              (int64_t)(peer->len >> 1 >> 62 ? INT64_MAX : (int64_t)peer->len),
                              (int64_t)most);
    if (peer->bucket_len < BUCKET_LEN_MIN || peer->bucket_len > BUCKET_LEN_MAX)
        return ccz_fail(err, CCZ_E_PEER, "psi:message", 0, "a bucket length out of range");
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------- buckets */

static uint64_t announced_len(uint64_t len, bool pad)
{
    uint64_t p = 1;
    while (pad && p < len)
        p *= 2;
    return pad ? p : len;
}

size_t cczi_psi_bucket_len(uint64_t len, uint32_t buckets)
{
    if (buckets == 1)
        return (size_t)len;
    /* mean + 9 sqrt(mean) + 64: a hash fills a bucket of Poisson's distribution with more than that with probability
     * below 2^-55 (Chernoff's bound). */
    uint64_t mean = (len + buckets - 1) / buckets, root = 0;
    while ((root + 1) * (root + 1) <= mean)
        root++;
    return (size_t)(mean + 9 * (root + 1) + 64);
}

/* As few as keep each within the smaller of both limits. */
static ccz_rc choose_buckets(struct cczi_psi_run *run, uint64_t bucket_len, struct ccz_err *err)
{
    uint64_t most = run->own_len > run->peer_len ? run->own_len : run->peer_len;
    run->buckets = 1;
    if (most <= bucket_len)
        return CCZ_OK;
    while (run->buckets < CCZI_PSI_PARTS && most / run->buckets > bucket_len)
        run->buckets *= 2;
    if (cczi_psi_bucket_len(most, run->buckets) > CCZI_OKVS_KEYS_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "psi:len", (int64_t)most, "too many ids for 256 buckets");
    return CCZ_OK;
}

/* Random entries behind the items, up to what was announced. */
static ccz_rc pad(struct cczi_psi_rec *items, size_t len, size_t padded, struct ccz_err *err)
{
    for (size_t i = len; i < padded; i++) {
        items[i].row = CCZI_PSI_PADDING;
        if (ccz_random(items[i].b, sizeof(items[i].b)) != CCZ_OK)
            return ccz_fail(err, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
    }
    return CCZ_OK;
}

void cczi_psi_bucket_session(uint8_t out[32], const struct cczi_psi_run *run, uint32_t bucket)
{
    uint8_t number[4] = {(uint8_t)bucket, (uint8_t)(bucket >> 8), 0, 0};
    cczi_psi_derive(out, "cczoo psi bucket", run->session, CCZ_SPAN(number, 4));
}

/* One bucket's items, padded, and its session. @param[out] items  freed by the caller in any case */
static ccz_rc load_set(struct cczi_psi_set *set, struct cczi_psi_rec **items,
                       const struct cczi_psi_run *run, uint32_t bucket, struct ccz_err *err)
{
    size_t parts = CCZI_PSI_PARTS / run->buckets, len = 0;
    *set = (struct cczi_psi_set){.len = cczi_psi_bucket_len(run->own_len, run->buckets),
                                 .peer_len = cczi_psi_bucket_len(run->peer_len, run->buckets)};
    cczi_psi_bucket_session(set->session, run, bucket);
    ccz_rc rc = cczi_psi_ids_parts(items, &len, set->len, run->ids, bucket * parts, parts, err);
    set->items = *items;
    if (rc == CCZ_OK && len > set->len)
        rc = ccz_refuse_num(err, CCZ_E_LIMIT, "psi:bucket-full", (int64_t)len, (int64_t)set->len);
    return rc == CCZ_OK ? pad(*items, len, set->len, err) : rc;
}

static ccz_rc run_bucket(struct cczi_psi_align *align, struct cczi_psi_run *run, uint32_t bucket,
                         struct ccz_err *err)
{
    CCZ_AUTO(cczi_psi_list) list = NULL;
    struct cczi_psi_rec *items = NULL;
    struct cczi_psi_set set;
    ccz_rc rc = load_set(&set, &items, run, bucket, err);
    if (rc == CCZ_OK && set.len > 0 && set.peer_len > 0)
        rc = cczi_psi_protocol(run->cfg->protocol)->bucket(&list, run, &set, err);
    else if (rc == CCZ_OK) /* who has nothing has nothing in common */
        rc = cczi_psi_list_new(&list, 0, run->cfg->role == CCZ_PSI_RECEIVER, err);
    if (rc == CCZ_OK)
        rc = cczi_psi_align_put(align, run, bucket, list, &set, err);
    cczi_psi_recs_free(items, set.len);
    return rc;
}

static ccz_rc run_buckets(struct ccz_psi_result *out, struct cczi_psi_run *run, struct ccz_err *err)
{
    struct cczi_psi_align align;
    ccz_rc rc = cczi_psi_align_init(&align, run, err);
    for (uint32_t b = 0; rc == CCZ_OK && b < run->buckets; b++)
        rc = run_bucket(&align, run, b, err);
    if (rc == CCZ_OK)
        rc = cczi_psi_align_done(out, &align, run, err);
    cczi_psi_align_deinit(&align);
    return rc;
}

/* ----------------------------------------------------------------------------------- run */

static ccz_rc check_config(const struct ccz_psi_cfg *cfg, struct ccz_err *err)
{
    uint64_t b = cfg->bucket_len;
    if ((cfg->role != CCZ_PSI_SENDER && cfg->role != CCZ_PSI_RECEIVER) ||
        (unsigned)cfg->protocol >= CCZ_PSI_PROTOCOLS || (unsigned)cfg->learns > CCZ_PSI_BOTH ||
        (unsigned)cfg->output > CCZ_PSI_CARDINALITY || cfg->peer_len_max > CCZ_PSI_LEN_MAX ||
        (b > 0 && (b < BUCKET_LEN_MIN || b > BUCKET_LEN_MAX)))
        return ccz_fail(err, CCZ_E_ARG, "psi:config", 0, "a setting out of range");
    const struct cczi_psi_protocol *p = cczi_psi_protocol(cfg->protocol);
    /* The receiver trusts itself. It is the sender's ids that a receiver's program could give away. */
    if (cfg->role == CCZ_PSI_RECEIVER || cfg->trusted_receiver || p->hides_rows)
        return CCZ_OK;
    const char *where = cfg->output == CCZ_PSI_CARDINALITY ? "psi:output"
                        : cfg->min_intersection > 0        ? "psi:minimum-untrusted"
                                                           : NULL;
    if (!where)
        return CCZ_OK;
    return ccz_hint(err,
                    ccz_fail(err, CCZ_E_UNSUPPORTED, where, cfg->protocol,
                             "with %s only the receiver's program would keep to it", p->name),
                    "use ecdh, or set trusted_receiver if that program was attested");
}

static ccz_rc greet(struct cczi_psi_run *run, struct ccz_err *err)
{
    static const uint8_t zero[32];
    const struct ccz_psi_cfg *cfg = run->cfg;
    struct cczi_psi_hello own = {.role = (uint8_t)cfg->role,
                                 .protocol = (uint8_t)cfg->protocol,
                                 .learns = (uint8_t)cfg->learns,
                                 .output = (uint8_t)cfg->output,
                                 .len = announced_len(run->ids->len, cfg->pad),
                                 .min_intersection = cfg->min_intersection,
                                 .bucket_len =
                                     cfg->bucket_len ? cfg->bucket_len : BUCKET_LEN_DEFAULT},
                          peer;
    uint8_t bytes[2][CCZI_PSI_HELLO_SIZE]; /* sender's, receiver's */
    size_t mine = cfg->role == CCZ_PSI_SENDER ? 0 : 1;
    memcpy(own.prepared, run->ids->prepared, 32);
    cczi_psi_derive(own.session, "cczoo psi name", zero, cfg->session);
    if (ccz_random(own.nonce, sizeof(own.nonce)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
    cczi_psi_hello_put(bytes[mine], &own);
    ccz_rc rc = ccz_chan_send(run->chan, CCZ_SPAN(bytes[mine], CCZI_PSI_HELLO_SIZE), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(bytes[!mine], CCZI_PSI_HELLO_SIZE, run->chan, err);
    if (rc == CCZ_OK)
        rc = cczi_psi_hello_get(&peer, CCZ_SPAN(bytes[!mine], CCZI_PSI_HELLO_SIZE), err);
    if (rc == CCZ_OK)
        rc = compare(&peer, &own, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    run->own_len = own.len;
    run->peer_len = peer.len;
    cczi_psi_derive(run->session, "cczoo psi session", zero, CCZ_SPAN(bytes, sizeof(bytes)));
    return choose_buckets(run, own.bucket_len < peer.bucket_len ? own.bucket_len : peer.bucket_len,
                          err);
}

static ccz_rc run_all(struct ccz_psi_result *out, struct cczi_psi_run *run, struct ccz_err *err)
{
    struct ccz_chan_stats before = ccz_chan_stats(run->chan);
    ccz_rc rc = greet(run, err);
    if (rc == CCZ_OK)
        rc = run_buckets(out, run, err);
    struct ccz_chan_stats after = ccz_chan_stats(run->chan);
    memcpy(out->session, run->session, sizeof(out->session));
    out->peer_len = run->peer_len;
    out->buckets = run->buckets;
    out->sent_size = after.sent_size - before.sent_size;
    out->received_size = after.received_size - before.received_size;
    return rc;
}

ccz_rc ccz_psi_run(struct ccz_psi_result **out, struct ccz_chan *chan,
                   const struct ccz_psi_ids *ids, const struct ccz_psi_cfg *cfg,
                   struct ccz_err *err)
{
    *out = NULL;
    struct ccz_err local = {0};
    struct cczi_psi_run run = {.chan = chan, .cfg = cfg, .ids = ids};
    ccz_rc random = ccz_random(run.shuffle, sizeof(run.shuffle));
    CCZ_AUTO(ccz_psi_result) result = calloc(1, sizeof(*result));
    ccz_rc rc = result ? check_config(cfg, &local)
                       : ccz_fail(&local, CCZ_E_NOMEM, "psi:memory", 0, "no memory");
    if (rc == CCZ_OK && random != CCZ_OK)
        rc = ccz_fail(&local, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
    if (rc == CCZ_OK)
        rc = run_all(result, &run, &local);
    ccz_wipe(run.shuffle, sizeof(run.shuffle));
    if (rc != CCZ_OK) {
        ccz_chan_close(chan, local.where);
        if (err)
            *err = local;
        return rc;
    }
    *out = ccz_psi_result_take(&result);
    return CCZ_OK;
}

void ccz_psi_result_free(struct ccz_psi_result *r)
{
    if (!r)
        return;
    if (r->rows)
        ccz_wipe(r->rows, r->len * sizeof(*r->rows));
    free(r->rows);
    free(r);
}
