/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "fake_pcs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    bool crl, vlek;
};

static bool find_amd(struct found *out, const struct fake_amd *a, const char *path)
{
    if (!a || (strncmp(path, "/vcek/v1/", 9) != 0 && strncmp(path, "/vlek/v1/", 9) != 0))
        return false;
    out->vlek = strncmp(path, "/vlek/", 6) == 0;
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
        *out = (struct found){k->pck_leaf, k->pck_chain, "SGX-PCK-Certificate-Issuer-Chain", false,
                              false};
        return true;
    }
    const struct ccz_collateral_src *s = choose(k, path, query);
    if (!s)
        s = strstr(path, "crl") || strstr(path, "Root") ? k->serve[0] : NULL;
    if (!s)
        return false;
    if (strstr(path, "/tcb"))
        *out =
            (struct found){s->tcb_info, s->tcb_info_chain, "TCB-Info-Issuer-Chain", false, false};
    else if (strstr(path, "/qe/identity"))
        *out = (struct found){s->qe_identity, s->qe_identity_chain,
                              "SGX-Enclave-Identity-Issuer-Chain", false, false};
    else if (strstr(path, "/pckcrl"))
        *out =
            (struct found){s->pck_crl, s->pck_crl_chain, "SGX-PCK-CRL-Issuer-Chain", true, false};
    else if (strstr(path, "rootcacrl") || strstr(path, "IntelSGXRootCA.der"))
        *out = (struct found){s->root_ca_crl, {NULL, 0}, NULL, true, false};
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
        ccz_pem_put(&f->body, "CERTIFICATE", ccz_buf_span(x->vlek ? &k->amd->asvk : &k->amd->ask));
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
