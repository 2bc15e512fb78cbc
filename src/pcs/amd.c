/* SPDX-License-Identifier: Apache-2.0 */
/* What one AMD chip needs, from the key distribution service (AMD 57230). */
#define _DEFAULT_SOURCE
#include "pcs/pcs_priv.h"

#include <cczoo/codec.h>
#include <cczoo/x509.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PACE_S = 10, /* KDS answers about one VCEK in 10 s */
    MARGIN_S = 86400,
    SPAN_MIN_S = 3600,
    AGE_MIN_S = 60,
    FILE_SIZE_MAX = 1 << 20,
    DIR_NAME_SIZE = 32,
};

#define VEK_OID "1.3.6.1.4.1.3704.1"

/* TCB_VERSION in the report: which byte is what, as a query and as an extension of the certificate. */
static const struct spl {
    const char *query, *oid;
    int at, at_turin; /* -1 = not there */
} spls[] = {
    {"fmcSPL", VEK_OID ".3.9", -1, 0},  {"blSPL", VEK_OID ".3.1", 0, 1},
    {"teeSPL", VEK_OID ".3.2", 1, 2},   {"snpSPL", VEK_OID ".3.3", 6, 3},
    {"ucodeSPL", VEK_OID ".3.8", 7, 7},
};
enum { SPLS = sizeof(spls) / sizeof(spls[0]) };

static bool is_turin(const struct ccz_pcs_want_amd *w)
{
    return strcmp(w->product, "Turin") == 0;
}

static const char *kind_of(const struct ccz_pcs_want_amd *w)
{
    return w->vlek ? "vlek" : "vcek";
}

static int at_of(const struct spl *p, const struct ccz_pcs_want_amd *w)
{
    return is_turin(w) ? p->at_turin : p->at;
}

static size_t chip_size(const struct ccz_pcs_want_amd *w)
{
    return is_turin(w) ? 8 : sizeof(w->chip_id);
}

/* ---------------------------------------------------------------------------------- checks */

static ccz_rc at(struct ccz_err *err, ccz_rc rc, const char *where)
{
    if (err && rc != CCZ_OK)
        (void)snprintf(err->where, sizeof(err->where), "%s", where);
    return rc;
}

/* The certificate is of this chip at this TCB: it is kept for ever. */
static ccz_rc check_vek(struct ccz_span der, const struct ccz_pcs_want_amd *w, struct ccz_err *err)
{
    CCZ_AUTO(ccz_cert) vek = NULL;
    ccz_rc rc = at(err, ccz_cert_parse(&vek, der, err), "pcs:amd-vek");
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span id = ccz_cert_ext(NULL, vek, VEK_OID ".4"), want = {w->chip_id, chip_size(w)};
    struct ccz_rd r = ccz_rd_from(id);
    struct ccz_span inner = ccz_der_take(&r, CCZ_DER_OCTET_STRING); /* some are wrapped twice */
    if (ccz_rd_done(&r) && inner.size == want.size)
        id = inner;
    if (!ccz_span_eq(id, want))
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "pcs:amd-chip", id.ptr, id.size, want.ptr,
                                want.size);
    for (size_t i = 0; i < SPLS; i++) {
        int from = at_of(&spls[i], w);
        struct ccz_rd v = ccz_rd_from(ccz_cert_ext(NULL, vek, spls[i].oid));
        uint64_t got = from < 0 ? 0 : ccz_der_uint(&v, CCZ_DER_INTEGER);
        if (from >= 0 && (!ccz_rd_done(&v) || got != w->tcb[from]))
            return ccz_refuse_num(err, CCZ_E_MISMATCH, "pcs:amd-tcb", (int64_t)got, w->tcb[from]);
    }
    return CCZ_OK;
}

static ccz_rc check_line(const struct ccz_snp_collateral *c, const struct ccz_pcs_want_amd *w,
                         struct ccz_err *err)
{
    const char *line = ccz_snp_product_name(ccz_snp_collateral_product(c));
    const char *kind = ccz_snp_signer_name(ccz_snp_collateral_signer(c));
    char got[32], want[32];
    if (strcmp(line, w->product) == 0 && strcmp(kind, kind_of(w)) == 0)
        return CCZ_OK;
    (void)snprintf(got, sizeof(got), "%s-%s", line, kind);
    (void)snprintf(want, sizeof(want), "%.16s-%s", w->product, kind_of(w));
    return ccz_refuse(err, CCZ_E_MISMATCH, "pcs:other-platform", got, want);
}

