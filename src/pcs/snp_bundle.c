/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's bundles: one directory with the certificates of a product line and kind of VEK to struct
 * ccz_snp_collateral_src, and their part of a set. */
#define _DEFAULT_SOURCE
#include "pcs/snp_bundle.h"

#include <cczoo/codec.h>
#include <cczoo/x509.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* --------------------------------------------------------------------------------- one bundle */

static ccz_rc path_of(char path[PATH_SIZE], const char *dir, const char *file, struct ccz_err *err)
{
    int n = snprintf(path, PATH_SIZE, "%s/%s", dir, file);
    if (n < 0 || n >= PATH_SIZE)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:path", n, PATH_SIZE - 1);
    return CCZ_OK;
}

/* Reads the one of @p names that exists; none: @p out stays empty. */
static ccz_rc read_one(struct ccz_buf *out, const char *dir, const char *const *names,
                       struct ccz_err *err)
{
    char path[PATH_SIZE], found[PATH_SIZE] = "";
    for (size_t i = 0; names[i]; i++) {
        ccz_rc rc = path_of(path, dir, names[i], err);
        if (rc != CCZ_OK)
            return rc;
        if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
            continue;
        if (found[0])
            return ccz_fail(err, CCZ_E_EXISTS, "pcs:snp-files", 0,
                            "%s stands beside another form of it", names[i]);
        memcpy(found, path, sizeof(found));
    }
    if (!found[0])
        return CCZ_OK;
    ccz_rc rc = ccz_file_read(out, found, err);
    if (rc == CCZ_OK &&
        out->size == 0) /* a list that was cut off must not mean that there is none */
        rc = ccz_fail(err, CCZ_E_FORMAT, "pcs:snp-files", 0, "%s is empty", names[0]);
    return rc;
}

static bool ends_with(const char *name, const char *end)
{
    size_t a = strlen(name), b = strlen(end);
    return a > b && strcmp(name + a - b, end) == 0;
}

static int is_vek(const struct dirent *e)
{
    const char *n = e->d_name;
    return n[0] != '.' &&
           (ends_with(n, ".vek.der") || strcmp(n, "vcek.der") == 0 || strcmp(n, "vlek.der") == 0);
}

struct veks {
    struct ccz_buf *bytes;
    struct ccz_span *spans;
    size_t len;
};

static void veks_free(struct veks *v)
{
    for (size_t i = 0; i < v->len; i++)
        ccz_buf_free(&v->bytes[i]);
    free(v->bytes);
    free(v->spans);
}

static ccz_rc read_veks(struct veks *v, const char *dir, struct dirent *const *list, size_t len,
                        struct ccz_err *err)
{
    if (len > CCZ_SNP_COLLATERAL_VEK_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "snp:veks", (int64_t)len,
                              CCZ_SNP_COLLATERAL_VEK_MAX);
    v->bytes = calloc(len ? len : 1, sizeof(*v->bytes));
    v->spans = calloc(len ? len : 1, sizeof(*v->spans));
    if (!v->bytes || !v->spans)
        return ccz_fail(err, CCZ_E_NOMEM, "pcs:memory", 0, "out of memory");
    for (size_t i = 0; i < len; i++) {
        char path[PATH_SIZE];
        ccz_rc rc = path_of(path, dir, list[i]->d_name, err);
        ccz_buf_init(&v->bytes[v->len++], CCZ_CERT_SIZE_MAX);
        if (rc == CCZ_OK)
            rc = ccz_file_read(&v->bytes[i], path, err);
        if (rc != CCZ_OK)
            return rc;
        v->spans[i] = ccz_buf_span(&v->bytes[i]);
    }
    return CCZ_OK;
}

/* In the order of names, so that a directory has one reading. */
static ccz_rc find_veks(struct veks *v, const char *dir, struct ccz_err *err)
{
    struct dirent **list = NULL;
    int len = scandir(dir, &list, is_vek, alphasort);
    if (len < 0)
        return ccz_fail(err, CCZ_E_IO, "pcs:dir", errno, "%.120s: %s", dir, strerror(errno));
    ccz_rc rc = read_veks(v, dir, list, (size_t)len, err);
    for (int i = 0; i < len; i++)
        free(list[i]);
    free(list);
    return rc;
}

static ccz_rc open_bundle(struct ccz_snp_collateral **out, const struct ccz_buf parts[3],
                          const char *dir, const struct ccz_snp_roots *roots, struct ccz_err *err)
{
    struct veks veks = {0};
    ccz_rc rc = find_veks(&veks, dir, err);
    const struct ccz_snp_collateral_src src = {
        .ark = ccz_buf_span(&parts[0]),
        .ca = ccz_buf_span(&parts[1]),
        .crl = ccz_buf_span(&parts[2]),
        .veks = veks.spans,
        .veks_len = veks.len,
    };
    if (rc == CCZ_OK)
        rc = ccz_snp_collateral_new(out, &src, roots, err);
    veks_free(&veks);
    return rc;
}

