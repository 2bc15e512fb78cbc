/* SPDX-License-Identifier: Apache-2.0 */
/* Putting verified bundles into a directory: all of them, and none that is older than what is there. */
#define _DEFAULT_SOURCE
#include "pcs/pcs_priv.h"

#include <cczoo/codec.h>
#include <cczoo/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AMD_FILES_MAX = 4096, MANIFEST_SIZE_MAX = 16 << 20 };

ccz_rc cczi_install_init(struct cczi_install *in, const struct ccz_pcs_import_cfg *cfg,
                         struct ccz_err *err)
{
    *in = (struct cczi_install){.cfg = cfg};
    if (!cfg->dir || !cfg->roots || cfg->now_s == 0)
        return ccz_fail(err, CCZ_E_ARG, "archive:config", 0,
                        "directory, roots or time are missing");
    in->list = calloc(CCZ_PCS_LEN_MAX, sizeof(*in->list));
    return in->list ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "pcs:memory", 0, "out of memory");
}

void cczi_install_deinit(struct cczi_install *in)
{
    for (size_t i = 0; i < in->len; i++)
        cczi_parts_free(in->list[i].parts);
    for (size_t i = 0; i < in->amd_len; i++)
        free(in->amd[i].files);
    free(in->list);
}

struct ccz_pcs_want cczi_want_of(const struct ccz_collateral *c)
{
    struct ccz_platform p;
    ccz_collateral_platform(&p, c);
    struct ccz_pcs_want w = {.tee = p.tee, .ca = p.ca};
    memcpy(w.fmspc, p.fmspc, sizeof(w.fmspc));
    return w;
}

/* --------------------------------------------------------------------------------- gathering */

