/* SPDX-License-Identifier: Apache-2.0 */
/* The cache: who may fetch, what is due, what is known about it. */
#define _GNU_SOURCE
#include "pcs/pcs_priv.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>
#include <cczoo/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REUSE_MAX_S = 86400, AGAIN_MIN_S = 60, SOURCE_SIZE_MAX = 65536, TELL_S = 3600 };

/* ------------------------------------------------------------------------------ life cycle */

/* Base without trailing slashes and without the path that QCNL configurations have. */
static ccz_rc set_base(struct ccz_pcs_store *s, const struct ccz_pcs_store_cfg *cfg,
                       struct ccz_err *err)
{
    static const char *const tails[] = {"/sgx/certification/v4", "/tdx/certification/v4"};
    const char *base = cfg->intel_url ? cfg->intel_url : CCZ_PCS_INTEL_URL;
    size_t size = strlen(base);
    while (size > 0 && base[size - 1] == '/')
        size--;
    for (int i = 0; i < 2; i++) {
        size_t tail = strlen(tails[i]);
        if (size > tail && memcmp(base + size - tail, tails[i], tail) == 0)
            size -= tail;
    }
    if (strncmp(base, "http", 4) != 0 || size > CCZI_PCS_URL_SIZE / 2 ||
        memmem(base, size, "/certification/", 15)) {
        ccz_rc rc = ccz_fail(err, CCZ_E_ARG, "pcs:url", 0, "\"%.100s\" is no PCS or PCCS", base);
        return ccz_hint(err, rc,
                        "like https://pccs:8081 or https://pccs:8081/sgx/certification/v4/");
    }
    s->base = strndup(base, size);
    s->amd = strdup(cfg->amd_url ? cfg->amd_url : CCZ_PCS_AMD_URL);
    size = s->amd ? strlen(s->amd) : 0;
    while (size > 0 && s->amd[size - 1] == '/')
        s->amd[--size] = 0;
    if (cfg->root_crl_url)
        s->root_crl_url = strdup(cfg->root_crl_url);
    else if (s->base && strcmp(s->base, CCZ_PCS_INTEL_URL) == 0)
        s->root_crl_url = strdup(CCZ_PCS_INTEL_ROOT_CRL_URL);
    else if (asprintf(&s->root_crl_url, "%s/sgx/certification/v4/rootcacrl",
                      s->base ? s->base : "") < 0)
        s->root_crl_url = NULL;
    if (!s->base || !s->amd || !s->root_crl_url)
        return ccz_fail(err, CCZ_E_NOMEM, "pcs:memory", 0, "out of memory");
    return CCZ_OK;
}

static ccz_rc check_cfg(const struct ccz_pcs_store_cfg *cfg, struct ccz_err *err)
{
    if (!cfg->dir || !cfg->roots || !cfg->clock.now_s)
        return ccz_fail(err, CCZ_E_ARG, "pcs:config", 0, "directory, roots or clock are missing");
    if (cfg->reuse_max_s < 0 || cfg->wait_max_s < 0 || (cfg->wait_max_s && !cfg->sleep_ms))
        return ccz_fail(err, CCZ_E_ARG, "pcs:config", 0,
                        "a negative time, or waiting without sleep");
    return CCZ_OK;
}

ccz_rc ccz_pcs_store_new(struct ccz_pcs_store **out, const struct ccz_pcs_store_cfg *cfg,
                         struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_pcs_store *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "pcs:memory", 0, "out of memory");
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->idle, NULL);
    s->flight_fd = -1;
    s->roots = *cfg->roots;
    if (cfg->snp_roots)
        s->snp_roots = *cfg->snp_roots;
    s->update = cfg->update;
    s->eval_number = cfg->tcb_eval_number;
    s->fetch_pck = cfg->fetch_pck;
    s->reuse_max_s = cfg->reuse_max_s ? cfg->reuse_max_s : REUSE_MAX_S;
    s->up.getter = cfg->getter;
    s->up.clock = cfg->clock;
    s->up.wait_max_s = cfg->wait_max_s;
    s->up.sleep_ms = cfg->sleep_ms;
    s->up.sleep_arg = cfg->sleep_arg;
    s->up.random = cfg->random ? cfg->random : ccz_random;
    s->up.lock = &s->lock;
    s->dir = strdup(cfg->dir);
    s->sources = calloc(CCZ_PCS_LEN_MAX, sizeof(*s->sources));
    rc = s->dir && s->sources ? set_base(s, cfg, err)
                              : ccz_fail(err, CCZ_E_NOMEM, "pcs:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = ccz_dir_make(s->dir, 0755, err);
    if (rc == CCZ_OK)
        rc = cczi_store_load(s, err);
    if (rc == CCZ_OK)
        *out = s;
    else
        ccz_pcs_store_free(s);
    return rc;
}

