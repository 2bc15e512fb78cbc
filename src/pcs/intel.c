/* SPDX-License-Identifier: Apache-2.0 */
/* What one Intel platform needs, from PCS v4 or a PCCS; and the bundle that is made of it. */
#include "pcs/pcs_priv.h"

#include <cczoo/codec.h>
#include <cczoo/x509.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
    HOUR = 3600,
    DAY = 86400,
    MARGIN_MAX_S = 7 * DAY, /* how long before its end a document is due at the latest */
    SPAN_MIN_S = HOUR,      /* a server that lags behind is not asked all the time */
    AGE_MIN_S = 60,
    SOURCE_SIZE_MAX = 65536,
};

static const char *ca_name(enum ccz_pck_ca ca)
{
    return ca == CCZ_PCK_CA_PROCESSOR ? "processor" : "platform";
}

ccz_rc cczi_want_name(char name[CCZ_PCS_NAME_MAX + 1], const struct ccz_pcs_want *want,
                      struct ccz_err *err)
{
    char fmspc[13];
    if ((want->tee != CCZ_TEE_SGX && want->tee != CCZ_TEE_TDX) ||
        (want->ca != CCZ_PCK_CA_PROCESSOR && want->ca != CCZ_PCK_CA_PLATFORM))
        return ccz_fail(err, CCZ_E_ARG, "pcs:want", 0, "no Intel TEE, or no PCK CA");
    ccz_hex(fmspc, want->fmspc, sizeof(want->fmspc));
    (void)snprintf(name, CCZ_PCS_NAME_MAX + 1, "%s-%s-%s", fmspc, ccz_tee_name(want->tee),
                   ca_name(want->ca));
    return CCZ_OK;
}

static ccz_rc want_platform(struct ccz_pcs_want *out, const struct ccz_platform *p,
                            struct ccz_err *err)
{
    if (p->ca == CCZ_PCK_CA_NONE)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "pcs:pck-ca", 0,
                        "the PCK certificate is neither of the Platform nor of the Processor CA");
    *out = (struct ccz_pcs_want){.tee = p->tee, .ca = p->ca};
    memcpy(out->fmspc, p->fmspc, sizeof(out->fmspc));
    return CCZ_OK;
}

