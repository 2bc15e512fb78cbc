/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The side that computes. One lock guards the table of sessions, the idle work spaces and the weights made so
 * far; it is never held while something is computed, but for the weights of a layout, once each.
 */
#define _POSIX_C_SOURCE 200809L
#include "helr/helr_priv.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS_MAX = 16, LAYOUTS = 32, KEYS_FACTOR = 2, MODEL_FACTOR = 3 };
#define SESSIONS_SIZE_MAX ((size_t)2 << 30)

/* The model for one layout, expanded at the full level. */
struct weights {
    struct ccz_ckks_pt **pt; /* layout.cts; NULL: these features have no weight */
    size_t len;
};

struct ccz_helr_server {
    const struct ccz_helr_model *model; /* NULL: clients bring theirs */
    struct ccz_ckks *ckks;
    struct ccz_rlwe_cfg ring;
    struct ccz_rlwe_work_cfg work_cfg;
    struct cczi_helr_poly poly;
    size_t n, sessions_max, sessions_size_max;
    double scale, bias; /* folded */
    double *w;          /* folded weights; 0: too small to count */
    size_t w_len;
    pthread_mutex_t lock;
    struct cczi_helr_session *sessions;
    size_t sessions_len, sessions_size;
    uint64_t clock;
    struct cczi_helr_work *idle;
    struct weights weights[LAYOUTS]; /* by layout.switches; pt NULL: not made yet */
};

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "helr:memory", 0, "out of memory");
}

/* --------------------------------------------------------------------------------------- set-up */

static ccz_rc fold_model(struct ccz_helr_server *s, struct ccz_err *err)
{
    if (!s->model)
        return CCZ_OK;
    s->w = malloc(s->model->features_len * sizeof(*s->w));
    if (!s->w)
        return no_memory(err);
    s->w_len = s->model->features_len;
    bool any = false;
    for (size_t i = 0; i < s->model->features_len; i++) {
        double w = s->poly.fold * s->model->features[i].weight;
        s->w[i] = fabs(w) * s->scale < 1 ? 0 : w;
        any = any || s->w[i] != 0;
    }
    s->bias = s->poly.fold * s->model->bias;
    return any ? CCZ_OK : ccz_fail(err, CCZ_E_FORMAT, "helr:model", 0, "no feature has a weight");
}

static ccz_rc set_up(struct ccz_helr_server *s, const struct ccz_helr_server_cfg *cfg,
                     struct ccz_err *err)
{
    unsigned degree = cfg->degree ? cfg->degree : 3;
    if (degree != 3 && degree != 5 && degree != 7)
        return ccz_hint(err, ccz_refuse_num(err, CCZ_E_ARG, "helr:degree", degree, 3),
                        "3, 5 and 7 are possible");
    struct ccz_ckks_cfg ckks = {0};
    cczi_helr_ring(&ckks.ring, degree);
    if (cfg->ring_insecure.n) {
        ckks.ring = cfg->ring_insecure;
        ckks.ring.security_insecure = true;
        if (ckks.ring.data_len < cczi_helr_primes(degree))
            return ccz_refuse_num(err, CCZ_E_ARG, "helr:level", (int64_t)ckks.ring.data_len,
                                  (int64_t)cczi_helr_primes(degree));
    }
    ccz_rc rc = ccz_ckks_new(&s->ckks, &ckks, err);
    if (rc != CCZ_OK)
        return rc;
    s->ring = ckks.ring;
    s->n = 2 * ccz_ckks_slots(s->ckks);
    s->model = cfg->model;
    s->scale = ldexp(1.0, CCZI_HELR_SCALE_BITS);
    s->sessions_max = cfg->sessions_max ? cfg->sessions_max : SESSIONS_MAX;
    s->sessions_size_max = cfg->sessions_size_max ? cfg->sessions_size_max : SESSIONS_SIZE_MAX;
    s->work_cfg.threads = cfg->threads;
    cczi_helr_fold(&s->poly, degree, cfg->model ? cfg->model->radius : 8.0);
    return fold_model(s, err);
}