ccz_rc cczi_amd_check(int64_t *until_s, const struct cczi_amd_parts *parts,
                      const struct ccz_pcs_want_amd *want, const struct ccz_snp_roots *roots,
                      struct ccz_err *err)
{
    static const struct ccz_snp_roots nobody;
    CCZ_AUTO(ccz_snp_collateral) c = NULL;
    const struct ccz_snp_collateral_src src = {.ark = parts->ark,
                                               .ca = parts->ca,
                                               .crl = parts->crl,
                                               .veks = &parts->vek,
                                               .veks_len = parts->vek.size > 0};
    ccz_rc rc = ccz_snp_collateral_new(&c, &src, roots ? roots : &nobody, err);
    if (rc == CCZ_OK)
        rc = check_line(c, want, err);
    if (rc == CCZ_OK && parts->vek.size > 0)
        rc = check_vek(parts->vek, want, err);
    if (rc == CCZ_OK)
        *until_s = ccz_snp_collateral_expires(c);
    return rc;
}

/* ------------------------------------------------------------------------------------ wants */

static ccz_rc refuse_want(struct ccz_err *err, const char *where, const char *what,
                          const char *hint)
{
    return ccz_hint(err, ccz_fail(err, CCZ_E_UNSUPPORTED, where, 0, "%s", what), hint);
}

ccz_rc ccz_pcs_want_report(struct ccz_pcs_want_amd *out, struct ccz_span evidence,
                           struct ccz_err *err)
{
    static const uint8_t masked[64];
    struct ccz_snp_report r;
    *out = (struct ccz_pcs_want_amd){0};
    ccz_rc rc = ccz_snp_report_parse(&r, evidence, err);
    if (rc != CCZ_OK)
        return rc;
    enum ccz_snp_product product = ccz_snp_report_product(&r);
    if (product == CCZ_SNP_NONE)
        return refuse_want(err, "pcs:snp-product",
                           "a version 2 report does not say which product line it is of",
                           "fetch once: cczoo collateral fetch --amd LINE --report FILE");
    if (r.signer == CCZ_SNP_VLEK && r.vek.size == 0)
        return refuse_want(err, "pcs:snp-vlek",
                           "the report is signed by a VLEK and came without it",
                           "only the cloud provider has it: send it in the certificate table");
    if (r.signer == CCZ_SNP_VCEK && r.vek.size == 0 &&
        memcmp(r.claims.chip_id, masked, sizeof(masked)) == 0)
        return refuse_want(err, "pcs:snp-chip", "the host masks the chip id: no VCEK can be found",
                           "send the VCEK in the certificate table, or unmask the chip id");
    *out = (struct ccz_pcs_want_amd){.product = ccz_snp_product_name(product),
                                     .vlek = r.signer == CCZ_SNP_VLEK,
                                     .chain_only = r.vek.size > 0};
    memcpy(out->chip_id, r.claims.chip_id, sizeof(out->chip_id));
    memcpy(out->tcb, r.reported_tcb.ptr, sizeof(out->tcb));
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- files */

struct amd_job {
    struct ccz_pcs_store *s;
    const struct ccz_pcs_want_amd *w;
    char name[DIR_NAME_SIZE], dir[CCZI_PCS_PATH_SIZE];
    struct ccz_buf ark, ask, crl;
    int64_t until_s, refresh_s;
};

static int64_t now_of(const struct amd_job *j)
{
    return ccz_clock_now_s(j->s->up.clock);
}

/* @p vek  may be empty */
static ccz_rc check(struct amd_job *j, struct ccz_span vek, struct ccz_err *err)
{
    const struct cczi_amd_parts parts = {ccz_buf_span(&j->ark), ccz_buf_span(&j->ask),
                                         ccz_buf_span(&j->crl), vek};
    return cczi_amd_check(&j->until_s, &parts, j->w, &j->s->snp_roots, err);
}

static ccz_rc read_file(struct ccz_buf *out, const struct amd_job *j, const char *name,
                        struct ccz_err *err)
{
    char path[CCZI_PCS_PATH_SIZE];
    ccz_buf_clear(out);
    ccz_rc rc = cczi_path(path, j->dir, name, err);
    return rc == CCZ_OK ? ccz_file_read(out, path, err) : rc;
}

static ccz_rc write_file(const struct amd_job *j, const char *name, struct ccz_span data,
                         struct ccz_err *err)
{
    char path[CCZI_PCS_PATH_SIZE];
    ccz_rc rc = cczi_path(path, j->dir, name, err);
    return rc == CCZ_OK ? ccz_file_write(path, data, 0644, CCZ_FILE_REPLACE, err) : rc;
}

/* What is there; refresh_s stays 0 if that is not to be relied on. */
static bool read_chain(struct amd_job *j)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) json = NULL;
    ccz_buf_init(&text, FILE_SIZE_MAX);
    if (read_file(&j->ark, j, "ark.der", NULL) != CCZ_OK ||
        read_file(&j->ask, j, "ask.der", NULL) != CCZ_OK ||
        read_file(&j->crl, j, "crl.der", NULL) != CCZ_OK ||
        check(j, (struct ccz_span){0}, NULL) != CCZ_OK)
        return false;
    if (read_file(&text, j, CCZI_SOURCE_FILE, NULL) == CCZ_OK &&
        ccz_json_parse(&json, ccz_buf_span(&text), NULL) == CCZ_OK) {
        struct ccz_span t = ccz_json_bytes(ccz_json_get(json, "refresh"));
        if (ccz_time_parse(&j->refresh_s, (const char *)t.ptr, t.size) != CCZ_OK)
            j->refresh_s = 0;
    }
    return true;
}