void ccz_pcs_store_free(struct ccz_pcs_store *s)
{
    if (!s)
        return;
    ccz_pcs_free(s->set);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->idle);
    free(s->dir);
    free(s->base);
    free(s->amd);
    free(s->root_crl_url);
    free(s->sources);
    free(s);
}

/* --------------------------------------------------------------------------------- loading */

/* source.json says nothing that is trusted: only when to ask again. */
static void load_source(struct cczi_source *out, const char *dir, const char *name)
{
    char bundle[CCZI_PCS_PATH_SIZE], path[CCZI_PCS_PATH_SIZE];
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) json = NULL;
    *out = (struct cczi_source){0};
    (void)snprintf(out->name, sizeof(out->name), "%s", name);
    ccz_buf_init(&text, SOURCE_SIZE_MAX);
    if (cczi_path(bundle, dir, name, NULL) != CCZ_OK ||
        cczi_path(path, bundle, CCZI_SOURCE_FILE, NULL) != CCZ_OK ||
        ccz_file_read(&text, path, NULL) != CCZ_OK ||
        ccz_json_parse(&json, ccz_buf_span(&text), NULL) != CCZ_OK)
        return;
    const char *from = ccz_json_str(ccz_json_get(json, "from")), *key = NULL;
    const char *update = ccz_json_str(ccz_json_get(json, "update"));
    (void)snprintf(out->from, sizeof(out->from), "%s", from ? from : "");
    (void)snprintf(out->update, sizeof(out->update), "%s", update ? update : "");
    const struct ccz_json *parts = ccz_json_get(json, "parts"), *part;
    out->fetched_s = out->refresh_s = INT64_MAX;
    while ((part = ccz_json_next(&key, parts)) != NULL) {
        int64_t fetched_s = 0, refresh_s = 0;
        struct ccz_span f = ccz_json_bytes(ccz_json_get(part, "fetched"));
        struct ccz_span r = ccz_json_bytes(ccz_json_get(part, "refresh"));
        if (ccz_time_parse(&fetched_s, (const char *)f.ptr, f.size) != CCZ_OK ||
            ccz_time_parse(&refresh_s, (const char *)r.ptr, r.size) != CCZ_OK)
            fetched_s = refresh_s = 0; /* unknown is due */
        out->fetched_s = fetched_s < out->fetched_s ? fetched_s : out->fetched_s;
        out->refresh_s = refresh_s < out->refresh_s ? refresh_s : out->refresh_s;
    }
    if (out->fetched_s == INT64_MAX)
        out->fetched_s = out->refresh_s = 0;
}

