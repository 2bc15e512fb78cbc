/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VOLE-PSI (Rindal and Schoppmann 2021, Raghuraman and Rindal 2022). The receiver hides a key-value store of its items'
 * hashes in the vector a of a VOLE; so the sender gets a function of items that the receiver knows at its own items only:
 *
 *   receiver                                        sender
 *                                        <----      H(w_s)                              (malicious)
 *   P: sum over P at y's places = h(y)
 *   a, c = a delta + b               <-- VOLE -->   delta, b
 *   r, w_r, P + a                        ---->      K = b + (P + a) delta = c + P delta
 *   check w_s                            <----      w_s, masks of all x, ascending
 *   F(y) = H(y, c at y's places)                    F(x) = H(x, K at x's places + h(x) delta)
 *
 * Places and h() are hashes under r; H is under w_s and w_r, so that nobody can prepare for it.
 */
#include "psi_priv.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, RANDOM_SIZE = 32, SEEDS_MAX = 8 };

/* First message behind the VOLE; the table follows, aligned. */
struct head {
    uint8_t r[RANDOM_SIZE];
    uint8_t w[RANDOM_SIZE]; /* zero in the semi-honest protocol */
};

/* One bucket's state, either side. */
struct rr22 {
    struct cczi_psi_run *run;
    const struct cczi_psi_set *set;
    bool malicious;
    struct cczi_okvs okvs;
    struct cczi_okvs_keys *keys;
    struct head *head;      /* with the table behind it: one message */
    struct ccz_f128 *table; /* behind head: P + a; then the sums of the own items */
    struct ccz_f128 *vole;  /* sender: b, then K. receiver: c */
    size_t table_len, out_len;
    struct ccz_f128 delta;  /* sender */
    uint8_t w[RANDOM_SIZE]; /* the sender's own part */
    uint8_t commitment[32];
    struct cczi_digest *out; /* work space; then F of each key */
    struct cczi_psi_mask *masks;
    size_t mask_size;
};

static void rr22_deinit(struct rr22 *s)
{
    cczi_okvs_keys_free(s->keys);
    if (s->out)
        ccz_wipe(s->out, s->out_len * sizeof(*s->out));
    if (s->vole)
        ccz_wipe(s->vole, s->okvs.len * sizeof(*s->vole));
    if (s->head)
        ccz_wipe(s->head, sizeof(*s->head) + s->table_len * sizeof(*s->table));
    if (s->masks)
        ccz_wipe(s->masks, s->set->len * sizeof(*s->masks));
    ccz_wipe(&s->delta, sizeof(s->delta));
    free(s->out);
    free(s->vole);
    free(s->head);
    free(s->masks);
}

static ccz_rc no_memory(struct ccz_err *err, size_t len)
{
    return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)len, "no memory for %zu entries", len);
}

static ccz_rc rr22_init(struct rr22 *s, struct cczi_psi_run *run, const struct cczi_psi_set *set,
                        struct ccz_err *err)
{
    bool sender = run->cfg->role == CCZ_PSI_SENDER;
    *s = (struct rr22){.run = run, .set = set, .malicious = run->cfg->protocol == CCZ_PSI_VOLE};
    cczi_okvs_params(&s->okvs, sender ? set->peer_len : set->len);
    /* Against malicious parties all of it, so that a sender cannot find one mask for two ids. */
    s->mask_size = s->malicious
                       ? CCZI_PSI_MASK_SIZE_MAX
                       : cczi_psi_mask_size(sender ? set->len : set->peer_len,
                                            sender ? set->peer_len : set->len, run->buckets);
    /* Both hold something else at times: the table the sums of the items, `out` the vector a. */
    s->table_len = s->okvs.len > set->len ? s->okvs.len : set->len;
    s->out_len = set->len > s->okvs.len / 2 ? set->len : s->okvs.len / 2 + 1;
    s->head = cczi_psi_alloc(1, sizeof(*s->head) + s->table_len * sizeof(*s->table));
    s->vole = cczi_psi_alloc(s->okvs.len, sizeof(*s->vole));
    s->out = cczi_psi_alloc(s->out_len, sizeof(*s->out));
    s->masks = cczi_psi_alloc(set->len, sizeof(*s->masks));
    if (!s->head || !s->vole || !s->out || !s->masks)
        return no_memory(err, s->okvs.len);
    memset(s->head, 0, sizeof(*s->head));
    s->table = (struct ccz_f128 *)(void *)(s->head + 1);
    return CCZ_OK;
}