static ccz_rc write_chain(struct amd_job *j, struct ccz_err *err)
{
    char fetched[21], refresh[21];
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, FILE_SIZE_MAX);
    ccz_time_format(fetched, now_of(j));
    ccz_time_format(refresh, j->refresh_s);
    ccz_buf_put_str(&text, "{\"from\":");
    ccz_json_put_str(&text, ccz_span_str(j->s->amd));
    ccz_buf_printf(&text, ",\"fetched\":\"%s\",\"refresh\":\"%s\"}\n", fetched, refresh);
    ccz_rc rc = write_file(j, "ask.der", ccz_buf_span(&j->ask), err);
    if (rc == CCZ_OK)
        rc = write_file(j, "crl.der", ccz_buf_span(&j->crl), err);
    if (rc == CCZ_OK) /* what makes a bundle of the directory comes last */
        rc = write_file(j, "ark.der", ccz_buf_span(&j->ark), err);
    if (rc == CCZ_OK)
        rc = write_file(j, CCZI_SOURCE_FILE, ccz_buf_span(&text), err);
    return rc;
}

/* -------------------------------------------------------------------------------- fetching */

/* cert_chain: PEM of ASK (or ASVK), then ARK. */
static ccz_rc split_chain(struct amd_job *j, const struct cczi_answer *a, struct ccz_err *err)
{
    struct ccz_span text = ccz_buf_span(&a->body);
    ccz_buf_clear(&j->ask);
    ccz_buf_clear(&j->ark);
    ccz_rc rc = ccz_pem_next(&j->ask, &text, "CERTIFICATE", err);
    if (rc == CCZ_OK)
        rc = ccz_pem_next(&j->ark, &text, "CERTIFICATE", err);
    return at(err, rc == CCZ_E_NOT_FOUND ? CCZ_E_FORMAT : rc, "pcs:amd-chain");
}

static void set_refresh(struct amd_job *j, int64_t max_age_s)
{
    int64_t span = j->until_s - MARGIN_S - now_of(j);
    span = span > SPAN_MIN_S ? span : SPAN_MIN_S;
    if (max_age_s >= 0 && max_age_s < span)
        span = max_age_s > AGE_MIN_S ? max_age_s : AGE_MIN_S;
    span = span < j->s->reuse_max_s ? span : j->s->reuse_max_s;
    j->refresh_s = now_of(j) + span - cczi_jitter(&j->s->up, span / 10);
}

