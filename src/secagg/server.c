/* SPDX-License-Identifier: Apache-2.0 */
#include "secagg/server_priv.h"

#include <stdlib.h>
#include <string.h>

void ccz_secagg_server_free(struct ccz_secagg_server *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; s->member && i < s->p.cfg.members; i++) {
        struct cczi_sa_member *m = &s->member[i];
        if (m->opened)
            ccz_wipe(m->opened, (size_t)s->degree * CCZI_SA_SHARE);
        free(m->boxes);
        free(m->commits);
        free(m->opened);
        free(m->has_opened);
    }
    cczi_sa_keyring_free(&s->ring);
    free(s->member);
    free(s->graph);
    free(s->in);
    free(s->gone);
    free(s);
}

ccz_rc ccz_secagg_server_new(struct ccz_secagg_server **out, const struct ccz_secagg_cfg *cfg,
                             const uint8_t (*roster)[CCZ_SECAGG_ID_SIZE], struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_secagg_server) s = calloc(1, sizeof(*s));
    if (!s)
        return cczi_sa_internal(err, CCZ_E_NOMEM);
    ccz_rc rc = cczi_sa_params_init(&s->p, cfg, roster, err);
    if (rc != CCZ_OK)
        return rc;
    s->roster = roster;
    s->member = calloc(cfg->members, sizeof(*s->member));
    s->in = calloc(1, s->p.bitmap_size);
    s->gone = calloc(1, s->p.bitmap_size);
    if (!s->member || !s->in || !s->gone)
        return cczi_sa_internal(err, CCZ_E_NOMEM);
    s->stats.members = cfg->members;
    *out = ccz_secagg_server_take(&s);
    return CCZ_OK;
}

enum ccz_secagg_phase ccz_secagg_server_phase(const struct ccz_secagg_server *s)
{
    return s->phase;
}

/* Of a member in this phase: is it still there, and has it answered? */
static bool takes_part(const struct ccz_secagg_server *s, uint32_t i)
{
    const struct cczi_sa_member *m = &s->member[i];
    switch (s->phase) {
    case CCZ_SECAGG_KEYS:
        return true;
    case CCZ_SECAGG_SHARES:
        return m->keys;
    case CCZ_SECAGG_INPUT:
        return m->shares;
    case CCZ_SECAGG_AGREE:
    case CCZ_SECAGG_REVEAL:
        return m->input;
    default:
        return false;
    }
}

static bool answered(const struct ccz_secagg_server *s, uint32_t i)
{
    const struct cczi_sa_member *m = &s->member[i];
    const bool by_phase[] = {m->keys, m->shares, m->input, m->agreed, m->revealed};
    return s->phase <= CCZ_SECAGG_REVEAL && by_phase[s->phase];
}

bool ccz_secagg_server_waits(const struct ccz_secagg_server *s, uint32_t member)
{
    return member < s->p.cfg.members && takes_part(s, member) && !answered(s, member);
}

uint32_t ccz_secagg_server_missing(const struct ccz_secagg_server *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->p.cfg.members; i++)
        n += ccz_secagg_server_waits(s, i);
    return n;
}

uint32_t ccz_secagg_server_answers(const struct ccz_secagg_server *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->p.cfg.members; i++)
        n += takes_part(s, i) && answered(s, i);
    return n;
}

/* -------------------------------------------------------------------------------------- input */

static ccz_rc take_keys(struct ccz_secagg_server *s, uint32_t member, const struct cczi_sa_msg *m,
                        struct ccz_err *err)
{
    struct cczi_sa_public k = {0};
    memcpy(&k, m->fixed.ptr, m->fixed.size);
    ccz_rc rc = cczi_sa_check_keys(&k, &s->p, member, s->roster, err);
    for (uint32_t i = 0; rc == CCZ_OK && i < s->p.cfg.members; i++)
        if (s->member[i].keys && cczi_sa_share_keys(&k, &s->member[i].pub))
            rc = ccz_fail(err, CCZ_E_PEER, "secagg:key-repeated", member,
                          "a key of member %u is one of member %u", member, i);
    if (rc != CCZ_OK)
        return rc;
    s->member[member].pub = k;
    s->member[member].keys = true;
    return CCZ_OK;
}