ccz_rc ccz_helr_server_new(struct ccz_helr_server **out, const struct ccz_helr_server_cfg *cfg,
                           struct ccz_err *err)
{
    *out = NULL;
    struct ccz_helr_server *s = calloc(1, sizeof(*s));
    if (!s)
        return no_memory(err);
    if (pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "helr:lock", 0, "no mutex");
    }
    ccz_rc rc = set_up(s, cfg, err);
    if (rc == CCZ_OK)
        *out = s;
    else
        ccz_helr_server_free(s);
    return rc;
}

static void free_weights(struct weights *w)
{
    for (size_t i = 0; w->pt && i < w->len; i++)
        ccz_ckks_pt_free(w->pt[i]);
    free(w->pt);
    *w = (struct weights){0};
}

void ccz_helr_server_free(struct ccz_helr_server *s)
{
    if (!s)
        return;
    while (s->sessions) {
        struct cczi_helr_session *next = s->sessions->next;
        cczi_helr_session_free(s->sessions);
        s->sessions = next;
    }
    while (s->idle) {
        struct cczi_helr_work *next = s->idle->next;
        cczi_helr_work_free(s->idle);
        s->idle = next;
    }
    for (size_t i = 0; i < LAYOUTS; i++)
        free_weights(&s->weights[i]);
    if (s->w)
        ccz_wipe(s->w, s->w_len * sizeof(*s->w));
    free(s->w);
    ccz_ckks_free(s->ckks);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

void ccz_helr_server_info(struct ccz_buf *out, const struct ccz_helr_server *s)
{
    struct ccz_helr_info info = {.ring = s->ring,
                                 .scale_bits = CCZI_HELR_SCALE_BITS,
                                 .degree = s->poly.degree,
                                 .encrypted_model = s->model == NULL,
                                 .radius = s->poly.radius};
    if (s->model) {
        memcpy(info.name, s->model->name, sizeof(info.name));
        info.features_len = s->model->features_len;
        info.features = s->model->features; /* names, means and scales only are written */
    }
    cczi_helr_put_info(out, &info, ccz_rlwe_params_id(ccz_ckks_ring(s->ckks)));
}

/* ---------------------------------------------------------------------- work spaces and sessions */

static void lock(struct ccz_helr_server *s)
{
    (void)pthread_mutex_lock(&s->lock);
}

static void unlock(struct ccz_helr_server *s)
{
    (void)pthread_mutex_unlock(&s->lock);
}

static ccz_rc take_work(struct cczi_helr_work **out, struct ccz_helr_server *s, struct ccz_err *err)
{
    lock(s);
    struct cczi_helr_work *w = s->idle;
    if (w)
        s->idle = w->next;
    unlock(s);
    *out = w;
    return w ? CCZ_OK : cczi_helr_work_new(out, s->ckks, &s->work_cfg, err);
}

static void give_work(struct ccz_helr_server *s, struct cczi_helr_work *w)
{
    if (!w)
        return;
    lock(s);
    w->next = s->idle;
    s->idle = w;
    unlock(s);
}

/* With the lock held. */
static struct cczi_helr_session **find(struct ccz_helr_server *s,
                                       const uint8_t id[CCZ_HELR_SESSION_SIZE])
{
    struct cczi_helr_session **p = &s->sessions;
    while (*p && !ccz_ct_eq((*p)->id, id, CCZ_HELR_SESSION_SIZE)) /* to know it is to own it */
        p = &(*p)->next;
    return p;
}

/* The session, kept until give_session(). */
static ccz_rc take_session(struct cczi_helr_session **out, struct ccz_helr_server *s,
                           const uint8_t id[CCZ_HELR_SESSION_SIZE], struct ccz_err *err)
{
    lock(s);
    struct cczi_helr_session *found = *find(s, id);
    if (found) {
        found->used = ++s->clock;
        found->refs++;
    }
    unlock(s);
    *out = found;
    if (found)
        return CCZ_OK;
    char got[2 * CCZ_HELR_SESSION_SIZE + 1];
    ccz_hex(got, id, CCZ_HELR_SESSION_SIZE);
    return ccz_hint(err,
                    ccz_refuse(err, CCZ_E_NOT_FOUND, "helr:session", got, "a session known here"),
                    "send the keys again: they were never sent, or forgotten since");
}

static void give_session(struct ccz_helr_server *s, struct cczi_helr_session *session)
{
    if (!session)
        return;
    lock(s);
    session->refs--;
    unlock(s);
}

/* With the lock held: forgets the least recently used sessions until there is room for @p len more of @p size
 * bytes; those in use stay, so that there may be more for a while. */
static void make_room(struct ccz_helr_server *s, size_t len, size_t size)
{
    while (s->sessions_len + len > s->sessions_max ||
           s->sessions_size + size > s->sessions_size_max) {
        struct cczi_helr_session **oldest = NULL;
        for (struct cczi_helr_session **p = &s->sessions; *p; p = &(*p)->next)
            if ((*p)->refs == 0 && (!oldest || (*p)->used < (*oldest)->used))
                oldest = p;
        if (!oldest)
            return;
        struct cczi_helr_session *gone = *oldest;
        *oldest = gone->next;
        s->sessions_len--;
        s->sessions_size -= gone->keys_size + gone->model_size;
        cczi_helr_session_free(gone);
    }
}

/* Before anything of that size is made. */
static ccz_rc check_size(const struct ccz_helr_server *s, size_t size, struct ccz_err *err)
{
    if (size <= s->sessions_size_max)
        return CCZ_OK;
    return ccz_refuse_num(err, CCZ_E_LIMIT, "helr:sessions-size", (int64_t)size,
                          (int64_t)s->sessions_size_max);
}

static void put_ready(struct ccz_buf *reply, const uint8_t id[CCZ_HELR_SESSION_SIZE])
{
    cczi_helr_put_head(reply, CCZI_HELR_READY);
    ccz_buf_put(reply, id, CCZ_HELR_SESSION_SIZE);
}

ccz_rc ccz_helr_server_keys(struct ccz_buf *reply, struct ccz_helr_server *s, struct ccz_span keys,
                            struct ccz_err *err)
{
    uint8_t id[CCZ_HELR_SESSION_SIZE];
    struct ccz_rd r;
    ccz_rc rc = cczi_helr_get_head(&r, keys, CCZI_HELR_KEYS, CCZ_HELR_KEYS_SIZE_MAX, err);
    if (rc == CCZ_OK)
        rc = cczi_helr_session_id(id, keys, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_helr_session *known = NULL, *fresh = NULL;
    if (take_session(&known, s, id, NULL) == CCZ_OK) {
        give_session(s, known);
        put_ready(reply, id);
        return CCZ_OK;
    }
    struct cczi_helr_work *w = NULL;
    rc = check_size(s, KEYS_FACTOR * keys.size, err);
    if (rc == CCZ_OK)
        rc = take_work(&w, s, err);
    if (rc == CCZ_OK)
        rc = cczi_helr_session_read(&fresh, w->eval, keys,
                                    s->model ? s->model->features_len : CCZ_HELR_FEATURES_MAX, err);
    give_work(s, w);
    if (rc != CCZ_OK)
        return rc;
    lock(s);
    if (!*find(s, id)) { /* nobody sent the same keys meanwhile */
        fresh->keys_size = KEYS_FACTOR * keys.size;
        make_room(s, 1, fresh->keys_size);
        s->sessions_size += fresh->keys_size;
        fresh->used = ++s->clock;
        fresh->next = s->sessions;
        s->sessions = fresh;
        s->sessions_len++;
        fresh = NULL;
    }
    unlock(s);
    cczi_helr_session_free(fresh);
    put_ready(reply, id);
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- ciphertexts */

/* Ciphertext @p i of a message: whole, under the session's key, fresh. */
static ccz_rc read_ct(struct ccz_ckks_ct *ct, struct cczi_helr_work *w,
                      const struct cczi_helr_rows *h, size_t i,
                      const struct cczi_helr_session *session, const struct ccz_helr_server *s,
                      struct ccz_err *err)
{
    ccz_rc rc = ccz_ckks_ct_read(ct, w->eval, ccz_span_sub(h->body, i * h->ct_size, h->ct_size),
                                 session->key_id, err);
    if (rc != CCZ_OK)
        return rc;
    if (ct->ct.parts != 2 || ct->ct.limbs != s->ring.data_len)
        return ccz_refuse_num(err, CCZ_E_ARG, "helr:level", (int64_t)ct->ct.limbs,
                              (int64_t)s->ring.data_len);
    if (ct->scale != s->scale) {
        char got[32], want[32];
        (void)snprintf(got, sizeof(got), "%.10g", ct->scale);
        (void)snprintf(want, sizeof(want), "%.10g", s->scale);
        return ccz_refuse(err, CCZ_E_ARG, "helr:scale", got, want);
    }
    return CCZ_OK;
}

/* The layout that a message names, if the session's keys serve it. */
static ccz_rc check_layout(struct ccz_helr_layout *l, const struct ccz_helr_server *s,
                           const struct cczi_helr_session *session, size_t per_ct, size_t features,
                           size_t cts, struct ccz_err *err)
{
    if (per_ct == 0 || (per_ct & (per_ct - 1)) != 0 || per_ct > session->per_ct_max)
        return ccz_hint(err,
                        ccz_refuse_num(err, CCZ_E_ARG, "helr:layout", (int64_t)per_ct,
                                       (int64_t)session->per_ct_max),
                        "a power of two, up to what the session's keys allow");
    *l = cczi_helr_layout_of(s->n, features, per_ct);
    if (cts != l->cts)
        return ccz_refuse_num(err, CCZ_E_ARG, "helr:layout", (int64_t)cts, (int64_t)l->cts);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------- encrypted model */

static ccz_rc read_model(struct cczi_helr_model *m, struct ccz_helr_server *s,
                         struct cczi_helr_work *w, const struct cczi_helr_rows *h,
                         const struct cczi_helr_session *session, struct ccz_err *err)
{
    if (h->rows == 0 || h->rows > CCZ_HELR_FEATURES_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "helr:features", h->rows, CCZ_HELR_FEATURES_MAX);
    ccz_rc rc = check_layout(&m->layout, s, session, h->per_ct, h->rows, h->cts - 1, err);
    if (rc != CCZ_OK)
        return rc;
    if (!(h->radius >= 1 && h->radius <= CCZI_HELR_RADIUS_MAX))
        return ccz_fail(err, CCZ_E_ARG, "helr:radius", 0, "a number from 1 to 32 is needed");
    cczi_helr_fold(&m->poly, s->poly.degree, h->radius);
    m->features = h->rows;
    m->w = calloc(m->layout.cts, sizeof(struct ccz_ckks_ct *));
    if (!m->w)
        return no_memory(err);
    for (size_t i = 0; i < m->layout.cts && rc == CCZ_OK; i++) {
        rc = ccz_ckks_ct_new(&m->w[i], s->ckks, err);
        if (rc == CCZ_OK)
            rc = read_ct(m->w[i], w, h, i, session, s, err);
    }
    if (rc == CCZ_OK)
        rc = ccz_ckks_ct_new(&m->bias, s->ckks, err);
    if (rc == CCZ_OK)
        rc = read_ct(m->bias, w, h, m->layout.cts, session, s, err);
    /* to the scale of a product, where it is added */
    return rc == CCZ_OK ? ccz_ckks_mul_scalar(m->bias, w->eval, m->bias, 1.0, s->scale, err) : rc;
}

ccz_rc ccz_helr_server_model(struct ccz_buf *reply, struct ccz_helr_server *s,
                             struct ccz_span model, struct ccz_err *err)
{
    struct cczi_helr_rows h;
    ccz_rc rc = cczi_helr_get_rows(&h, model, CCZI_HELR_MODEL, CCZ_HELR_REQUEST_SIZE_MAX,
                                   "helr:model-message", err);
    if (rc != CCZ_OK)
        return rc;
    if (s->model)
        return ccz_fail(err, CCZ_E_DENIED, "helr:model-own", 0, "this server has a model");
    struct cczi_helr_session *session = NULL;
    struct cczi_helr_work *w = NULL;
    struct cczi_helr_model *m = calloc(1, sizeof(*m));
    rc = m ? take_session(&session, s, h.session, err) : no_memory(err);
    if (rc == CCZ_OK)
        rc = check_size(s, session->keys_size + MODEL_FACTOR * model.size, err);
    if (rc == CCZ_OK)
        rc = take_work(&w, s, err);
    if (rc == CCZ_OK)
        rc = read_model(m, s, w, &h, session, err);
    give_work(s, w);
    if (rc == CCZ_OK) {
        lock(s);
        if (session->refs == 1) {
            struct cczi_helr_model *old = session->model;
            session->model = m;
            m = old;
            s->sessions_size -= session->model_size;
            session->model_size = MODEL_FACTOR * model.size;
            s->sessions_size += session->model_size;
            make_room(s, 0, 0);
        } else { /* a request of this session is being computed with the old one */
            rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "helr:model-in-use", 0,
                          "requests of this session are being computed");
        }
        unlock(s);
    }
    give_session(s, session);
    cczi_helr_model_free(m);
    if (rc == CCZ_OK)
        put_ready(reply, h.session);
    return rc;
}

/* --------------------------------------------------------------------------------------- scoring */

static ccz_rc make_weights(struct weights *out, struct ccz_helr_server *s, struct ccz_ckks_eval *e,
                           const struct ccz_helr_layout *l, struct ccz_err *err)
{
    struct weights made = {.pt = calloc(l->cts, sizeof(struct ccz_ckks_pt *)), .len = l->cts};
    struct ccz_complex *slots = malloc(s->n / 2 * sizeof(*slots));
    ccz_rc rc = made.pt && slots ? CCZ_OK : no_memory(err);
    for (size_t i = 0; i < l->cts && rc == CCZ_OK; i++) {
        bool any = false;
        for (size_t f = i * l->per_ct; f < (i + 1) * l->per_ct && f < s->model->features_len; f++)
            any = any || s->w[f] != 0;
        if (!any)
            continue;
        cczi_helr_pack_weights(slots, s->n, l, i, s->w, s->model->features_len);
        rc = ccz_ckks_pt_new(&made.pt[i], s->ckks, err);
        if (rc == CCZ_OK)
            rc = ccz_ckks_encode_complex(made.pt[i], e, slots, s->n / 2, s->scale, s->ring.data_len,
                                         err);
    }
    if (slots)
        ccz_wipe(slots, s->n / 2 * sizeof(*slots));
    free(slots);
    if (rc == CCZ_OK)
        *out = made;
    else
        free_weights(&made);
    return rc;
}

/* Made at the first request of a layout, then read-only. */
static ccz_rc get_weights(const struct weights **out, struct ccz_helr_server *s,
                          struct ccz_ckks_eval *e, const struct ccz_helr_layout *l,
                          struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    struct weights *w = &s->weights[l->switches];
    lock(s);
    if (!w->pt)
        rc = make_weights(w, s, e, l, err);
    unlock(s);
    *out = w;
    return rc;
}

/* Products of up to CCZI_HELR_CHUNK ciphertexts, those from @p first on, which are in w->in. @p any: out was written,
 * as some had a weight. */
static ccz_rc dot(struct ccz_ckks_ct *out, bool *any, struct ccz_helr_server *s,
                  struct cczi_helr_work *w, const struct cczi_helr_model *m,
                  const struct weights *weights, size_t first, size_t len, struct ccz_err *err)
{
    const struct ccz_ckks_ct *ct[CCZI_HELR_CHUNK];
    const struct ccz_ckks_pt *pt[CCZI_HELR_CHUNK];
    double v[CCZI_HELR_CHUNK];
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        bool skip = !m && (weights ? !weights->pt[first + i] : s->w[first + i] == 0);
        if (skip)
            continue;
        ct[used] = w->in[i];
        pt[used] = weights ? weights->pt[first + i] : NULL;
        v[used] = m || weights ? 0 : s->w[first + i];
        used++;
    }
    *any = used > 0;
    if (used == 0)
        return CCZ_OK;
    if (m)
        return ccz_ckks_dot(out, w->eval, ct, (const struct ccz_ckks_ct *const *)m->w + first, used,
                            err);
    return weights ? ccz_ckks_dot_plain(out, w->eval, ct, pt, used, err)
                   : ccz_ckks_dot_scalar(out, w->eval, ct, v, used, s->scale, err);
}

/* w->sum = the sum over all ciphertexts of the request, read a few at a time. */
static ccz_rc weigh(struct ccz_helr_server *s, struct cczi_helr_work *w,
                    const struct cczi_helr_rows *h, const struct cczi_helr_session *session,
                    const struct ccz_helr_layout *l, struct ccz_err *err)
{
    const struct weights *weights = NULL;
    ccz_rc rc = CCZ_OK;
    if (s->model && l->per_ct > 1)
        rc = get_weights(&weights, s, w->eval, l, err);
    bool begun = false, any = false;
    for (size_t first = 0; first < l->cts && rc == CCZ_OK; first += CCZI_HELR_CHUNK) {
        size_t len = l->cts - first < CCZI_HELR_CHUNK ? l->cts - first : CCZI_HELR_CHUNK;
        for (size_t i = 0; i < len && rc == CCZ_OK; i++)
            rc = read_ct(w->in[i], w, h, first + i, session, s, err);
        struct ccz_ckks_ct *part = begun ? w->tmp[0] : w->sum;
        if (rc == CCZ_OK)
            rc = dot(part, &any, s, w, s->model ? NULL : session->model, weights, first, len, err);
        if (rc == CCZ_OK && any && begun)
            rc = ccz_ckks_add(w->sum, w->eval, w->sum, part, err);
        begun = begun || any;
    }
    return rc;
}

static ccz_rc compute(struct ccz_ckks_ct **out, struct ccz_helr_server *s, struct cczi_helr_work *w,
                      const struct cczi_helr_rows *h, const struct cczi_helr_session *session,
                      struct ccz_err *err)
{
    struct ccz_helr_layout l;
    const struct cczi_helr_model *m = s->model ? NULL : session->model;
    if (!s->model && !m)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "helr:model-missing", 0,
                        "the session has no model yet");
    ccz_rc rc = check_layout(&l, s, session, h->per_ct, m ? m->features : s->model->features_len,
                             h->cts, err);
    if (rc == CCZ_OK && m && m->layout.per_ct != l.per_ct)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "helr:layout", h->per_ct, (int64_t)m->layout.per_ct);
    if (rc == CCZ_OK && (h->rows == 0 || h->rows > l.rows_max))
        rc = ccz_refuse_num(err, CCZ_E_ARG, "helr:rows", h->rows, (int64_t)l.rows_max);
    if (rc == CCZ_OK)
        rc = weigh(s, w, h, session, &l, err);
    if (rc == CCZ_OK && m)
        rc = ccz_ckks_relin(w->sum, w->eval, w->sum, session->relin, err);
    if (rc == CCZ_OK)
        rc = cczi_helr_sum_up(w, &l, session->galois, m ? m->bias : NULL, err);
    if (rc == CCZ_OK && !m)
        rc = ccz_ckks_add_scalar(w->sum, w->eval, w->sum, s->bias, err);
    return rc == CCZ_OK ? cczi_helr_sigmoid(out, w, m ? &m->poly : &s->poly, session->relin, err)
                        : rc;
}