/* An older list than the stored one would take back revocations. */
static ccz_rc check_stored(const struct amd_job *j, struct ccz_err *err)
{
    CCZ_AUTO_BUF der;
    CCZ_AUTO(ccz_crl) crl = NULL;
    CCZ_AUTO(ccz_crl) was_crl = NULL;
    ccz_buf_init(&der, FILE_SIZE_MAX);
    ccz_rc rc = ccz_crl_parse(&crl, ccz_buf_span(&j->crl), err);
    if (rc == CCZ_OK && read_file(&der, j, "crl.der", NULL) == CCZ_OK &&
        ccz_crl_parse(&was_crl, ccz_buf_span(&der), NULL) == CCZ_OK &&
        ccz_crl_this_update(crl) < ccz_crl_this_update(was_crl)) {
        char got[21], want[21];
        ccz_time_format(got, ccz_crl_this_update(crl));
        ccz_time_format(want, ccz_crl_this_update(was_crl));
        rc = ccz_refuse(err, CCZ_E_MISMATCH, "pcs:older", got, want);
    }
    return rc;
}

static ccz_rc fetch_chain(struct amd_job *j, struct ccz_err *err)
{
    struct cczi_answer chain, crl;
    char chain_url[CCZI_PCS_URL_SIZE], crl_url[CCZI_PCS_URL_SIZE];
    cczi_answer_init(&chain);
    cczi_answer_init(&crl);
    int a = snprintf(chain_url, sizeof(chain_url), "%s/%s/v1/%s/cert_chain", j->s->amd,
                     kind_of(j->w), j->w->product);
    int b = snprintf(crl_url, sizeof(crl_url), "%s/%s/v1/%s/crl", j->s->amd, kind_of(j->w),
                     j->w->product);
    ccz_rc rc = CCZ_OK;
    if (a >= CCZI_PCS_URL_SIZE || b >= CCZI_PCS_URL_SIZE)
        rc = ccz_fail(err, CCZ_E_LIMIT, "pcs:url", a, "the URL is too long");
    if (rc == CCZ_OK)
        rc = cczi_upstream_get(&j->s->up, &chain, chain_url, err);
    if (rc == CCZ_OK)
        rc = cczi_upstream_get(&j->s->up, &crl, crl_url, err);
    bool asked = rc == CCZ_OK;
    if (asked) {
        ccz_buf_clear(&j->crl);
        ccz_buf_put_span(&j->crl, ccz_buf_span(&crl.body));
        rc = split_chain(j, &chain, err);
    }
    if (rc == CCZ_OK && j->crl.size == 0)
        rc = ccz_fail(err, CCZ_E_FORMAT, "pcs:amd-crl", 0, "the revocation list is empty");
    if (rc == CCZ_OK)
        rc = check(j, (struct ccz_span){0}, err);
    if (rc == CCZ_OK && j->until_s < now_of(j))
        rc = ccz_fail(err, CCZ_E_EXPIRED, "pcs:stale", 0,
                      "the chain or its revocation list has expired");
    if (rc == CCZ_OK)
        rc = check_stored(j, err);
    if (asked && rc != CCZ_OK) {
        cczi_upstream_reject(&j->s->up, chain_url, err);
        cczi_upstream_reject(&j->s->up, crl_url, err);
    }
    if (rc == CCZ_OK) {
        set_refresh(j, cczi_max_age(&crl));
        rc = write_chain(j, err);
        j->s->changes += rc == CCZ_OK;
    }
    cczi_answer_free(&chain);
    cczi_answer_free(&crl);
    return rc;
}

static ccz_rc vek_url(char url[CCZI_PCS_URL_SIZE], const char *base,
                      const struct ccz_pcs_want_amd *w, struct ccz_err *err)
{
    char chip[129];
    const char *mark = "?";
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZI_PCS_URL_SIZE - 1);
    ccz_hex(chip, w->chip_id, chip_size(w));
    ccz_buf_printf(&text, "%s/vcek/v1/%s/%s", base, w->product, chip);
    for (size_t i = 0; i < SPLS; i++) {
        int from = at_of(&spls[i], w);
        if (from < 0)
            continue;
        ccz_buf_printf(&text, "%s%s=%02u", mark, spls[i].query, w->tcb[from]);
        mark = "&";
    }
    if (text.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "pcs:url", 0, "the URL is too long");
    (void)snprintf(url, CCZI_PCS_URL_SIZE, "%s", ccz_buf_str(&text));
    return CCZ_OK;
}

static ccz_rc vek_path(char path[CCZI_PCS_PATH_SIZE], const char *dir,
                       const struct ccz_pcs_want_amd *w, struct ccz_err *err)
{
    char name[192], chip[129], tcb[17];
    ccz_hex(chip, w->chip_id, sizeof(w->chip_id));
    ccz_hex(tcb, w->tcb, sizeof(w->tcb));
    (void)snprintf(name, sizeof(name), "%s-%s.vek.der", chip, tcb);
    return cczi_path(path, dir, name, err);
}