ccz_rc ccz_pcs_want_quote(struct ccz_pcs_want *out, struct ccz_span quote,
                          const struct ccz_roots *roots, struct ccz_err *err)
{
    struct ccz_quote q;
    struct ccz_platform platform;
    *out = (struct ccz_pcs_want){0};
    ccz_rc rc = ccz_quote_parse(&q, quote, err);
    if (rc == CCZ_OK)
        rc = ccz_quote_check_origin(&q, roots, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_quote_platform(&platform, &q, err);
    return rc == CCZ_OK ? want_platform(out, &platform, err) : rc;
}

/* ------------------------------------------------------------------------------------ URLs */

static void put_update(char *text, size_t size, const struct ccz_pcs_store *s, char first)
{
    text[0] = 0; /* "standard" is what servers answer unasked */
    if (s->eval_number)
        (void)snprintf(text, size, "%ctcbEvaluationDataNumber=%u", first, s->eval_number);
    else if (s->update == CCZ_PCS_EARLY)
        (void)snprintf(text, size, "%cupdate=early", first);
}

void cczi_update_name(char name[CCZI_UPDATE_SIZE], const struct ccz_pcs_store *s)
{
    if (s->eval_number)
        (void)snprintf(name, CCZI_UPDATE_SIZE, "%u", s->eval_number);
    else
        (void)snprintf(name, CCZI_UPDATE_SIZE, "%s",
                       s->update == CCZ_PCS_EARLY ? "early" : "standard");
}

static ccz_rc make_urls(char url[CCZI_DOCS][CCZI_PCS_URL_SIZE], const struct ccz_pcs_store *s,
                        const struct ccz_pcs_want *want, struct ccz_err *err)
{
    char fmspc[13], update[48];
    const char *tee = ccz_tee_name(want->tee);
    ccz_hex(fmspc, want->fmspc, sizeof(want->fmspc));
    for (int i = 0; fmspc[i]; i++)
        fmspc[i] = (char)toupper((unsigned char)fmspc[i]);
    put_update(update, sizeof(update), s, '&');
    int size = CCZI_PCS_URL_SIZE;
    bool ok = snprintf(url[CCZI_DOC_TCB], (size_t)size, "%s/%s/certification/v4/tcb?fmspc=%s%s",
                       s->base, tee, fmspc, update) < size;
    put_update(update, sizeof(update), s, '?');
    ok &= snprintf(url[CCZI_DOC_QE], (size_t)size, "%s/%s/certification/v4/qe/identity%s", s->base,
                   tee, update) < size;
    ok &= snprintf(url[CCZI_DOC_PCK_CRL], (size_t)size,
                   "%s/sgx/certification/v4/pckcrl?ca=%s&encoding=der", s->base,
                   ca_name(want->ca)) < size;
    ok &= snprintf(url[CCZI_DOC_ROOT_CRL], (size_t)size, "%s", s->root_crl_url) < size;
    return ok ? CCZ_OK : ccz_fail(err, CCZ_E_LIMIT, "pcs:url", 0, "the URL is too long");
}

/* ------------------------------------------------------------------------------- documents */

struct job {
    struct ccz_pcs_store *s;
    const struct ccz_pcs_want *want;
    const struct cczi_pck_files *pck;
    char name[CCZ_PCS_NAME_MAX + 1];
    const struct ccz_collateral *old; /* borrowed from the set; NULL = nothing there */
    struct ccz_buf old_parts[CCZI_PARTS];
    char url[CCZI_DOCS][CCZI_PCS_URL_SIZE];
    struct cczi_document doc[CCZI_DOCS];
    bool fresh[CCZI_DOCS];
};

static int64_t now_of(const struct ccz_pcs_store *s)
{
    return ccz_clock_now_s(s->up.clock);
}

static int64_t json_time(const struct ccz_json *o, const char *key)
{
    int64_t t = 0;
    struct ccz_span v = ccz_json_bytes(ccz_json_get(o, key));
    return ccz_time_parse(&t, (const char *)v.ptr, v.size) == CCZ_OK ? t : 0;
}

/* Takes the document from bundle @p name if it came from the wanted URL and is not due yet. */
static void reuse_from(struct job *j, enum cczi_doc doc, const char *name)
{
    char dir[CCZI_PCS_PATH_SIZE], path[CCZI_PCS_PATH_SIZE];
    const struct ccz_pcs_store *s = j->s;
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) json = NULL;
    ccz_buf_init(&text, SOURCE_SIZE_MAX);
    if (cczi_path(dir, s->dir, name, NULL) != CCZ_OK ||
        cczi_path(path, dir, CCZI_SOURCE_FILE, NULL) != CCZ_OK ||
        ccz_file_read(&text, path, NULL) != CCZ_OK ||
        ccz_json_parse(&json, ccz_buf_span(&text), NULL) != CCZ_OK)
        return;
    const char *file = cczi_part_names[cczi_doc_body(doc)];
    const struct ccz_json *part = ccz_json_get(ccz_json_get(json, "parts"), file);
    const char *url = ccz_json_str(ccz_json_get(part, "url"));
    struct cczi_document d;
    cczi_document_init(&d);
    d.fetched_s = json_time(part, "fetched");
    d.refresh_s = json_time(part, "refresh");
    bool ok = url && strcmp(url, j->url[doc]) == 0 && d.refresh_s > now_of(s) &&
              d.fetched_s <= now_of(s) && d.fetched_s > j->doc[doc].fetched_s;
    ok = ok && cczi_path(path, dir, file, NULL) == CCZ_OK &&
         ccz_file_read(&d.body, path, NULL) == CCZ_OK;
    int chain = cczi_doc_chain(doc);
    if (ok && chain >= 0)
        ok = cczi_path(path, dir, cczi_part_names[chain], NULL) == CCZ_OK &&
             ccz_file_read(&d.chain, path, NULL) == CCZ_OK;
    ok = ok && cczi_document_dates(&d, doc, NULL) == CCZ_OK && d.until_s >= now_of(s);
    if (!ok) {
        cczi_document_free(&d);
        return;
    }
    (void)snprintf(d.url, sizeof(d.url), "%s", j->url[doc]);
    cczi_document_free(&j->doc[doc]);
    j->doc[doc] = d;
}