static void ot_config(struct ccz_ot_cfg *out, const struct rr22 *s)
{
    *out = (struct ccz_ot_cfg){0};
    cczi_psi_derive(out->session, "cczoo psi vole", s->set->session, CCZ_SPAN(NULL, 0));
}

/* Hashes items to places under r. */
static ccz_rc make_keys(struct rr22 *s, struct ccz_err *err)
{
    struct cczi_ro ro;
    uint8_t key[32];
    cczi_psi_derive(key, "cczoo psi seed", s->set->session, CCZ_SPAN(s->head->r, RANDOM_SIZE));
    cczi_ro_init(&ro, "cczoo psi places", key);
    cczi_okvs_keys_free(s->keys);
    s->keys = NULL;
    return cczi_okvs_keys_new(&s->keys, s->set->items, s->set->len, &s->okvs, &ro, s->out, err);
}

/* F of every key, from v = its sum, and the masks. */
static void make_outputs(struct rr22 *s, const struct ccz_f128 *v)
{
    struct cczi_ro ro;
    uint8_t key[32], w[2 * RANDOM_SIZE], in[BATCH][32];
    memcpy(w, s->w, RANDOM_SIZE);
    memcpy(w + RANDOM_SIZE, s->head->w, RANDOM_SIZE);
    cczi_psi_derive(key, "cczoo psi w", s->set->session, CCZ_SPAN(w, sizeof(w)));
    cczi_ro_init(&ro, "cczoo psi output", key);
    for (size_t i = 0; i < s->set->len; i += BATCH) {
        size_t n = s->set->len - i < BATCH ? s->set->len - i : BATCH;
        for (size_t j = 0; j < n; j++) {
            memcpy(in[j], s->set->items[s->keys->item[i + j]].b, 16);
            memcpy(in[j] + 16, &v[i + j], 16);
        }
        cczi_ro_hash(s->out + i, &ro, (const uint8_t(*)[32])in, n);
    }
    uint64_t keep_hi = s->mask_size >= 8 ? ~UINT64_C(0) : ~UINT64_C(0) << (64 - 8 * s->mask_size);
    uint64_t keep_lo = s->mask_size >= 16  ? ~UINT64_C(0)
                       : s->mask_size <= 8 ? 0
                                           : ~UINT64_C(0) << (128 - 8 * s->mask_size);
    for (size_t i = 0; i < s->set->len; i++) {
        const uint32_t *o = s->out[i].w;
        s->masks[i] = (struct cczi_psi_mask){.hi = ((uint64_t)o[0] << 32 | o[1]) & keep_hi,
                                             .lo = ((uint64_t)o[2] << 32 | o[3]) & keep_lo,
                                             .at = (uint32_t)i};
    }
    ccz_wipe(in, sizeof(in));
}

static void put_entry(struct cczi_psi_list *list, size_t i, const struct rr22 *s, uint32_t key)
{
    list->item[i] = s->keys->item[key];
    memcpy(list->tag[i], s->out[key].w + 4, 16);
}

/* ------------------------------------------------------------------------------- receiver */

/* P, under seeds until there is one. Nobody sees the seeds that failed. */
static ccz_rc solve(struct rr22 *s, struct ccz_err *err)
{
    ccz_rc rc = CCZ_E_NOT_FOUND;
    for (int i = 0; i < SEEDS_MAX && rc == CCZ_E_NOT_FOUND; i++) {
        rc = ccz_random(s->head->r, RANDOM_SIZE);
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "psi:random", 0, "no randomness");
        rc = make_keys(s, err);
        if (rc == CCZ_OK)
            rc = cczi_okvs_solve(s->table, NULL, &s->okvs, s->keys, err);
    }
    return rc == CCZ_E_NOT_FOUND ? ccz_fail(err, CCZ_E_INTERNAL, "psi:okvs", SEEDS_MAX,
                                            "no solution under %d seeds", SEEDS_MAX)
                                 : rc;
}