static size_t count_veks(const char *path)
{
    size_t len = 0;
    DIR *d = opendir(path);
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        len += strstr(e->d_name, ".vek.der") != NULL;
    closedir(d);
    return len;
}

static ccz_rc check_room(const char *dir, struct ccz_err *err)
{
    size_t len = count_veks(dir);
    if (len < CCZ_SNP_COLLATERAL_VEK_MAX)
        return CCZ_OK;
    ccz_rc rc = ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:amd-full", (int64_t)len + 1,
                               CCZ_SNP_COLLATERAL_VEK_MAX);
    return ccz_hint(err, rc, "delete .vek.der files of chips that are not in use any more");
}

static ccz_rc fetch_vek(struct amd_job *j, struct ccz_err *err)
{
    char path[CCZI_PCS_PATH_SIZE], url[CCZI_PCS_URL_SIZE];
    ccz_rc rc = vek_path(path, j->dir, j->w, err);
    if (rc != CCZ_OK || access(path, F_OK) == 0)
        return rc;
    struct cczi_answer a;
    cczi_answer_init(&a);
    rc = check_room(j->dir, err);
    if (rc == CCZ_OK)
        rc = vek_url(url, j->s->amd, j->w, err);
    if (rc == CCZ_OK)
        rc = cczi_upstream_get_paced(&j->s->up, &a, url, PACE_S, err);
    if (rc == CCZ_OK) {
        rc = a.body.size == 0 ? ccz_fail(err, CCZ_E_FORMAT, "pcs:amd-vek", 0, "the answer is empty")
                              : check(j, ccz_buf_span(&a.body), err);
        if (rc != CCZ_OK)
            cczi_upstream_reject(&j->s->up, url, err);
    }
    if (rc == CCZ_OK)
        rc = ccz_file_write(path, ccz_buf_span(&a.body), 0644, CCZ_FILE_REPLACE, err);
    j->s->changes += rc == CCZ_OK;
    cczi_answer_free(&a);
    return rc;
}

/* The list that came says that AMD has taken back what is stored: out of use with it. */
static void withdraw_if_revoked(struct amd_job *j, struct ccz_err *why)
{
    CCZ_AUTO_BUF came;
    ccz_buf_init(&came, CCZ_PCS_ANSWER_SIZE_MAX);
    ccz_buf_put_span(&came, ccz_buf_span(&j->crl));
    if (!read_chain(j))
        return;
    ccz_buf_clear(&j->crl);
    ccz_buf_put_span(&j->crl, ccz_buf_span(&came));
    if (check(j, (struct ccz_span){0}, NULL) == CCZ_E_REVOKED)
        cczi_store_withdraw(j->s, j->name, why);
}

static ccz_rc run(struct amd_job *j, struct ccz_err *err)
{
    static const char *const products[] = {"Milan", "Genoa", "Turin"};
    bool known = false;
    for (size_t i = 0; i < sizeof(products) / sizeof(products[0]) && j->w->product; i++)
        known |= strcmp(products[i], j->w->product) == 0;
    if (!known)
        return ccz_fail(err, CCZ_E_ARG, "pcs:want", 0,
                        "the product line is not Milan, Genoa or Turin");
    (void)snprintf(j->name, sizeof(j->name), "snp-%s-%s", j->w->product, kind_of(j->w));
    ccz_rc rc = cczi_path(j->dir, j->s->dir, j->name, err);
    if (rc == CCZ_OK)
        rc = ccz_dir_make(j->dir, 0755, err);
    if (rc != CCZ_OK)
        return rc;
    bool there = read_chain(j);
    if (!there || !cczi_store_rests(j->s, j->refresh_s, now_of(j))) {
        rc = fetch_chain(j, err);
        if (rc != CCZ_OK) {
            if (there && rc == CCZ_E_REVOKED)
                withdraw_if_revoked(j, err);
            cczi_store_failed(j->s, j->name, err);
            there = there && rc != CCZ_E_REVOKED && read_chain(j) && j->until_s >= now_of(j);
            rc = there ? CCZ_OK : rc; /* what is there is still good, unless AMD says otherwise */
        } else {
            cczi_store_worked(j->s, j->name);
        }
    }
    if (rc == CCZ_OK && !j->w->vlek && !j->w->chain_only)
        rc = fetch_vek(j, err);
    return rc;
}