static ccz_rc take_sealed(struct ccz_secagg_server *s, uint32_t member, const struct cczi_sa_msg *m,
                          struct ccz_err *err)
{
    struct cczi_sa_member *me = &s->member[member];
    const uint32_t *neighbours = cczi_sa_neighbours(s, member);
    bool same = m->len == s->degree;
    for (uint32_t i = 0; same && i < m->len; i++)
        same = cczi_sa_msg_member(m, i) == neighbours[i];
    if (!same)
        return ccz_fail(err, CCZ_E_PEER, "secagg:sets", member,
                        "shares of member %u are not for its %u neighbours", member, s->degree);
    uint8_t *boxes = malloc((size_t)m->len * CCZI_SA_BOX);
    uint8_t *commits = malloc((size_t)m->len * CCZI_SA_COMMITS);
    if (!boxes || !commits) {
        free(boxes);
        free(commits);
        return cczi_sa_internal(err, CCZ_E_NOMEM);
    }
    for (uint32_t i = 0; i < m->len; i++) {
        const uint8_t *body = cczi_sa_msg_body(m, i);
        memcpy(commits + (size_t)i * CCZI_SA_COMMITS, body, CCZI_SA_COMMITS);
        memcpy(boxes + (size_t)i * CCZI_SA_BOX, body + CCZI_SA_COMMITS, CCZI_SA_BOX);
    }
    me->boxes = boxes;
    me->commits = commits;
    memcpy(me->seed_commit, m->fixed.ptr, CCZI_SA_DIGEST);
    me->shares = true;
    return CCZ_OK;
}

static ccz_rc take_signed(struct ccz_secagg_server *s, uint32_t member, const struct cczi_sa_msg *m,
                          struct ccz_err *err)
{
    if (cczi_sa_check_set(m->fixed.ptr, &s->p, s->in, s->roster[member]) != CCZ_OK)
        return ccz_fail(err, CCZ_E_SIG, "secagg:signature", member,
                        "member %u has not signed who delivered", member);
    memcpy(s->member[member].set_sig, m->fixed.ptr, CCZI_SA_SIG);
    s->member[member].agreed = true;
    return CCZ_OK;
}

static ccz_rc not_due(const struct ccz_secagg_server *s, uint32_t member, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_DENIED, "secagg:phase", member,
                    "nothing of the kind is due from member %u in phase %s", member,
                    ccz_secagg_phase_name(s->phase));
}

ccz_rc ccz_secagg_server_input(struct ccz_secagg_server *s, uint32_t member, struct ccz_span msg,
                               struct ccz_err *err)
{
    static const enum cczi_sa_kind kinds[] = {
        [CCZ_SECAGG_KEYS] = CCZI_SA_KEYS,
        [CCZ_SECAGG_SHARES] = CCZI_SA_SEALED,
        [CCZ_SECAGG_INPUT] = 0,
        [CCZ_SECAGG_AGREE] = CCZI_SA_SIGNED,
        [CCZ_SECAGG_REVEAL] = CCZI_SA_REVEAL,
    };
    struct cczi_sa_msg m;
    ccz_rc rc = cczi_sa_msg_parse(&m, &s->p, msg, err);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_secagg_server_waits(s, member) || m.kind != kinds[s->phase])
        return not_due(s, member, err);
    if (m.kind == CCZI_SA_KEYS)
        rc = take_keys(s, member, &m, err);
    else if (m.kind == CCZI_SA_SEALED)
        rc = take_sealed(s, member, &m, err);
    else if (m.kind == CCZI_SA_SIGNED)
        rc = take_signed(s, member, &m, err);
    else
        rc = cczi_sa_take_reveal(s, member, &m, err);
    if (rc == CCZ_OK)
        s->stats.bytes_in += msg.size;
    return rc;
}