static ccz_rc send_table(struct rr22 *s, struct ccz_err *err)
{
    struct ccz_ot_cfg cfg;
    ot_config(&cfg, s);
    struct ccz_f128 *a = (struct ccz_f128 *)(void *)s->out;
    ccz_rc rc = ccz_vole_recv(a, s->vole, s->okvs.len, s->run->chan, &cfg, err);
    if (rc == CCZ_OK) {
        for (size_t i = 0; i < s->okvs.len; i++) {
            s->table[i].lo ^= a[i].lo;
            s->table[i].hi ^= a[i].hi;
        }
        rc = ccz_chan_send(s->run->chan,
                           CCZ_SPAN(s->head, sizeof(*s->head) + s->okvs.len * sizeof(*s->table)),
                           err);
    }
    return rc;
}

/* Takes the sender's w from @p in and holds it to the commitment. */
static ccz_rc open_w(struct rr22 *s, const uint8_t *in, struct ccz_err *err)
{
    uint8_t hash[32];
    memcpy(s->w, in, RANDOM_SIZE);
    cczi_psi_derive(hash, "cczoo psi commit", s->set->session, CCZ_SPAN(s->w, RANDOM_SIZE));
    if (!ccz_ct_eq(hash, s->commitment, sizeof(hash)))
        return ccz_refuse_bytes(err, CCZ_E_SIG, "psi:commitment", hash, 16, s->commitment, 16);
    return CCZ_OK;
}

/* Both lists are ascending: one pass, to the end of theirs even if ours is over, so that all of it is checked. */
static ccz_rc intersect(struct cczi_psi_list *list, const struct rr22 *s, struct ccz_span in,
                        struct ccz_err *err)
{
    struct cczi_psi_masks_in g;
    size_t i = 0, n = 0;
    ccz_rc rc = cczi_psi_masks_start(&g, s->set->peer_len, s->mask_size, in, err);
    while (rc == CCZ_OK && (rc = cczi_psi_masks_next(&g, err)) == CCZ_OK && !g.end) {
        const struct cczi_psi_mask *b = &g.mask;
        while (i < s->set->len &&
               (s->masks[i].hi < b->hi || (s->masks[i].hi == b->hi && s->masks[i].lo < b->lo)))
            i++;
        if (i < s->set->len && s->masks[i].hi == b->hi && s->masks[i].lo == b->lo) {
            put_entry(list, n, s, s->masks[i++].at);
            list->at[n++] = b->at;
        }
    }
    list->len = n;
    return rc;
}

static ccz_rc match(struct cczi_psi_list **out, struct rr22 *s, struct ccz_span in,
                    struct ccz_err *err)
{
    CCZ_AUTO(cczi_psi_list) list = NULL;
    size_t most = s->set->len < s->set->peer_len ? s->set->len : s->set->peer_len;
    cczi_okvs_decode(s->table, s->vole, &s->okvs, s->keys);
    make_outputs(s, s->table);
    ccz_rc rc = cczi_psi_masks_sort(&s->masks, s->set->len, err);
    if (rc == CCZ_OK)
        rc = cczi_psi_list_new(&list, most, true, err);
    if (rc == CCZ_OK)
        rc = intersect(list, s, in, err);
    if (rc == CCZ_OK)
        *out = cczi_psi_list_take(&list);
    return rc;
}

static ccz_rc receive_masks(struct cczi_psi_list **out, struct rr22 *s, struct ccz_err *err)
{
    size_t len = s->set->peer_len, head = s->malicious ? RANDOM_SIZE : 0;
    size_t size = cczi_psi_masks_size(len, s->mask_size);
    uint8_t *in = cczi_psi_alloc(1, head + size);
    if (!in)
        return no_memory(err, len);
    ccz_rc rc = ccz_chan_recv_exact(in, head + size, s->run->chan, err);
    if (rc == CCZ_OK && s->malicious)
        rc = open_w(s, in, err);
    if (rc == CCZ_OK)
        rc = match(out, s, CCZ_SPAN(in + head, size), err);
    free(in);
    return rc;
}