static int64_t due_s(const struct job *j, const struct cczi_document *d, int64_t max_age_s)
{
    int64_t now_s = now_of(j->s), margin = (d->until_s - d->from_s) / 4;
    margin = margin < MARGIN_MAX_S ? margin : MARGIN_MAX_S;
    int64_t span = d->until_s - margin - now_s;
    span = span > SPAN_MIN_S ? span : SPAN_MIN_S;
    if (max_age_s >= 0 && max_age_s < span)
        span = max_age_s > AGE_MIN_S ? max_age_s : AGE_MIN_S;
    span = span < j->s->reuse_max_s ? span : j->s->reuse_max_s;
    span -= cczi_jitter(&j->s->up, span / 10);
    return now_s + span < d->until_s ? now_s + span : d->until_s;
}

static ccz_rc fetch_doc(struct job *j, enum cczi_doc doc, struct ccz_err *err)
{
    struct cczi_answer a;
    struct cczi_document *d = &j->doc[doc];
    struct ccz_err why = {0};
    cczi_answer_init(&a);
    ccz_rc rc = cczi_upstream_get(&j->s->up, &a, j->url[doc], &why);
    if (rc == CCZ_OK) {
        rc = cczi_document_take(d, doc, &a, &why);
        if (rc != CCZ_OK)
            cczi_upstream_reject(&j->s->up, j->url[doc], &why);
    }
    if (rc == CCZ_OK) {
        (void)snprintf(d->url, sizeof(d->url), "%s", j->url[doc]);
        d->fetched_s = now_of(j->s);
        d->refresh_s = due_s(j, d, cczi_max_age(&a));
        j->fresh[doc] = true;
    } else if (err) {
        *err = why;
    }
    cczi_answer_free(&a);
    return rc;
}