ccz_rc ccz_helr_server_score(struct ccz_buf *reply, struct ccz_helr_server *s,
                             struct ccz_span request, struct ccz_err *err)
{
    struct cczi_helr_rows h;
    ccz_rc rc = cczi_helr_get_rows(&h, request, CCZI_HELR_REQUEST, CCZ_HELR_REQUEST_SIZE_MAX,
                                   "helr:request", err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_helr_session *session = NULL;
    struct cczi_helr_work *w = NULL;
    struct ccz_ckks_ct *score = NULL;
    rc = take_session(&session, s, h.session, err);
    if (rc == CCZ_OK)
        rc = take_work(&w, s, err);
    if (rc == CCZ_OK)
        rc = compute(&score, s, w, &h, session, err);
    if (rc == CCZ_OK) {
        h.cts = 1;
        h.ct_size = (uint32_t)ccz_ckks_ct_size(score);
        cczi_helr_put_rows(reply, CCZI_HELR_REPLY, &h);
        rc = ccz_ckks_ct_write(reply, score, err);
    }
    give_work(s, w);
    give_session(s, session);
    if (rc == CCZ_OK && reply->bad)
        rc = ccz_fail(err, CCZ_E_LIMIT, "helr:buffer", (int64_t)reply->max_size, "no room");
    return rc;
}

ccz_rc ccz_helr_server_call(struct ccz_buf *reply, struct ccz_helr_server *s, const char *method,
                            struct ccz_span msg, struct ccz_err *err)
{
    if (strcmp(method, "Score") == 0)
        return ccz_helr_server_score(reply, s, msg, err);
    if (strcmp(method, "Keys") == 0)
        return ccz_helr_server_keys(reply, s, msg, err);
    if (strcmp(method, "Model") == 0)
        return ccz_helr_server_model(reply, s, msg, err);
    if (strcmp(method, "Info") != 0)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "helr:method", 0, "no such method");
    ccz_helr_server_info(reply, s);
    return CCZ_OK;
}