ccz_rc ccz_secagg_server_uploaded(struct ccz_secagg_server *s, uint32_t member, struct ccz_err *err)
{
    if (s->phase != CCZ_SECAGG_INPUT || !ccz_secagg_server_waits(s, member))
        return not_due(s, member, err);
    s->member[member].input = true;
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- phases */

static ccz_rc few(struct ccz_err *err, const char *what, uint32_t got, uint32_t want)
{
    return ccz_fail(err, CCZ_E_PEER, "secagg:few", got, "%u %s, expected at least %u", got, what,
                    want);
}

static ccz_rc draw_graph(struct ccz_secagg_server *s, struct ccz_err *err)
{
    uint32_t len = 0;
    uint32_t *list = malloc(s->p.cfg.members * sizeof(*list));
    if (!list)
        return cczi_sa_internal(err, CCZ_E_NOMEM);
    for (uint32_t i = 0; i < s->p.cfg.members; i++)
        if (s->member[i].keys) {
            s->member[i].row = len;
            list[len++] = i;
        }
    s->stats.keys = len;
    uint32_t want = s->p.cfg.threshold + 1;
    want = want < s->p.cfg.quorum ? s->p.cfg.quorum : want;
    ccz_rc rc = len < want ? few(err, "members have sent keys", len, want) : CCZ_OK;
    if (rc == CCZ_OK) {
        rc = cczi_sa_graph(&s->graph, &s->degree, list, len, s->p.cfg.degree);
        if (rc != CCZ_OK)
            (void)cczi_sa_internal(err, rc);
    }
    s->stats.degree = s->degree;
    free(list);
    return rc;
}

static uint32_t count_neighbours(const struct ccz_secagg_server *s, uint32_t i, bool delivered)
{
    const uint32_t *n = cczi_sa_neighbours(s, i);
    uint32_t count = 0;
    for (uint32_t k = 0; k < s->degree; k++)
        count += delivered ? s->member[n[k]].input : s->member[n[k]].shares;
    return count;
}

/* Whose neighbours have vanished could not be opened; it is left out as well, until all who are left can be. */
static ccz_rc close_shares(struct ccz_secagg_server *s, struct ccz_err *err)
{
    bool again = true;
    while (again) {
        again = false;
        for (uint32_t i = 0; i < s->p.cfg.members; i++) {
            struct cczi_sa_member *m = &s->member[i];
            if (m->shares && count_neighbours(s, i, false) < s->p.cfg.threshold) {
                m->shares = false;
                again = true;
            }
        }
    }
    uint32_t left = 0;
    for (uint32_t i = 0; i < s->p.cfg.members; i++)
        left += s->member[i].shares;
    s->stats.shares = left;
    return left >= s->p.cfg.quorum ? CCZ_OK
                                   : few(err, "members have sent shares", left, s->p.cfg.quorum);
}

static ccz_rc close_input(struct ccz_secagg_server *s, struct ccz_err *err)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < s->p.cfg.members; i++) {
        const struct cczi_sa_member *m = &s->member[i];
        if (m->shares)
            cczi_sa_set_bit(m->input ? s->in : s->gone, i);
        left += m->input;
    }
    s->stats.inputs = left;
    if (left < s->p.cfg.quorum)
        return few(err, "vectors", left, s->p.cfg.quorum);
    for (uint32_t i = 0; i < s->p.cfg.members; i++) {
        uint32_t holders = s->member[i].shares ? count_neighbours(s, i, true) : UINT32_MAX;
        if (holders < s->p.cfg.threshold)
            return few(err, "share holders of a member are left", holders, s->p.cfg.threshold);
    }
    return CCZ_OK;
}

static ccz_rc close_phase(struct ccz_secagg_server *s, struct ccz_err *err)
{
    uint32_t n = ccz_secagg_server_answers(s);
    switch (s->phase) {
    case CCZ_SECAGG_KEYS:
        return draw_graph(s, err);
    case CCZ_SECAGG_SHARES:
        return close_shares(s, err);
    case CCZ_SECAGG_INPUT:
        return close_input(s, err);
    case CCZ_SECAGG_AGREE:
        return n >= s->p.cfg.threshold
                   ? CCZ_OK
                   : few(err, "members have signed who delivered", n, s->p.cfg.threshold);
    case CCZ_SECAGG_REVEAL:
        s->stats.reveals = n;
        return cczi_sa_open_all(s, err);
    default:
        return ccz_fail(err, CCZ_E_DENIED, "secagg:phase", s->phase, "phase %s does not end",
                        ccz_secagg_phase_name(s->phase));
    }
}