static ccz_rc gather(struct job *j, struct ccz_err *err)
{
    for (int doc = 0; doc < CCZI_DOCS; doc++) {
        for (size_t i = 0; i < ccz_pcs_len(j->s->set); i++)
            reuse_from(j, (enum cczi_doc)doc, ccz_pcs_at(j->s->set, i).name);
        if (j->doc[doc].url[0])
            continue;
        ccz_rc rc = fetch_doc(j, (enum cczi_doc)doc, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- checks */

static ccz_rc check_platform(const struct job *j, const struct ccz_collateral *c,
                             struct ccz_err *err)
{
    const struct ccz_pcs_want is = cczi_want_of(c);
    char got[CCZ_PCS_NAME_MAX + 1], want[CCZ_PCS_NAME_MAX + 1], fmspc[13];
    if (is.tee == j->want->tee && is.ca == j->want->ca &&
        memcmp(is.fmspc, j->want->fmspc, sizeof(is.fmspc)) == 0)
        return CCZ_OK;
    ccz_hex(fmspc, is.fmspc, sizeof(is.fmspc));
    (void)snprintf(got, sizeof(got), "%s-%s-%s", fmspc, ccz_tee_name(is.tee),
                   is.ca == CCZ_PCK_CA_NONE ? "none" : ca_name(is.ca));
    ccz_rc rc = cczi_want_name(want, j->want, err);
    if (rc != CCZ_OK)
        return rc;
    return ccz_refuse(err, CCZ_E_MISMATCH, "pcs:other-platform", got, want);
}

/* A server must not be able to bring back what was replaced. */
static ccz_rc check_newer(const struct job *j, const struct ccz_buf parts[CCZI_PARTS],
                          struct ccz_err *err)
{
    char got[21], want[21];
    int64_t is_s, was_s;
    if (!j->old || !cczi_parts_older(&is_s, &was_s, parts, j->old_parts))
        return CCZ_OK;
    ccz_time_format(got, is_s);
    ccz_time_format(want, was_s);
    ccz_rc rc = ccz_refuse(err, CCZ_E_MISMATCH, "pcs:older", got, want);
    return ccz_hint(err, rc, "what is stored was issued later: another server, or a replay?");
}

static ccz_rc check_pck(const struct job *j, const struct ccz_collateral *c, struct ccz_err *err)
{
    if (!j->pck)
        return CCZ_OK;
    return ccz_quote_check_origin(j->pck->quote, &j->s->roots, c, err);
}

static ccz_rc check_expiry(const struct job *j, const struct ccz_collateral *c, struct ccz_err *err)
{
    char until[21];
    if (ccz_collateral_expires(c) >= now_of(j->s))
        return CCZ_OK;
    ccz_time_format(until, ccz_collateral_expires(c));
    ccz_rc rc = ccz_refuse(err, CCZ_E_EXPIRED, "pcs:stale", until, "a date in the future");
    return ccz_hint(err, rc,
                    "the server delivers old documents: is it a PCCS that is not refreshed?");
}

static ccz_rc check(const struct job *j, struct ccz_buf parts[CCZI_PARTS], struct ccz_err *err)
{
    CCZ_AUTO(ccz_collateral) c = NULL;
    ccz_rc rc = cczi_parts_open(&c, parts, &j->s->roots, err);
    if (rc == CCZ_OK)
        rc = check_platform(j, c, err);
    if (rc == CCZ_OK)
        rc = check_newer(j, parts, err);
    if (rc == CCZ_OK)
        rc = check_expiry(j, c, err);
    if (rc == CCZ_OK)
        rc = check_pck(j, c, err);
    return rc;
}

/* --------------------------------------------------------------------------------- writing */

static void put_source(struct ccz_buf *out, const struct job *j)
{
    char update[CCZI_UPDATE_SIZE];
    cczi_update_name(update, j->s);
    ccz_buf_put_str(out, "{\"from\":");
    ccz_json_put_str(out, ccz_span_str(j->s->base));
    ccz_buf_printf(out, ",\"update\":\"%s\",\"parts\":{", update);
    for (int doc = 0; doc < CCZI_DOCS; doc++) {
        char fetched[21], refresh[21];
        const struct cczi_document *d = &j->doc[doc];
        ccz_time_format(fetched, d->fetched_s);
        ccz_time_format(refresh, d->refresh_s);
        ccz_buf_printf(out, "%s\n\"%s\":{\"url\":", doc ? "," : "",
                       cczi_part_names[cczi_doc_body((enum cczi_doc)doc)]);
        ccz_json_put_str(out, ccz_span_str(d->url));
        ccz_buf_printf(out, ",\"fetched\":\"%s\",\"refresh\":\"%s\"}", fetched, refresh);
    }
    ccz_buf_put_str(out, "}}\n");
}

static ccz_rc write_bundle(const struct job *j, const struct ccz_buf parts[CCZI_PARTS],
                           struct ccz_err *err)
{
    struct cczi_file files[CCZI_PARTS + 1];
    size_t len = 0;
    CCZ_AUTO_BUF source;
    ccz_buf_init(&source, SOURCE_SIZE_MAX);
    put_source(&source, j);
    if (source.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "pcs:memory", 0, "out of memory");
    for (int i = 0; i < CCZI_PARTS; i++)
        if (parts[i].size > 0)
            files[len++] = (struct cczi_file){cczi_part_names[i], ccz_buf_span(&parts[i])};
    files[len++] = (struct cczi_file){CCZI_SOURCE_FILE, ccz_buf_span(&source)};
    ccz_rc rc = cczi_dir_stage(j->s->dir, j->name, files, len, err);
    if (rc == CCZ_OK)
        rc = cczi_dir_commit(j->s->dir, j->name, err);
    return rc;
}

static ccz_rc finish(struct job *j, struct ccz_err *err)
{
    struct ccz_buf parts[CCZI_PARTS];
    struct ccz_err why = {0};
    cczi_parts_init(parts);
    for (int doc = 0; doc < CCZI_DOCS; doc++) {
        int chain = cczi_doc_chain((enum cczi_doc)doc);
        ccz_buf_put_span(&parts[cczi_doc_body((enum cczi_doc)doc)],
                         ccz_buf_span(&j->doc[doc].body));
        if (chain >= 0)
            ccz_buf_put_span(&parts[chain], ccz_buf_span(&j->doc[doc].chain));
    }
    ccz_buf_put_span(&parts[CCZI_LEAF],
                     ccz_buf_span(j->pck ? &j->pck->leaf : &j->old_parts[CCZI_LEAF]));
    ccz_buf_put_span(&parts[CCZI_SIGN_CHAIN],
                     ccz_buf_span(j->pck ? &j->pck->chain : &j->old_parts[CCZI_SIGN_CHAIN]));
    ccz_rc rc = check(j, parts, &why);
    for (int doc = 0; doc < CCZI_DOCS && rc != CCZ_OK; doc++)
        if (j->fresh[doc])
            cczi_upstream_reject(&j->s->up, j->url[doc], &why);
    if (rc == CCZ_OK)
        rc = write_bundle(j, parts, &why);
    j->s->changes += rc == CCZ_OK;
    cczi_parts_free(parts);
    if (rc == CCZ_OK)
        rc = cczi_store_load(j->s, &why);
    if (rc != CCZ_OK && err)
        *err = why;
    return rc;
}

/* ------------------------------------------------------------------------------------- job */

/* Is a signer of the stored bundle on one of the revocation lists that came? Its PCK certificate does not count: that
 * is one platform's, and a quote of it is refused without. */
static bool old_is_revoked(struct job *j)
{
    struct ccz_buf parts[CCZI_PARTS];
    CCZ_AUTO(ccz_collateral) c = NULL;
    cczi_parts_init(parts);
    for (int i = 0; i < CCZI_PARTS_REQUIRED; i++)
        ccz_buf_put_span(&parts[i], ccz_buf_span(&j->old_parts[i]));
    for (int doc = CCZI_DOC_PCK_CRL; doc < CCZI_DOCS; doc++) {
        struct ccz_buf *body = &parts[cczi_doc_body((enum cczi_doc)doc)];
        ccz_buf_clear(body);
        ccz_buf_put_span(body, ccz_buf_span(&j->doc[doc].body));
    }
    bool revoked = cczi_parts_open(&c, parts, &j->s->roots, NULL) == CCZ_E_REVOKED;
    cczi_parts_free(parts);
    return revoked;
}

/* The bundle of the platform, whatever its name. */
static ccz_rc find_old(struct job *j, struct ccz_err *err)
{
    ccz_rc rc = cczi_want_name(j->name, j->want, err);
    for (size_t i = 0; i < ccz_pcs_len(j->s->set) && rc == CCZ_OK; i++) {
        struct ccz_pcs_entry e = ccz_pcs_at(j->s->set, i);
        if (check_platform(j, e.collateral, NULL) != CCZ_OK)
            continue;
        char dir[CCZI_PCS_PATH_SIZE];
        if (strcmp(e.name, ".") == 0) {
            rc = ccz_fail(err, CCZ_E_EXISTS, "pcs:in-the-way", 0,
                          "%.100s itself is the bundle of this platform", j->s->dir);
            return ccz_hint(err, rc, "move its files into a sub-directory");
        }
        j->old = e.collateral;
        (void)snprintf(j->name, sizeof(j->name), "%s", e.name);
        rc = cczi_path(dir, j->s->dir, e.name, err);
        if (rc == CCZ_OK)
            rc = cczi_parts_read(j->old_parts, dir, err);
    }
    return rc;
}

ccz_rc cczi_intel_fetch(struct ccz_pcs_store *s, const struct ccz_pcs_want *want,
                        const struct cczi_pck_files *pck, struct ccz_err *err)
{
    struct job j = {.s = s, .want = want, .pck = pck};
    struct ccz_err why = {0};
    cczi_parts_init(j.old_parts);
    for (int doc = 0; doc < CCZI_DOCS; doc++)
        cczi_document_init(&j.doc[doc]);
    ccz_rc rc = find_old(&j, &why);
    bool kept = rc == CCZ_OK && j.old && ccz_collateral_expires(j.old) >= now_of(s);
    if (rc == CCZ_OK)
        rc = make_urls(j.url, s, want, &why);
    if (rc == CCZ_OK)
        rc = gather(&j, &why);
    bool any = pck || !j.old;
    for (int doc = 0; doc < CCZI_DOCS; doc++)
        any |= j.fresh[doc];
    if (rc == CCZ_OK && any)
        rc = finish(&j, &why);
    if (rc == CCZ_E_REVOKED && j.old && old_is_revoked(&j))
        cczi_store_withdraw(s, j.name, &why);
    for (int doc = 0; doc < CCZI_DOCS; doc++)
        cczi_document_free(&j.doc[doc]);
    cczi_parts_free(j.old_parts);
    if (rc == CCZ_OK) {
        cczi_store_worked(s, j.name);
        return CCZ_OK;
    }
    cczi_store_failed(s, j.name, &why);
    if (kept && !pck && rc != CCZ_E_REVOKED)
        return CCZ_OK; /* what is there is still good, unless Intel says otherwise */
    if (err)
        *err = why;
    return rc;
}

/* ------------------------------------------------------------------------- PCK certificate */

/* PCK certificate by PCK id: QE id from the header, the rest from certification data of types 2 and 3: encrypted
 * PPID, CPUSVN 16, PCESVN 2, PCEID 2. */
static ccz_rc pck_url(char url[CCZI_PCS_URL_SIZE], const struct ccz_pcs_store *s,
                      const struct ccz_quote *q, struct ccz_err *err)
{
    enum { QE_ID_AT = 28, QE_ID_SIZE = 16, TCB_SIZE = 20, PPID_MAX = 384 };
    struct ccz_span data = q->cert_data;
    if ((q->cert_type != 2 && q->cert_type != 3) || data.size <= TCB_SIZE ||
        data.size - TCB_SIZE > PPID_MAX)
        return ccz_fail(
            err, CCZ_E_UNSUPPORTED, "pcs:pck-id", q->cert_type,
            "certification data of type %u does not say which PCK certificate is needed",
            q->cert_type);
    char qe[2 * QE_ID_SIZE + 1], cpu[33], pce[5], id[5], ppid[2 * PPID_MAX + 1];
    const uint8_t *tcb = data.ptr + data.size - TCB_SIZE;
    ccz_hex(qe, q->header.ptr + QE_ID_AT, QE_ID_SIZE);
    ccz_hex(cpu, tcb, 16);
    ccz_hex(pce, tcb + 16, 2);
    ccz_hex(id, tcb + 18, 2);
    ccz_hex(ppid, data.ptr, data.size - TCB_SIZE);
    int n = snprintf(url, CCZI_PCS_URL_SIZE,
                     "%s/sgx/certification/v4/pckcert?qeid=%s&cpusvn=%s&pcesvn=%s&pceid=%s"
                     "&encrypted_ppid=%s",
                     s->base, qe, cpu, pce, id, ppid);
    if (n < 0 || n >= CCZI_PCS_URL_SIZE)
        return ccz_fail(err, CCZ_E_LIMIT, "pcs:url", n, "the URL is too long");
    return CCZ_OK;
}

ccz_rc cczi_pck_fetch(struct ccz_pcs_want *want, struct cczi_pck_files *pck,
                      struct ccz_pcs_store *s, struct ccz_err *err)
{
    char url[CCZI_PCS_URL_SIZE];
    struct cczi_answer a;
    struct ccz_err why = {0};
    struct ccz_platform platform;
    cczi_answer_init(&a);
    ccz_rc rc = pck_url(url, s, pck->quote, &why);
    if (rc == CCZ_OK)
        rc = cczi_upstream_get(&s->up, &a, url, &why);
    bool asked = rc == CCZ_OK;
    if (asked) {
        struct ccz_span chain = cczi_header(&a, "SGX-PCK-Certificate-Issuer-Chain");
        ccz_buf_put_span(&pck->leaf, ccz_buf_span(&a.body));
        if (pck->leaf.size > 0 && pck->leaf.ptr[pck->leaf.size - 1] != '\n')
            ccz_buf_put_str(&pck->leaf, "\n");
        rc = cczi_unescape(&pck->chain, chain, &why);
    }
    if (rc == CCZ_OK)
        rc = ccz_platform_from_pem(&platform, pck->quote->tee, ccz_buf_span(&pck->leaf), &why);
    if (rc == CCZ_OK)
        rc = want_platform(want, &platform, &why);
    if (asked && rc != CCZ_OK)
        cczi_upstream_reject(&s->up, url, &why);
    cczi_answer_free(&a);
    if (rc != CCZ_OK && err)
        *err = why;
    return rc;
}