ccz_rc cczi_amd_may_ask(struct ccz_pcs_store *s, const struct ccz_pcs_want_amd *want,
                        struct ccz_err *err)
{
    char name[DIR_NAME_SIZE], dir[CCZI_PCS_PATH_SIZE], path[CCZI_PCS_PATH_SIZE],
        url[CCZI_PCS_URL_SIZE];
    if (want->vlek || want->chain_only || !want->product || !s->up.getter.get)
        return CCZ_OK;
    (void)snprintf(name, sizeof(name), "snp-%.8s-%s", want->product, kind_of(want));
    ccz_rc rc = cczi_path(dir, s->dir, name, err);
    if (rc == CCZ_OK)
        rc = vek_path(path, dir, want, err);
    if (rc == CCZ_OK && access(path, F_OK) == 0)
        return CCZ_OK;
    if (rc == CCZ_OK)
        rc = vek_url(url, s->amd, want, err);
    return rc == CCZ_OK ? cczi_upstream_may_ask(&s->up, url, err) : rc;
}

ccz_rc cczi_amd_fetch(struct ccz_pcs_store *s, const struct ccz_pcs_want_amd *want,
                      struct ccz_err *err)
{
    struct ccz_err why = {0};
    struct amd_job j = {.s = s, .w = want};
    ccz_buf_init(&j.ark, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&j.ask, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&j.crl, CCZ_PCS_ANSWER_SIZE_MAX);
    ccz_rc rc = run(&j, &why);
    ccz_buf_free(&j.ark);
    ccz_buf_free(&j.ask);
    ccz_buf_free(&j.crl);
    if (rc != CCZ_OK && err)
        *err = why;
    return rc;
}

size_t cczi_amd_list(struct ccz_pcs_want_amd *out, size_t max, const char *dir)
{
    static const char *const products[] = {"Milan", "Genoa", "Turin"};
    size_t len = 0;
    for (size_t i = 0; i < 6 && len < max; i++) {
        struct ccz_pcs_want_amd w = {.product = products[i / 2], .vlek = i % 2, .chain_only = true};
        char name[DIR_NAME_SIZE], path[CCZI_PCS_PATH_SIZE];
        (void)snprintf(name, sizeof(name), "snp-%s-%s", w.product, kind_of(&w));
        if (cczi_path(path, dir, name, NULL) == CCZ_OK && access(path, F_OK) == 0)
            out[len++] = w;
    }
    return len;
}

/* ---------------------------------------------------------------------------------- report */

static int is_amd(const struct dirent *e)
{
    return strncmp(e->d_name, "snp-", 4) == 0;
}

void cczi_amd_report(struct ccz_buf *out, const char *dir, int64_t now_s)
{
    struct dirent **list = NULL;
    int len = scandir(dir, &list, is_amd, alphasort);
    for (int i = 0; i < len; i++) {
        char path[CCZI_PCS_PATH_SIZE], until[21];
        CCZ_AUTO_BUF der;
        CCZ_AUTO(ccz_crl) crl = NULL;
        ccz_buf_init(&der, CCZ_PCS_ANSWER_SIZE_MAX);
        int64_t until_s = 0; /* an unreadable list has expired */
        char file[CCZI_PCS_PATH_SIZE];
        if (cczi_path(path, dir, list[i]->d_name, NULL) == CCZ_OK &&
            cczi_path(file, path, "crl.der", NULL) == CCZ_OK &&
            ccz_file_read(&der, file, NULL) == CCZ_OK &&
            ccz_crl_parse(&crl, ccz_buf_span(&der), NULL) == CCZ_OK)
            until_s = ccz_crl_next_update(crl);
        ccz_time_format(until, until_s);
        ccz_buf_put_str(out, i ? ",{\"name\":" : "{\"name\":");
        ccz_json_put_str(out, ccz_span_str(list[i]->d_name));
        ccz_buf_printf(
            out, ",\"expires\":\"%s\",\"seconds_left\":%lld,\"expired\":%s,\"veks\":%zu}", until,
            (long long)(until_s - now_s), now_s > until_s ? "true" : "false", count_veks(path));
        free(list[i]);
    }
    free(list);
}
