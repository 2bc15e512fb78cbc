/* SPDX-License-Identifier: Apache-2.0 */
/* The set: every bundle below one directory, looked up by platform. */
#define _DEFAULT_SOURCE
#include "pcs/pcs_priv.h"
#include "pcs/snp_bundle.h"

#include <cczoo/codec.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bundle {
    char name[CCZ_PCS_NAME_MAX + 1];
    struct ccz_collateral *collateral;
};

struct ccz_pcs {
    struct bundle bundle[CCZ_PCS_LEN_MAX];
    size_t len;
    struct cczi_snp_bundles snp;
};

/* --------------------------------------------------------------------------------- loading */

static bool same_platform(const struct ccz_platform *a, const struct ccz_platform *b)
{
    return a->tee == b->tee && memcmp(a->fmspc, b->fmspc, sizeof(a->fmspc)) == 0 &&
           memcmp(a->pck_issuer, b->pck_issuer, sizeof(a->pck_issuer)) == 0;
}

/* Puts the bundle's name in front of the reason. */
static ccz_rc in_bundle(struct ccz_err *err, ccz_rc rc, const char *name)
{
    if (err) {
        char msg[CCZ_ERR_MSG_SIZE], clean[CCZ_PCS_NAME_MAX + 1];
        ccz_escape(clean, sizeof(clean), ccz_span_str(name));
        (void)snprintf(msg, sizeof(msg), "bundle %.60s: %.110s", clean, err->msg);
        memcpy(err->msg, msg, sizeof(msg));
    }
    return rc;
}

/* Adds the bundle in dir/name, if there is one. */
static ccz_rc add(struct ccz_pcs *p, const char *dir, const char *name,
                  const struct ccz_roots *roots, struct ccz_err *err)
{
    char path[CCZI_PCS_PATH_SIZE];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof(path) || strlen(name) > CCZ_PCS_NAME_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:name", n, CCZ_PCS_NAME_MAX);
    CCZ_AUTO(ccz_collateral) c = NULL;
    struct ccz_err why = {0};
    ccz_rc rc = cczi_bundle_load(&c, path, roots, &why);
    if (rc == CCZ_E_NOT_FOUND && strcmp(why.where, "pcs:no-bundle") == 0)
        return CCZ_OK;
    if (rc != CCZ_OK) {
        if (err)
            *err = why;
        return in_bundle(err, rc, name);
    }
    struct ccz_platform platform;
    ccz_collateral_platform(&platform, c);
    if (ccz_pcs_find(p, &platform)) {
        rc = ccz_fail(err, CCZ_E_EXISTS, "pcs:duplicate", 0, "its platform has another bundle");
        return in_bundle(err, rc, name);
    }
    if (p->len >= CCZ_PCS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:len", CCZ_PCS_LEN_MAX + 1, CCZ_PCS_LEN_MAX);
    struct bundle *b = &p->bundle[p->len++];
    (void)snprintf(b->name, sizeof(b->name), "%s", name);
    b->collateral = ccz_collateral_take(&c);
    return CCZ_OK;
}

/* Adds AMD's bundle in dir/name, if there is one. */
static ccz_rc add_snp(struct ccz_pcs *p, const char *dir, const char *name,
                      const struct ccz_snp_roots *roots, struct ccz_err *err)
{
    char path[CCZI_PCS_PATH_SIZE];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof(path) || strlen(name) > CCZ_PCS_NAME_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:name", n, CCZ_PCS_NAME_MAX);
    struct ccz_err why = {0};
    ccz_rc rc = cczi_snp_bundles_add(&p->snp, path, name, roots, &why);
    if (rc == CCZ_OK || (rc == CCZ_E_NOT_FOUND && strcmp(why.where, "pcs:no-bundle") == 0))
        return CCZ_OK;
    if (err)
        *err = why;
    return in_bundle(err, rc, name);
}

static int not_hidden(const struct dirent *e)
{
    return e->d_name[0] != '.' || e->d_name[1] == 0; /* "." is the directory itself */
}

ccz_rc ccz_pcs_load(struct ccz_pcs **out, const char *dir, const struct ccz_roots *roots,
                    struct ccz_err *err)
{
    return ccz_pcs_load_all(out, dir, roots, NULL, err);
}

ccz_rc ccz_pcs_load_all(struct ccz_pcs **out, const char *dir, const struct ccz_roots *intel,
                        const struct ccz_snp_roots *amd, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_pcs) p = calloc(1, sizeof(*p));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "pcs:memory", 0, "out of memory");
    struct dirent **list = NULL;
    int lock = cczi_lock_shared(dir); /* no bundle changes while it is read */
    int len = scandir(dir, &list, not_hidden, alphasort);
    ccz_rc rc = CCZ_OK;
    if (len < 0)
        rc = ccz_fail(err, CCZ_E_IO, "pcs:dir", errno, "%.120s: %s", dir, strerror(errno));
    for (int i = 0; i < len; i++) {
        bool may =
            list[i]->d_type == DT_DIR || list[i]->d_type == DT_LNK || list[i]->d_type == DT_UNKNOWN;
        if (rc == CCZ_OK && may && intel)
            rc = add(p, dir, list[i]->d_name, intel, err);
        if (rc == CCZ_OK && may && amd)
            rc = add_snp(p, dir, list[i]->d_name, amd, err);
        free(list[i]);
    }
    free(list);
    if (lock >= 0)
        close(lock);
    if (rc == CCZ_OK && p->len == 0 && p->snp.len == 0) {
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "pcs:empty", 0, "no collateral bundle in %.120s", dir);
        ccz_hint(err, rc, "a bundle is a directory with tcb_info.json and its companions");
    }
    if (rc == CCZ_OK)
        *out = ccz_pcs_take(&p);
    return rc;
}

