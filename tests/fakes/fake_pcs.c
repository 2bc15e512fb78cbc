/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "fake_pcs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "fake PCS: %s\n", what);
        abort();
    }
}

/* --------------------------------------------------------------------------------- answers */

static void put_escaped(struct ccz_buf *out, struct ccz_span text, const struct fake_knobs *k)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.ptr[i];
        if (isalnum(c) || c == '-' || c == '_' || c == '.' || (c == '+' && k->plus_literally))
            ccz_buf_u8(out, c);
        else
            ccz_buf_printf(out, k->lower_escapes ? "%%%02x" : "%%%02X", c);
    }
}

static void put_crl(struct ccz_buf *out, struct ccz_span der, enum fake_crl form)
{
    if (form == FAKE_DER)
        ccz_buf_put_span(out, der);
    else if (form == FAKE_PEM)
        ccz_pem_put(out, "X509 CRL", der);
    for (size_t i = 0; form == FAKE_HEX && i < der.size; i++)
        ccz_buf_printf(out, "%02x", der.ptr[i]);
}

static bool holds(struct ccz_span text, const char *what)
{
    return memmem(text.ptr, text.size, what, strlen(what)) != NULL;
}

/* The collateral whose TCB info is about the FMSPC in the query. */
static const struct ccz_collateral_src *choose(const struct fake_knobs *k, const char *path,
                                               const char *query)
{
    struct ccz_span fmspc;
    bool tdx = strncmp(path, "/tdx/", 5) == 0;
    if (!ccz_http_query_get(&fmspc, query, "fmspc"))
        fmspc.size = 0;
    for (int i = 0; i < 4 && k->serve[i]; i++) {
        char lower[64] = "", upper[64] = "";
        (void)snprintf(upper, sizeof(upper), "\"fmspc\":\"%.*s\"", (int)fmspc.size,
                       (const char *)fmspc.ptr);
        (void)snprintf(lower, sizeof(lower), "%s", upper);
        for (char *p = lower; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        if (holds(k->serve[i]->tcb_info, "\"id\":\"TDX\"") != tdx)
            continue;
        if (fmspc.size == 0 || k->any_fmspc || holds(k->serve[i]->tcb_info, lower) ||
            holds(k->serve[i]->tcb_info, upper))
            return k->serve[i];
    }
    return NULL;
}

struct found {
    struct ccz_span body, chain;
    const char *header;
    bool crl;
};

static bool find_amd(struct found *out, const struct fake_amd *a, const char *path)
{
    if (!a || (strncmp(path, "/vcek/v1/", 9) != 0 && strncmp(path, "/vlek/v1/", 9) != 0))
        return false;
    if (strstr(path, "/cert_chain"))
        out->header = "chain";
    else if (strstr(path, "/crl"))
        out->body = ccz_buf_span(&a->crl);
    else
        out->body = ccz_buf_span(&a->vek);
    return true;
}

static bool find(struct found *out, struct fake_pcs *f, const char *path, const char *query)
{
    const struct fake_knobs *k = &f->knobs;
    *out = (struct found){0};
    if (find_amd(out, k->amd, path))
        return true;
    if (strstr(path, "/pckcert") && k->pck_leaf.size > 0) {
        *out = (struct found){k->pck_leaf, k->pck_chain, "SGX-PCK-Certificate-Issuer-Chain", false};
        return true;
    }
    const struct ccz_collateral_src *s = choose(k, path, query);
    if (!s)
        s = strstr(path, "crl") || strstr(path, "Root") ? k->serve[0] : NULL;
    if (!s)
        return false;
    if (strstr(path, "/tcb"))
        *out = (struct found){s->tcb_info, s->tcb_info_chain, "TCB-Info-Issuer-Chain", false};
    else if (strstr(path, "/qe/identity"))
        *out = (struct found){s->qe_identity, s->qe_identity_chain,
                              "SGX-Enclave-Identity-Issuer-Chain", false};
    else if (strstr(path, "/pckcrl"))
        *out = (struct found){s->pck_crl, s->pck_crl_chain, "SGX-PCK-CRL-Issuer-Chain", true};
    else if (strstr(path, "rootcacrl") || strstr(path, "IntelSGXRootCA.der"))
        *out = (struct found){s->root_ca_crl, {NULL, 0}, NULL, true};
    else
        return false;
    return true;
}

static void answer_found(struct fake_pcs *f, struct fake_answer *out, struct found *x, bool defect)
{
    const struct fake_knobs *k = &f->knobs;
    bool chain = x->header && strcmp(x->header, "chain") == 0;
    ccz_buf_clear(&f->body);
    ccz_buf_clear(&f->chain);
    if (chain) {
        ccz_pem_put(&f->body, "CERTIFICATE", ccz_buf_span(&k->amd->ask));
        ccz_pem_put(&f->body, "CERTIFICATE", ccz_buf_span(&k->amd->ark));
    } else if (defect && k->body.ptr) {
        ccz_buf_put_span(&f->body, k->body);
    } else if (x->crl) {
        put_crl(&f->body, x->body, k->crl);
    } else {
        ccz_buf_put_span(&f->body, x->body);
    }
    out->body = ccz_buf_span(&f->body);
    if (x->header && !chain && !(defect && k->no_header)) {
        put_escaped(&f->chain, defect && k->chain.ptr ? k->chain : x->chain, k);
        if (defect && k->bad_escape)
            ccz_buf_put_str(&f->chain, "%4");
        out->headers[out->headers_len++] =
            (struct ccz_http_field){x->header, ccz_buf_str(&f->chain)};
    }
    if (k->max_age)
        out->headers[out->headers_len++] = (struct ccz_http_field){"Cache-Control", k->max_age};
}

static void answer(void *arg, struct fake_answer *out, const struct ccz_http_req *req)
{
    struct fake_pcs *f = arg;
    const char *path = ccz_http_path(req), *query = ccz_http_query(req);
    char all[2048];
    struct found x;
    pthread_mutex_lock(&f->lock);
    const struct fake_knobs *k = &f->knobs;
    (void)snprintf(all, sizeof(all), "%s?%s", path, query);
    if (strstr(path, "/tcb"))
        (void)snprintf(f->last_tcb, sizeof(f->last_tcb), "%s", query);
    bool defect = k->on && strstr(all, k->on);
    if (defect && k->status) {
        out->status = k->status;
        if (k->retry_after)
            out->headers[out->headers_len++] =
                (struct ccz_http_field){"Retry-After", k->retry_after};
        out->headers[out->headers_len++] = (struct ccz_http_field){"Error-Message", "as told"};
    } else if (!find(&x, f, path, query)) {
        out->status = 404;
    } else {
        answer_found(f, out, &x, defect);
        out->delay_ms = defect ? k->delay_ms : 0;
    }
    pthread_mutex_unlock(&f->lock);
}

/* ------------------------------------------------------------------------------ life cycle */

static void init(struct fake_pcs *f, const struct fake_knobs *knobs)
{
    *f = (struct fake_pcs){.knobs = *knobs};
    pthread_mutex_init(&f->lock, NULL);
    ccz_buf_init(&f->body, 8 << 20);
    ccz_buf_init(&f->chain, 1 << 20);
}

void fake_pcs_open(struct fake_pcs *f, const struct fake_knobs *knobs)
{
    init(f, knobs);
    fake_open(&f->site, answer, f);
}

void fake_pcs_open_tls(struct fake_pcs *f, const struct fake_knobs *knobs, const char *pem_file)
{
    init(f, knobs);
    fake_open_tls(&f->site, answer, f, pem_file);
}

void fake_pcs_set(struct fake_pcs *f, const struct fake_knobs *knobs)
{
    pthread_mutex_lock(&f->lock);
    f->knobs = *knobs;
    pthread_mutex_unlock(&f->lock);
}

void fake_pcs_close(struct fake_pcs *f)
{
    fake_close(&f->site);
    ccz_buf_free(&f->body);
    ccz_buf_free(&f->chain);
    pthread_mutex_destroy(&f->lock);
}

int fake_pcs_requests(struct fake_pcs *f)
{
    return atomic_exchange(&f->site.requests, 0);
}

/* ------------------------------------------------------------------------------------- AMD */

#define VEK_OID "1.3.6.1.4.1.3704.1"

static void issue(struct ccz_buf *out, const char *cn, const struct ccz_key *key,
                  const struct ccz_cert *issuer, const struct ccz_key *issuer_key,
                  const struct ccz_cert_ext_in *ext, size_t ext_len)
{
    struct ccz_err err = {0};
    const struct ccz_cert_cfg cfg = {.cn = cn,
                                     .key = key,
                                     .issuer = issuer,
                                     .issuer_key = issuer_key,
                                     .not_before_s = KIT_NOW_S - 86400,
                                     .not_after_s = KIT_NOW_S + 86400 * 3650L,
                                     .ca = ext_len == 0,
                                     .ext = ext,
                                     .ext_len = ext_len};
    ccz_buf_init(out, CCZ_CERT_SIZE_MAX);
    must(ccz_cert_issue(out, &cfg, &err) == CCZ_OK, err.msg);
}

static void make_vek(struct fake_amd *a, bool turin, const struct ccz_key *key,
                     const struct ccz_cert *ask, const struct ccz_key *ask_key)
{
    static const char *const oids[] = {VEK_OID ".3.1", VEK_OID ".3.2", VEK_OID ".3.3",
                                       VEK_OID ".3.8", VEK_OID ".3.9"};
    static const int at[2][5] = {{0, 1, 6, 7, 2}, {1, 2, 3, 7, 0}};
    struct ccz_buf value[5];
    struct ccz_cert_ext_in ext[6];
    for (int i = 0; i < 5; i++) {
        ccz_buf_init(&value[i], 64);
        ccz_der_put_uint(&value[i], CCZ_DER_INTEGER, a->tcb[at[turin][i]]);
        ext[i] = (struct ccz_cert_ext_in){.oid = oids[i], .value = ccz_buf_span(&value[i])};
    }
    ext[5] = (struct ccz_cert_ext_in){.oid = VEK_OID ".4",
                                      .value = CCZ_SPAN(a->chip_id, turin ? 8 : 64)};
    issue(&a->vek, "SEV-VCEK", key, ask, ask_key, ext, 6);
    for (int i = 0; i < 5; i++)
        ccz_buf_free(&value[i]);
}

void fake_amd_new(struct fake_amd *a, bool turin)
{
    *a = (struct fake_amd){.tcb = {4, 0, 0, 0, 0, 0, 22, 213}};
    struct ccz_key *key[3];
    CCZ_AUTO(ccz_cert) ark = NULL;
    CCZ_AUTO(ccz_cert) ask = NULL;
    for (int i = 0; i < 3; i++)
        must(ccz_key_generate(&key[i], CCZ_P384) == CCZ_OK, "key");
    memset(a->chip_id, 0xc1, turin ? 8 : 64);
    if (turin)
        memcpy(a->tcb, "\1\2\3\4\0\0\0\5", 8);
    issue(&a->ark, "ARK-Milan", key[0], NULL, NULL, NULL, 0);
    must(ccz_cert_parse(&ark, ccz_buf_span(&a->ark), NULL) == CCZ_OK, "ARK");
    issue(&a->ask, "SEV-Milan", key[1], ark, key[0], NULL, 0);
    must(ccz_cert_parse(&ask, ccz_buf_span(&a->ask), NULL) == CCZ_OK, "ASK");
    make_vek(a, turin, key[2], ask, key[1]);
    ccz_buf_init(&a->crl, CCZ_CERT_SIZE_MAX);
    must(ccz_crl_issue(&a->crl, ark, key[0], KIT_NOW_S - 60, KIT_NOW_S + 30 * 86400, NULL, 0) ==
             CCZ_OK,
         "CRL");
    ccz_buf_init(&a->later_crl, CCZ_CERT_SIZE_MAX);
    must(ccz_crl_issue(&a->later_crl, ark, key[0], KIT_NOW_S, KIT_NOW_S + 60 * 86400, NULL, 0) ==
             CCZ_OK,
         "CRL");
    for (int i = 0; i < 3; i++)
        ccz_key_free(key[i]);
}

void fake_amd_free(struct fake_amd *a)
{
    ccz_buf_free(&a->ark);
    ccz_buf_free(&a->ask);
    ccz_buf_free(&a->crl);
    ccz_buf_free(&a->vek);
    ccz_buf_free(&a->later_crl);
}