ccz_rc ccz_secagg_server_next(struct ccz_secagg_server *s, struct ccz_err *err)
{
    if (s->phase >= CCZ_SECAGG_UNMASK)
        return close_phase(s, err);
    ccz_rc rc = close_phase(s, err);
    if (rc != CCZ_OK) {
        s->phase = CCZ_SECAGG_FAILED;
        return rc;
    }
    s->phase = (enum ccz_secagg_phase)(s->phase + 1);
    if (s->phase == CCZ_SECAGG_AGREE && !s->roster)
        s->phase = CCZ_SECAGG_REVEAL;
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------------- output */

static void put_neighbours(struct ccz_buf *out, const struct ccz_secagg_server *s, uint32_t member)
{
    const uint32_t *n = cczi_sa_neighbours(s, member);
    cczi_sa_msg_begin(out, &s->p, CCZI_SA_NEIGHBOURS);
    ccz_buf_le32(out, s->degree);
    for (uint32_t i = 0; i < s->degree; i++) {
        ccz_buf_le32(out, n[i]);
        ccz_buf_put(out, &s->member[n[i]].pub,
                    s->roster ? sizeof(struct cczi_sa_public) : 2 * CCZI_SA_KEY);
    }
}

static void put_inbox(struct ccz_buf *out, const struct ccz_secagg_server *s, uint32_t member)
{
    const uint32_t *n = cczi_sa_neighbours(s, member);
    cczi_sa_msg_begin(out, &s->p, CCZI_SA_INBOX);
    ccz_buf_le32(out, count_neighbours(s, member, false));
    for (uint32_t i = 0; i < s->degree; i++) {
        const struct cczi_sa_member *from = &s->member[n[i]];
        if (!from->shares)
            continue;
        uint32_t at = cczi_sa_find(cczi_sa_neighbours(s, n[i]), s->degree, member);
        ccz_buf_le32(out, n[i]);
        ccz_buf_put(out, from->boxes + (size_t)at * CCZI_SA_BOX, CCZI_SA_BOX);
    }
}

static void put_unmask(struct ccz_buf *out, const struct ccz_secagg_server *s)
{
    uint32_t left = s->roster ? s->p.cfg.threshold : 0; /* more signatures prove nothing more */
    cczi_sa_msg_begin(out, &s->p, CCZI_SA_UNMASK);
    ccz_buf_put(out, s->in, s->p.bitmap_size);
    ccz_buf_put(out, s->gone, s->p.bitmap_size);
    ccz_buf_le32(out, left);
    for (uint32_t i = 0; left && i < s->p.cfg.members; i++)
        if (s->member[i].agreed) {
            ccz_buf_le32(out, i);
            ccz_buf_put(out, s->member[i].set_sig, CCZI_SA_SIG);
            left--;
        }
}

ccz_rc ccz_secagg_server_output(struct ccz_buf *out, struct ccz_secagg_server *s, uint32_t member,
                                struct ccz_err *err)
{
    size_t before = out->size;
    if (member >= s->p.cfg.members || s->phase == CCZ_SECAGG_KEYS || !takes_part(s, member))
        return not_due(s, member, err);
    if (s->phase == CCZ_SECAGG_SHARES) {
        put_neighbours(out, s, member);
    } else if (s->phase == CCZ_SECAGG_INPUT) {
        put_inbox(out, s, member);
    } else if (s->phase == CCZ_SECAGG_AGREE) {
        cczi_sa_msg_begin(out, &s->p, CCZI_SA_DELIVERED);
        ccz_buf_put(out, s->in, s->p.bitmap_size);
    } else {
        put_unmask(out, s);
    }
    if (out->bad)
        return ccz_fail(err, CCZ_E_NOMEM, "secagg:memory", 0, "no room for the message");
    s->stats.bytes_out += out->size - before;
    return CCZ_OK;
}

void ccz_secagg_server_stats(struct ccz_secagg_stats *out, const struct ccz_secagg_server *s)
{
    *out = s->stats;
}