static ccz_rc receive(struct cczi_psi_list **out, struct rr22 *s, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (s->malicious) {
        rc = ccz_chan_recv_exact(s->commitment, sizeof(s->commitment), s->run->chan, err);
        if (rc == CCZ_OK && ccz_random(s->head->w, RANDOM_SIZE) != CCZ_OK)
            rc = ccz_fail(err, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
    }
    if (rc == CCZ_OK)
        rc = solve(s, err);
    if (rc == CCZ_OK)
        rc = send_table(s, err);
    return rc == CCZ_OK ? receive_masks(out, s, err) : rc;
}

/* --------------------------------------------------------------------------------- sender */

static ccz_rc commit(struct rr22 *s, struct ccz_err *err)
{
    if (ccz_random(s->w, RANDOM_SIZE) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
    cczi_psi_derive(s->commitment, "cczoo psi commit", s->set->session,
                    CCZ_SPAN(s->w, RANDOM_SIZE));
    return ccz_chan_send(s->run->chan, CCZ_SPAN(s->commitment, sizeof(s->commitment)), err);
}

/* K, and F of the own items. */
static ccz_rc evaluate(struct rr22 *s, struct ccz_err *err)
{
    struct ccz_ot_cfg cfg;
    ot_config(&cfg, s);
    size_t table_size = s->okvs.len * sizeof(*s->table);
    ccz_rc rc = ccz_vole_send(&s->delta, s->vole, s->okvs.len, s->run->chan, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(s->head, sizeof(*s->head) + table_size, s->run->chan, err);
    if (rc == CCZ_OK)
        rc = make_keys(s, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_f128_mul_add(s->vole, s->table, s->okvs.len, s->delta);
    cczi_okvs_decode(s->table, s->vole, &s->okvs, s->keys);
    ccz_f128_mul_add(s->table, s->keys->value, s->set->len, s->delta);
    make_outputs(s, s->table);
    return cczi_psi_masks_sort(&s->masks, s->set->len, err);
}

static ccz_rc send_masks(const struct rr22 *s, struct ccz_err *err)
{
    size_t size = cczi_psi_masks_size(s->set->len, s->mask_size);
    uint8_t *body = cczi_psi_alloc(1, size);
    if (!body)
        return no_memory(err, s->set->len);
    cczi_psi_masks_put(body, s->masks, s->set->len, s->mask_size);
    const struct ccz_span parts[] = {CCZ_SPAN(s->w, s->malicious ? RANDOM_SIZE : 0),
                                     CCZ_SPAN(body, size)};
    ccz_rc rc = ccz_chan_send_parts(s->run->chan, parts, 2, err);
    free(body);
    return rc;
}

static ccz_rc send(struct cczi_psi_list **out, struct rr22 *s, struct ccz_err *err)
{
    CCZ_AUTO(cczi_psi_list) list = NULL;
    ccz_rc rc = s->malicious ? commit(s, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = evaluate(s, err);
    size_t len =
        s->run->cfg->learns == CCZ_PSI_BOTH ? s->set->len : 0; /* else nobody asks for it */
    if (rc == CCZ_OK)
        rc = cczi_psi_list_new(&list, len, false, err);
    if (rc == CCZ_OK)
        rc = send_masks(s, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < len; i++)
        put_entry(list, i, s, s->masks[i].at);
    *out = cczi_psi_list_take(&list);
    return CCZ_OK;
}

ccz_rc cczi_psi_vole_bucket(struct cczi_psi_list **out, struct cczi_psi_run *run,
                            const struct cczi_psi_set *set, struct ccz_err *err)
{
    struct rr22 s;
    *out = NULL;
    ccz_rc rc = rr22_init(&s, run, set, err);
    if (rc == CCZ_OK)
        rc = run->cfg->role == CCZ_PSI_SENDER ? send(out, &s, err) : receive(out, &s, err);
    rr22_deinit(&s);
    return rc;
}