void ccz_pcs_free(struct ccz_pcs *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->len; i++)
        ccz_collateral_free(p->bundle[i].collateral);
    cczi_snp_bundles_free(&p->snp);
    free(p);
}

/* ------------------------------------------------------------------------------- questions */

size_t ccz_pcs_len(const struct ccz_pcs *p)
{
    return p ? p->len : 0;
}

struct ccz_pcs_entry ccz_pcs_at(const struct ccz_pcs *p, size_t i)
{
    return (struct ccz_pcs_entry){p->bundle[i].name, p->bundle[i].collateral};
}

const struct ccz_collateral *ccz_pcs_find(const struct ccz_pcs *p,
                                          const struct ccz_platform *platform)
{
    for (size_t i = 0; i < ccz_pcs_len(p); i++) {
        struct ccz_platform here;
        ccz_collateral_platform(&here, p->bundle[i].collateral);
        if (same_platform(&here, platform))
            return p->bundle[i].collateral;
    }
    return NULL;
}

const struct ccz_collateral *ccz_pcs_find_only(const struct ccz_pcs *p, enum ccz_tee tee)
{
    const struct ccz_collateral *found = NULL;
    for (size_t i = 0; i < ccz_pcs_len(p); i++) {
        if (ccz_collateral_tee(p->bundle[i].collateral) != tee)
            continue;
        if (found)
            return NULL;
        found = p->bundle[i].collateral;
    }
    return found;
}

size_t ccz_pcs_snp_len(const struct ccz_pcs *p)
{
    return p ? p->snp.len : 0;
}

struct ccz_pcs_snp_entry ccz_pcs_snp_at(const struct ccz_pcs *p, size_t i)
{
    return (struct ccz_pcs_snp_entry){p->snp.list[i].name, p->snp.list[i].collateral};
}

int64_t ccz_pcs_expires(const struct ccz_pcs *p)
{
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < ccz_pcs_len(p); i++) {
        int64_t t = ccz_collateral_expires(p->bundle[i].collateral);
        first = t < first ? t : first;
    }
    return p ? cczi_snp_bundles_expires(&p->snp, first) : first;
}

void cczi_report_one(struct ccz_buf *out, const char *name, const struct ccz_collateral *c,
                     int64_t now_s)
{
    char fmspc[13], issued[21], expires[21];
    int64_t until_s = ccz_collateral_expires(c);
    ccz_hex(fmspc, ccz_collateral_fmspc(c), 6);
    ccz_time_format(issued, ccz_collateral_issued(c));
    ccz_time_format(expires, until_s);
    ccz_buf_put_str(out, "{\"name\":");
    ccz_json_put_str(out, ccz_span_str(name));
    ccz_buf_printf(out,
                   ",\"tee\":\"%s\",\"fmspc\":\"%s\",\"issued\":\"%s\",\"expires\":\"%s\","
                   "\"seconds_left\":%lld,\"expired\":%s,\"simulated\":%s}",
                   ccz_tee_name(ccz_collateral_tee(c)), fmspc, issued, expires,
                   (long long)(until_s - now_s), now_s > until_s ? "true" : "false",
                   ccz_collateral_simulated(c) ? "true" : "false");
}

void ccz_pcs_report(struct ccz_buf *out, const struct ccz_pcs *p, int64_t now_s)
{
    ccz_buf_put_str(out, "[");
    for (size_t i = 0; i < ccz_pcs_len(p); i++) {
        if (i)
            ccz_buf_put_str(out, ",");
        cczi_report_one(out, p->bundle[i].name, p->bundle[i].collateral, now_s);
    }
    if (p)
        cczi_snp_bundles_report(out, &p->snp, p->len == 0, now_s);
    ccz_buf_put_str(out, "]");
}