static ccz_rc bundle_load(struct ccz_snp_collateral **out, const char *dir,
                          const struct ccz_snp_roots *roots, struct ccz_err *err)
{
    static const char *const ark[] = {"ark.der", "ark.pem", NULL};
    static const char *const ca[] = {"ask.der", "ask.pem", "asvk.der", "asvk.pem", NULL};
    static const char *const crl[] = {"crl.der", "crl.pem", NULL};
    static const char *const *const names[] = {ark, ca, crl};
    struct ccz_buf parts[3];
    for (int i = 0; i < 3; i++)
        ccz_buf_init(&parts[i], CCZ_COLLATERAL_SIZE_MAX);
    *out = NULL;
    ccz_rc rc = CCZ_OK;
    for (int i = 0; i < 3 && rc == CCZ_OK; i++)
        rc = read_one(&parts[i], dir, names[i], err);
    if (rc == CCZ_OK && parts[0].size == 0)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "pcs:no-bundle", 0, "no ark.der");
    if (rc == CCZ_OK && parts[1].size == 0)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "pcs:incomplete", 0, "ask.der is missing");
    if (rc == CCZ_OK)
        rc = open_bundle(out, parts, dir, roots, err);
    for (int i = 0; i < 3; i++)
        ccz_buf_free(&parts[i]);
    return rc;
}

/* -------------------------------------------------------------------------------------- a set */

static const struct ccz_snp_collateral *
find(const struct cczi_snp_bundles *b, enum ccz_snp_product product, enum ccz_snp_signer signer)
{
    for (size_t i = 0; i < b->len; i++) {
        const struct ccz_snp_collateral *c = b->list[i].collateral;
        if (ccz_snp_collateral_product(c) == product && ccz_snp_collateral_signer(c) == signer)
            return c;
    }
    return NULL;
}

ccz_rc cczi_snp_bundles_add(struct cczi_snp_bundles *b, const char *dir, const char *name,
                            const struct ccz_snp_roots *roots, struct ccz_err *err)
{
    CCZ_AUTO(ccz_snp_collateral) c = NULL;
    ccz_rc rc = bundle_load(&c, dir, roots, err);
    if (rc != CCZ_OK)
        return rc;
    if (find(b, ccz_snp_collateral_product(c), ccz_snp_collateral_signer(c)))
        return ccz_fail(err, CCZ_E_EXISTS, "pcs:duplicate", 0,
                        "its product line and kind of key have another bundle");
    if (b->len >= CCZI_SNP_BUNDLES_MAX) /* there are no more kinds of collateral than that */
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:len", (int64_t)b->len + 1,
                              CCZI_SNP_BUNDLES_MAX);
    struct cczi_snp_bundle *to = &b->list[b->len++];
    (void)snprintf(to->name, sizeof(to->name), "%s", name);
    to->collateral = ccz_snp_collateral_take(&c);
    return CCZ_OK;
}

void cczi_snp_bundles_free(struct cczi_snp_bundles *b)
{
    for (size_t i = 0; i < b->len; i++)
        ccz_snp_collateral_free(b->list[i].collateral);
    b->len = 0;
}

int64_t cczi_snp_bundles_expires(const struct cczi_snp_bundles *b, int64_t first_s)
{
    for (size_t i = 0; i < b->len; i++) {
        int64_t t = ccz_snp_collateral_expires(b->list[i].collateral);
        first_s = t < first_s ? t : first_s;
    }
    return first_s;
}

static void report_one(struct ccz_buf *out, const struct cczi_snp_bundle *b, int64_t now_s)
{
    char issued[24] = "null", expires[21];
    const struct ccz_snp_collateral *c = b->collateral;
    int64_t until_s = ccz_snp_collateral_expires(c), issued_s = ccz_snp_collateral_issued(c);
    ccz_time_format(expires, until_s);
    if (issued_s) { /* thisUpdate of the CRL, if there is one */
        issued[0] = '"';
        ccz_time_format(issued + 1, issued_s);
        memcpy(issued + 21, "\"", 2);
    }
    ccz_buf_put_str(out, "{\"name\":");
    ccz_json_put_str(out, ccz_span_str(b->name));
    ccz_buf_printf(out,
                   ",\"tee\":\"snp\",\"product\":\"%s\",\"signer\":\"%s\",\"crl\":%s,\"issued\":%s,"
                   "\"expires\":\"%s\",\"seconds_left\":%lld,\"expired\":%s,\"simulated\":%s}",
                   ccz_snp_product_name(ccz_snp_collateral_product(c)),
                   ccz_snp_signer_name(ccz_snp_collateral_signer(c)), issued_s ? "true" : "false",
                   issued, expires, (long long)(until_s - now_s),
                   now_s > until_s ? "true" : "false",
                   ccz_snp_collateral_simulated(c) ? "true" : "false");
}

void cczi_snp_bundles_report(struct ccz_buf *out, const struct cczi_snp_bundles *b, bool first,
                             int64_t now_s)
{
    for (size_t i = 0; i < b->len; i++) {
        if (i > 0 || !first)
            ccz_buf_put_str(out, ",");
        report_one(out, &b->list[i], now_s);
    }
}