ccz_rc cczi_install_add(struct cczi_install *in, struct ccz_buf parts[CCZI_PARTS], const char *name,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_collateral) c = NULL;
    if (in->len >= CCZ_PCS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:len", CCZ_PCS_LEN_MAX + 1, CCZ_PCS_LEN_MAX);
    struct cczi_incoming *to = &in->list[in->len];
    ccz_rc rc = cczi_parts_open(&c, parts, in->cfg->roots, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pcs_want want = cczi_want_of(c);
    rc = cczi_want_name(to->name, &want, err);
    if (rc != CCZ_OK)
        return rc;
    if (name && strcmp(name, to->name) != 0)
        return ccz_refuse(err, CCZ_E_MISMATCH, "archive:name", name, to->name);
    if (ccz_collateral_expires(c) < in->cfg->now_s) {
        char until[21];
        ccz_time_format(until, ccz_collateral_expires(c));
        return ccz_refuse(err, CCZ_E_EXPIRED, "archive:expired", until, "a date in the future");
    }
    for (size_t i = 0; i < in->len; i++)
        if (strcmp(in->list[i].name, to->name) == 0)
            return ccz_fail(err, CCZ_E_EXISTS, "pcs:duplicate", 0, "two bundles for %s", to->name);
    memcpy(to->parts, parts, sizeof(to->parts));
    cczi_parts_init(parts);
    in->len++;
    return CCZ_OK;
}

ccz_rc cczi_install_add_amd(struct cczi_install *in, const char *name, const char *file,
                            struct ccz_span data, struct ccz_err *err)
{
    struct cczi_incoming_amd *a = NULL;
    for (size_t i = 0; i < in->amd_len; i++)
        if (strcmp(in->amd[i].name, name) == 0)
            a = &in->amd[i];
    if (!a && in->amd_len < sizeof(in->amd) / sizeof(in->amd[0])) {
        a = &in->amd[in->amd_len++];
        (void)snprintf(a->name, sizeof(a->name), "%s", name);
        a->files = calloc(AMD_FILES_MAX, sizeof(*a->files));
    }
    if (!a || !a->files)
        return ccz_fail(err, CCZ_E_NOMEM, "pcs:memory", 0, "out of memory");
    if (a->len >= AMD_FILES_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:len", AMD_FILES_MAX + 1, AMD_FILES_MAX);
    for (size_t i = 0; i < a->len; i++)
        if (strcmp(a->files[i].file, file) == 0) /* the second one would not be looked at */
            return ccz_fail(err, CCZ_E_EXISTS, "pcs:duplicate", 0, "%.100s twice", file);
    (void)snprintf(a->files[a->len].file, sizeof(a->files[0].file), "%s", file);
    a->files[a->len++].data = data;
    return CCZ_OK;
}

static struct ccz_span amd_file(const struct cczi_incoming_amd *a, const char *file)
{
    for (size_t i = 0; i < a->len; i++)
        if (strcmp(a->files[i].file, file) == 0)
            return a->files[i].data;
    return (struct ccz_span){NULL, 0};
}

/* ---------------------------------------------------------------------------------- checks */

static ccz_rc refuse_rollback(struct ccz_err *err, int64_t got_s, int64_t want_s)
{
    char got[21], want[21];
    ccz_time_format(got, got_s);
    ccz_time_format(want, want_s);
    ccz_rc rc = ccz_refuse(err, CCZ_E_MISMATCH, "archive:rollback", got, want);
    return ccz_hint(err, rc, "what is installed is newer: import only if that was a mistake");
}

/* Chip and TCB of "<chip>-<tcb>.vek.der" */
static bool want_of_file(struct ccz_pcs_want_amd *w, const char *file)
{
    return strlen(file) == 128 + 1 + 16 + 8 &&
           ccz_unhex(w->chip_id, sizeof(w->chip_id), file, 128) == CCZ_OK &&
           ccz_unhex(w->tcb, sizeof(w->tcb), file + 129, 16) == CCZ_OK;
}

static ccz_rc check_amd(const struct cczi_install *in, const struct cczi_incoming_amd *a,
                        struct ccz_err *err)
{
    int64_t until_s = 0;
    char product[8] = "";
    struct cczi_amd_parts p = {
        amd_file(a, "ark.der"), amd_file(a, "ask.der"), amd_file(a, "crl.der"), {NULL, 0}};
    (void)snprintf(product, sizeof(product), "%.5s", a->name + strlen("snp-"));
    struct ccz_pcs_want_amd w = {.product = product, .vlek = strstr(a->name, "-vlek") != NULL};
    if (p.ark.size == 0 || p.ca.size == 0 || p.crl.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "pcs:incomplete", 0, "%s lacks ARK, ASK or CRL",
                        a->name);
    ccz_rc rc = cczi_amd_check(&until_s, &p, &w, in->cfg->snp_roots, err);
    if (rc == CCZ_OK && until_s < in->cfg->now_s)
        rc = ccz_fail(err, CCZ_E_EXPIRED, "archive:expired", 0,
                      "chain or revocation list of %s has expired", a->name);
    for (size_t i = 0; i < a->len && rc == CCZ_OK; i++) {
        p.vek = a->files[i].data;
        if (want_of_file(&w, a->files[i].file))
            rc = cczi_amd_check(&until_s, &p, &w, in->cfg->snp_roots, err);
    }
    return rc;
}

static ccz_rc check_amd_newer(const struct cczi_install *in, const struct cczi_incoming_amd *a,
                              struct ccz_err *err)
{
    char dir[CCZI_PCS_PATH_SIZE], path[CCZI_PCS_PATH_SIZE];
    CCZ_AUTO_BUF old;
    CCZ_AUTO(ccz_crl) was = NULL;
    CCZ_AUTO(ccz_crl) is = NULL;
    ccz_buf_init(&old, CCZ_PCS_ANSWER_SIZE_MAX);
    if (in->cfg->older_insecure || cczi_path(dir, in->cfg->dir, a->name, NULL) != CCZ_OK ||
        cczi_path(path, dir, "crl.der", NULL) != CCZ_OK ||
        ccz_file_read(&old, path, NULL) != CCZ_OK ||
        ccz_crl_parse(&was, ccz_buf_span(&old), NULL) != CCZ_OK)
        return CCZ_OK;
    ccz_rc rc = ccz_crl_parse(&is, amd_file(a, "crl.der"), err);
    if (rc == CCZ_OK && ccz_crl_this_update(is) < ccz_crl_this_update(was))
        rc = refuse_rollback(err, ccz_crl_this_update(is), ccz_crl_this_update(was));
    return rc;
}

/* None of the documents is older than what is there in dir/name. */
static ccz_rc check_newer(const struct cczi_install *in, const struct cczi_incoming *to,
                          const char *name, struct ccz_err *err)
{
    char dir[CCZI_PCS_PATH_SIZE];
    struct ccz_buf old[CCZI_PARTS];
    int64_t is_s, was_s;
    if (in->cfg->older_insecure)
        return CCZ_OK;
    cczi_parts_init(old);
    ccz_rc rc = cczi_path(dir, in->cfg->dir, name, err);
    if (rc == CCZ_OK)
        rc = cczi_parts_read(old, dir, err);
    if (rc == CCZ_OK && cczi_parts_older(&is_s, &was_s, to->parts, old))
        rc = refuse_rollback(err, is_s, was_s);
    cczi_parts_free(old);
    return rc;
}

/* Bundles take the names of those they replace. */
static ccz_rc check_set(struct cczi_install *in, const struct ccz_pcs *set, struct ccz_err *err)
{
    for (size_t i = 0; i < ccz_pcs_len(set); i++) {
        struct ccz_pcs_entry e = ccz_pcs_at(set, i);
        const struct ccz_pcs_want want = cczi_want_of(e.collateral);
        char name[CCZ_PCS_NAME_MAX + 1];
        if (cczi_want_name(name, &want, NULL) != CCZ_OK)
            continue;
        for (size_t n = 0; n < in->len; n++) {
            struct cczi_incoming *to = &in->list[n];
            if (strcmp(to->name, name) != 0)
                continue;
            if (strcmp(e.name, ".") == 0)
                return ccz_fail(err, CCZ_E_EXISTS, "pcs:in-the-way", 0,
                                "%.100s itself is the bundle of a platform", in->cfg->dir);
            ccz_rc rc = check_newer(in, to, e.name, err);
            if (rc != CCZ_OK)
                return rc;
            (void)snprintf(to->name, sizeof(to->name), "%s", e.name);
            break;
        }
    }
    return CCZ_OK;
}

/* The date of the archive that was installed last. */
static int64_t installed_s(const struct cczi_install *in)
{
    char path[CCZI_PCS_PATH_SIZE];
    int64_t t_s = 0;
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) json = NULL;
    ccz_buf_init(&text, MANIFEST_SIZE_MAX);
    if (cczi_path(path, in->cfg->dir, CCZI_MANIFEST_FILE, NULL) != CCZ_OK ||
        ccz_file_read(&text, path, NULL) != CCZ_OK ||
        ccz_json_parse(&json, ccz_buf_span(&text), NULL) != CCZ_OK)
        return 0;
    struct ccz_span v = ccz_json_bytes(ccz_json_get(json, "created"));
    return ccz_time_parse(&t_s, (const char *)v.ptr, v.size) == CCZ_OK ? t_s : 0;
}

static ccz_rc check(struct cczi_install *in, struct ccz_err *err)
{
    CCZ_AUTO(ccz_pcs) set = NULL;
    struct ccz_err why = {0};
    ccz_rc rc = ccz_pcs_load(&set, in->cfg->dir, in->cfg->roots, &why);
    if (rc == CCZ_E_NOT_FOUND && strcmp(why.where, "pcs:empty") == 0)
        rc = CCZ_OK;
    if (rc != CCZ_OK) {
        if (err)
            *err = why;
        return rc;
    }
    CCZ_AUTO(ccz_json) json = NULL;
    int64_t was_s = installed_s(in), is_s = 0;
    if (in->manifest.size > 0 && was_s > 0 && !in->cfg->older_insecure &&
        ccz_json_parse(&json, in->manifest, NULL) == CCZ_OK) {
        struct ccz_span v = ccz_json_bytes(ccz_json_get(json, "created"));
        if (ccz_time_parse(&is_s, (const char *)v.ptr, v.size) != CCZ_OK || is_s < was_s)
            return refuse_rollback(err, is_s, was_s);
    }
    rc = check_set(in, set, err);
    for (size_t i = 0; i < in->amd_len && rc == CCZ_OK; i++) {
        rc = check_amd(in, &in->amd[i], err);
        if (rc == CCZ_OK)
            rc = check_amd_newer(in, &in->amd[i], err);
    }
    return rc;
}

/* --------------------------------------------------------------------------------- writing */

static ccz_rc stage(const struct cczi_install *in, const struct cczi_incoming *one,
                    struct ccz_err *err)
{
    struct cczi_file files[CCZI_PARTS];
    size_t len = 0;
    for (int i = 0; i < CCZI_PARTS; i++)
        if (one->parts[i].size > 0)
            files[len++] = (struct cczi_file){cczi_part_names[i], ccz_buf_span(&one->parts[i])};
    return cczi_dir_stage(in->cfg->dir, one->name, files, len, err);
}

static ccz_rc write_amd(const struct cczi_install *in, const struct cczi_incoming_amd *a,
                        struct ccz_err *err)
{
    char dir[CCZI_PCS_PATH_SIZE], path[CCZI_PCS_PATH_SIZE];
    ccz_rc rc = cczi_path(dir, in->cfg->dir, a->name, err);
    if (rc == CCZ_OK)
        rc = ccz_dir_make(dir, 0755, err);
    for (size_t i = 0; i < a->len && rc == CCZ_OK; i++) {
        rc = cczi_path(path, dir, a->files[i].file, err);
        if (rc == CCZ_OK)
            rc = ccz_file_write(path, a->files[i].data, 0644, CCZ_FILE_REPLACE, err);
    }
    return rc;
}

/* All is staged before anything is replaced: a full disk changes nothing. */
static ccz_rc write_all(const struct cczi_install *in, struct ccz_err *err)
{
    char path[CCZI_PCS_PATH_SIZE];
    ccz_rc rc = cczi_path(path, in->cfg->dir, CCZI_MANIFEST_FILE, err);
    for (size_t i = 0; i < in->len && rc == CCZ_OK; i++)
        rc = stage(in, &in->list[i], err);
    for (size_t i = 0; i < in->len && rc == CCZ_OK; i++)
        rc = cczi_dir_commit(in->cfg->dir, in->list[i].name, err);
    for (size_t i = 0; i < in->amd_len && rc == CCZ_OK; i++)
        rc = write_amd(in, &in->amd[i], err);
    if (rc == CCZ_OK && in->manifest.size > 0)
        rc = ccz_file_write(path, in->manifest, 0644, CCZ_FILE_REPLACE, err);
    if (rc != CCZ_OK)
        cczi_dir_recover(in->cfg->dir);
    return rc;
}

ccz_rc cczi_install_commit(struct cczi_install *in, struct ccz_err *err)
{
    int fd = -1;
    ccz_rc rc = ccz_dir_make(in->cfg->dir, 0755, err);
    if (rc == CCZ_OK)
        rc = cczi_lock_fetch(&fd, in->cfg->dir, err);
    if (rc == CCZ_OK) {
        cczi_dir_recover(in->cfg->dir);
        rc = check(in, err);
    }
    if (rc == CCZ_OK)
        rc = write_all(in, err);
    if (fd >= 0)
        close(fd);
    return rc;
}