ccz_rc cczi_store_load(struct ccz_pcs_store *s, struct ccz_err *err)
{
    struct ccz_pcs *set = NULL;
    struct ccz_err why = {0};
    ccz_rc rc = ccz_pcs_load(&set, s->dir, &s->roots, &why);
    if (rc == CCZ_E_NOT_FOUND && strcmp(why.where, "pcs:empty") == 0)
        rc = CCZ_OK;
    if (rc != CCZ_OK) {
        if (err)
            *err = why;
        return rc;
    }
    ccz_pcs_free(s->set);
    s->set = set;
    s->sources_len = ccz_pcs_len(set);
    for (size_t i = 0; i < s->sources_len; i++)
        load_source(&s->sources[i], s->dir, ccz_pcs_at(set, i).name);
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- failures */

/* The place for @p what: its own, or the oldest. */
static struct cczi_failure *failure_of(struct ccz_pcs_store *s, const char *what)
{
    struct cczi_failure *f = &s->failures[0];
    for (int i = 0; i < CCZI_FAILURES; i++) {
        if (strcmp(s->failures[i].what, what) == 0)
            return &s->failures[i];
        if (s->failures[i].at_s < f->at_s)
            f = &s->failures[i];
    }
    *f = (struct cczi_failure){0};
    (void)snprintf(f->what, sizeof(f->what), "%s", what);
    return f;
}

/* Logged once an hour, or if it is another one: peers that come again must not fill the log. */
void cczi_store_failed(struct ccz_pcs_store *s, const char *what, const struct ccz_err *err)
{
    int64_t now_s = ccz_clock_now_s(s->up.clock);
    struct cczi_failure *f = failure_of(s, what);
    bool only_later = f->where[0] && strcmp(err->where, "pcs:back-off") == 0;
    bool news = !only_later && (strcmp(f->where, err->where) != 0 || now_s - f->told_s >= TELL_S);
    f->at_s = now_s;
    if (!only_later) {
        (void)snprintf(f->where, sizeof(f->where), "%s", err->where);
        (void)snprintf(f->msg, sizeof(f->msg), "%s", err->msg);
    }
    if (!news)
        return;
    char clean[CCZ_ERR_MSG_SIZE];
    f->told_s = now_s;
    ccz_escape(clean, sizeof(clean), ccz_span_str(err->msg));
    ccz_log(CCZ_LOG_WARN, "pcs", "fetch=%s where=%s %s%s%s", what, err->where, clean,
            err->hint[0] ? " hint: " : "", err->hint);
}

void cczi_store_worked(struct ccz_pcs_store *s, const char *what)
{
    for (int i = 0; i < CCZI_FAILURES; i++)
        if (strcmp(s->failures[i].what, what) == 0)
            s->failures[i] = (struct cczi_failure){0};
}

void cczi_store_withdraw(struct ccz_pcs_store *s, const char *name, struct ccz_err *why)
{
    struct ccz_err failed = {0};
    ccz_rc rc = cczi_dir_withdraw(s->dir, name, &failed);
    if (rc == CCZ_OK)
        rc = cczi_store_load(s, &failed);
    s->changes++;
    if (rc == CCZ_OK) {
        ccz_hint(why, why->rc, "what was stored is signed by it, too, and was taken out of use");
        return;
    }
    ccz_log(CCZ_LOG_ERROR, "pcs", "where=%s name=%s msg=%s", failed.where, name, failed.msg);
    ccz_hint(why, why->rc, "remove the stored bundle: it is signed by it, too");
}

/* --------------------------------------------------------------------------------- flights */

/* Takes off, or comes to share the end of a flight for the same thing that somebody else was on: then *shared. Who
 * wakes up too late for that takes off, and finds the work done or the gate shut. */
static ccz_rc take_off(bool *shared, struct ccz_pcs_store *s, const char *what, struct ccz_err *err)
{
    *shared = false;
    while (s->busy) {
        uint64_t with = strcmp(s->what, what) == 0 ? s->flight : 0;
        pthread_cond_wait(&s->idle, &s->lock);
        if (s->busy || s->flight != with)
            continue;
        *shared = true;
        *err = s->err;
        return s->rc;
    }
    s->busy = true;
    s->flight++;
    (void)snprintf(s->what, sizeof(s->what), "%s", what);
    pthread_mutex_unlock(&s->lock);
    int fd;
    ccz_rc rc = cczi_lock_fetch(&fd, s->dir, err);
    pthread_mutex_lock(&s->lock);
    s->flight_fd = fd;
    if (rc == CCZ_OK) {
        cczi_dir_recover(s->dir);
        rc = cczi_store_load(s, err); /* another process may have done the work */
    }
    return rc;
}

static void land(struct ccz_pcs_store *s, ccz_rc rc, const struct ccz_err *why)
{
    if (s->flight_fd >= 0)
        close(s->flight_fd);
    s->flight_fd = -1;
    s->rc = rc;
    s->err = *why;
    s->busy = false;
    pthread_cond_broadcast(&s->idle);
}

/* One piece of work that changes the directory. */
struct work {
    const struct ccz_pcs_want *want;
    struct cczi_pck_files *pck;
    const struct ccz_pcs_want_amd *amd;
};

static ccz_rc do_work(struct ccz_pcs_store *s, const struct work *w, struct ccz_err *err)
{
    struct ccz_pcs_want found;
    if (w->amd)
        return cczi_amd_fetch(s, w->amd, err);
    if (!w->pck)
        return cczi_intel_fetch(s, w->want, NULL, err);
    ccz_rc rc = cczi_pck_fetch(&found, w->pck, s, err);
    return rc == CCZ_OK ? cczi_intel_fetch(s, &found, w->pck, err) : rc;
}

static ccz_rc fly(struct ccz_pcs_store *s, const char *what, const struct work *w,
                  struct ccz_err *err)
{
    bool shared;
    struct ccz_err why = {0};
    ccz_rc rc = take_off(&shared, s, what, &why);
    if (!shared) {
        if (rc == CCZ_OK)
            rc = do_work(s, w, &why);
        land(s, rc, &why);
    }
    if (rc != CCZ_OK && err)
        *err = why;
    return rc;
}

/* ------------------------------------------------------------------------------- interface */

static bool is_for(const struct ccz_collateral *c, const struct ccz_pcs_want *want)
{
    const struct ccz_pcs_want is = cczi_want_of(c);
    return is.tee == want->tee && memcmp(is.fmspc, want->fmspc, sizeof(is.fmspc)) == 0 &&
           is.ca == want->ca;
}

bool cczi_store_rests(const struct ccz_pcs_store *s, int64_t refresh_s, int64_t now_s)
{
    enum { SLACK_S = 60 };
    return refresh_s > now_s && refresh_s - now_s <= s->reuse_max_s + SLACK_S;
}

/* Nothing to do for this platform now. */
static bool is_fresh(const struct ccz_pcs_store *s, const struct ccz_pcs_want *want)
{
    int64_t now_s = ccz_clock_now_s(s->up.clock);
    for (size_t i = 0; i < ccz_pcs_len(s->set); i++) {
        const struct ccz_collateral *c = ccz_pcs_at(s->set, i).collateral;
        if (is_for(c, want))
            return ccz_collateral_expires(c) >= now_s &&
                   (!s->up.getter.get || cczi_store_rests(s, s->sources[i].refresh_s, now_s));
    }
    return false;
}

ccz_rc ccz_pcs_store_fetch(struct ccz_pcs_store *s, const struct ccz_pcs_want *want,
                           struct ccz_err *err)
{
    char name[CCZ_PCS_NAME_MAX + 1];
    ccz_rc rc = cczi_want_name(name, want, err);
    if (rc != CCZ_OK)
        return rc;
    const struct work w = {.want = want};
    pthread_mutex_lock(&s->lock);
    if (!is_fresh(s, want))
        rc = fly(s, name, &w, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static ccz_rc fetch_pck(struct ccz_pcs_store *s, const struct ccz_quote *q, struct ccz_err *err)
{
    uint8_t id[32];
    char name[CCZ_PCS_NAME_MAX + 1] = "pck-";
    const struct ccz_span parts[] = {q->header, q->cert_data};
    struct cczi_pck_files pck = {.quote = q};
    const struct work w = {.pck = &pck};
    ccz_rc rc = ccz_hash(id, CCZ_SHA256, parts, 2);
    if (rc != CCZ_OK)
        return rc;
    ccz_hex(name + 4, id, sizeof(id));
    ccz_buf_init(&pck.leaf, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&pck.chain, CCZ_PCS_HEADERS_SIZE_MAX);
    pthread_mutex_lock(&s->lock);
    rc = fly(s, name, &w, err);
    pthread_mutex_unlock(&s->lock);
    ccz_buf_free(&pck.leaf);
    ccz_buf_free(&pck.chain);
    return rc;
}

ccz_rc ccz_pcs_store_fetch_quote(void *store, struct ccz_span quote, struct ccz_err *err)
{
    struct ccz_pcs_store *s = store;
    struct ccz_pcs_want want;
    struct ccz_quote q;
    ccz_rc rc = ccz_quote_parse(&q, quote, err);
    if (rc == CCZ_OK && s->fetch_pck && (q.cert_type == 2 || q.cert_type == 3))
        return fetch_pck(s, &q, err);
    if (rc == CCZ_OK)
        rc = ccz_pcs_want_quote(&want, quote, &s->roots, err);
    return rc == CCZ_OK ? ccz_pcs_store_fetch(s, &want, err) : rc;
}

ccz_rc ccz_pcs_store_fetch_amd(struct ccz_pcs_store *s, const struct ccz_pcs_want_amd *want,
                               struct ccz_err *err)
{
    char what[256], chip[129] = "", tcb[17] = "";
    if (!want->vlek && !want->chain_only) {
        ccz_hex(chip, want->chip_id, sizeof(want->chip_id));
        ccz_hex(tcb, want->tcb, sizeof(want->tcb));
    }
    (void)snprintf(what, sizeof(what), "snp-%.16s-%s-%s-%s", want->product ? want->product : "",
                   want->vlek ? "vlek" : "vcek", chip, tcb);
    const struct work w = {.amd = want};
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = cczi_amd_may_ask(s, want, err); /* a stranger's idea: refused at little cost */
    if (rc == CCZ_OK)
        rc = fly(s, what, &w, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

ccz_rc ccz_pcs_store_fetch_evidence(void *store, struct ccz_span evidence, struct ccz_err *err)
{
    struct ccz_pcs_want_amd want;
    if (!ccz_snp_is_report(evidence))
        return ccz_pcs_store_fetch_quote(store, evidence, err);
    ccz_rc rc = ccz_pcs_want_report(&want, evidence, err);
    return rc == CCZ_OK ? ccz_pcs_store_fetch_amd(store, &want, err) : rc;
}

/* When the next bundle is due; failing ones are tried again after a minute, if their gate lets them. */
static int64_t next_due(const struct ccz_pcs_store *s, int64_t now_s)
{
    int64_t next_s = now_s + s->reuse_max_s;
    for (size_t i = 0; i < s->sources_len; i++)
        next_s = s->sources[i].refresh_s < next_s ? s->sources[i].refresh_s : next_s;
    return next_s < now_s + AGAIN_MIN_S ? now_s + AGAIN_MIN_S : next_s;
}

/* Keeps the first failure. */
static void note(ccz_rc *first, struct ccz_err *err, ccz_rc rc, const struct ccz_err *why)
{
    if (rc == CCZ_OK || *first != CCZ_OK)
        return;
    *first = rc;
    if (err)
        *err = *why;
}

static void refresh_amd(struct ccz_pcs_store *s, ccz_rc *first, struct ccz_err *err)
{
    struct ccz_pcs_want_amd wants[6];
    size_t len = s->up.getter.get ? cczi_amd_list(wants, 6, s->dir) : 0;
    for (size_t i = 0; i < len; i++) {
        struct ccz_err why = {0};
        char what[CCZ_PCS_NAME_MAX + 1];
        const struct work w = {.amd = &wants[i]};
        (void)snprintf(what, sizeof(what), "snp-%s-%s", wants[i].product,
                       wants[i].vlek ? "vlek" : "vcek");
        pthread_mutex_lock(&s->lock);
        ccz_rc rc = fly(s, what, &w, &why);
        pthread_mutex_unlock(&s->lock);
        note(first, err, rc, &why);
    }
}

ccz_rc ccz_pcs_store_refresh(struct ccz_pcs_store *s, int64_t *next_s, struct ccz_err *err)
{
    struct ccz_pcs_want wants[CCZ_PCS_LEN_MAX];
    ccz_rc first = CCZ_OK;
    pthread_mutex_lock(&s->lock);
    size_t len = ccz_pcs_len(s->set);
    for (size_t i = 0; i < len; i++)
        wants[i] = cczi_want_of(ccz_pcs_at(s->set, i).collateral);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < len; i++) {
        struct ccz_err why = {0};
        ccz_rc rc = ccz_pcs_store_fetch(s, &wants[i], &why);
        note(&first, err, rc, &why);
    }
    refresh_amd(s, &first, err);
    pthread_mutex_lock(&s->lock);
    *next_s = next_due(s, ccz_clock_now_s(s->up.clock));
    pthread_mutex_unlock(&s->lock);
    return first;
}

uint64_t ccz_pcs_store_changes(struct ccz_pcs_store *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t changes = s->changes;
    pthread_mutex_unlock(&s->lock);
    return changes;
}

/* ---------------------------------------------------------------------------------- report */

static void put_text(struct ccz_buf *out, const char *key, const char *text)
{
    ccz_buf_printf(out, "\"%s\":", key);
    ccz_json_put_str(out, ccz_span_str(text));
}

static void put_time(struct ccz_buf *out, const char *key, int64_t t_s)
{
    char text[21];
    ccz_time_format(text, t_s);
    put_text(out, key, text);
}

static void put_bundles(struct ccz_buf *out, const struct ccz_pcs_store *s, int64_t now_s)
{
    for (size_t i = 0; i < s->sources_len; i++) {
        const struct cczi_source *src = &s->sources[i];
        struct ccz_pcs_entry e = ccz_pcs_at(s->set, i);
        ccz_buf_put_str(out, i ? "," : "");
        cczi_report_one(out, e.name, e.collateral, now_s);
        if (src->fetched_s == 0)
            continue;
        out->size--; /* members follow instead of the brace */
        ccz_buf_put_str(out, ",");
        put_text(out, "from", src->from);
        ccz_buf_put_str(out, ",");
        put_text(out, "update", src->update);
        ccz_buf_put_str(out, ",");
        put_time(out, "fetched", src->fetched_s);
        ccz_buf_put_str(out, ",");
        put_time(out, "refresh", src->refresh_s);
        ccz_buf_put_str(out, "}");
    }
}

static void put_failures(struct ccz_buf *out, const struct ccz_pcs_store *s)
{
    const char *comma = "";
    for (int i = 0; i < CCZI_FAILURES; i++) {
        const struct cczi_failure *f = &s->failures[i];
        if (f->at_s == 0)
            continue;
        ccz_buf_printf(out, "%s{", comma);
        put_text(out, "what", f->what);
        ccz_buf_put_str(out, ",");
        put_time(out, "at", f->at_s);
        ccz_buf_put_str(out, ",");
        put_text(out, "where", f->where);
        ccz_buf_put_str(out, ",");
        put_text(out, "message", f->msg);
        ccz_buf_put_str(out, "}");
        comma = ",";
    }
}

void ccz_pcs_store_report(struct ccz_buf *out, struct ccz_pcs_store *s)
{
    pthread_mutex_lock(&s->lock);
    int64_t now_s = ccz_clock_now_s(s->up.clock);
    ccz_buf_put_str(out, "{");
    put_text(out, "from", s->base);
    ccz_buf_put_str(out, ",");
    char update[CCZI_UPDATE_SIZE];
    cczi_update_name(update, s);
    put_text(out, "update", update);
    ccz_buf_put_str(out, ",\"bundles\":[");
    put_bundles(out, s, now_s);
    ccz_buf_put_str(out, "],\"amd\":[");
    cczi_amd_report(out, s->dir, now_s);
    ccz_buf_put_str(out, "],\"failures\":[");
    put_failures(out, s);
    ccz_buf_put_str(out, "],\"waiting\":[");
    const char *comma = "";
    for (size_t i = 0; i < CCZI_GATES; i++) {
        const struct cczi_gate *g = &s->up.gates[i];
        if (g->until_s <= now_s)
            continue;
        ccz_buf_printf(out, "%s{", comma);
        put_text(out, "for", g->key);
        ccz_buf_put_str(out, ",");
        put_time(out, "until", g->until_s);
        ccz_buf_put_str(out, "}");
        comma = ",";
    }
    ccz_buf_put_str(out, "]}");
    pthread_mutex_unlock(&s->lock);
}
