/* SPDX-License-Identifier: Apache-2.0 */
#include "served.h"

#include <cczoo/pf.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ccz_rc served_open_attester(struct ccz_attester **out, const struct served_opts *o,
                            struct ccz_err *err)
{
    *out = NULL;
    if (strcmp(o->engine, "als") == 0) /* nothing but this program computes */
        return ccz_attester_open(
            out, &(struct ccz_attester_cfg){.provider = o->tee, .sim_dir = o->sim_dir}, err);
    char framework[4096];
    const char *slash = strrchr(o->tensorflow, '/');
    if (!slash)
        return ccz_fail(err, CCZ_E_ARG, "served:tensorflow", 0,
                        "--tensorflow needs a path with a folder");
    int n = snprintf(framework, sizeof(framework), "%.*s/libtensorflow_framework.so.2",
                     (int)(slash - o->tensorflow), o->tensorflow);
    if (n < 0 || (size_t)n >= sizeof(framework))
        return ccz_fail(err, CCZ_E_LIMIT, "served:tensorflow", n, "path of TensorFlow is too long");
    const char *const libs[] = {framework,
                                o->tensorflow}; /* in the order in which the engine loads them */
    const struct ccz_attester_cfg cfg = {
        .provider = o->tee, .sim_dir = o->sim_dir, .measure = libs, .measure_len = 2};
    if (access(o->tensorflow, R_OK) != 0)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_IO, "served:tensorflow", errno, "cannot read %s: %s",
                                 o->tensorflow, strerror(errno)),
                        "scripts/fetch-tensorflow gets the libraries and prints their folder");
    return ccz_attester_open(out, &cfg, err);
}

ccz_rc served_kms_open(struct served_kms *k, const struct served_opts *o,
                       struct ccz_attester *attester, struct ccz_err *err)
{
    const struct ccz_party_cfg cfg = {
        .attester = attester,
        .collateral_dir = o->collateral,
        .trust_sim_dir = o->trust_sim,
        .collateral_from = o->collateral_from,
        .collateral_ca_file = o->collateral_ca_file,
        .policy_file = o->kms_policy,
    };
    *k = (struct served_kms){0};
    ccz_rc rc = ccz_party_new(&k->party, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg c = {.target = o->kms, .ratls = ccz_party_ratls(k->party)};
    rc = ccz_rpc_client_new(&k->client, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, k->client, err);
    if (rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_TIMEOUT)
        (void)ccz_hint(err, rc,
                       "is this the address of the key management service, and does it run?");
    if (rc != CCZ_OK)
        served_kms_close(k);
    return rc;
}

void served_kms_close(struct served_kms *k)
{
    ccz_rpc_client_free(k->client); /* before the party whose context it uses */
    ccz_party_free(k->party);
    *k = (struct served_kms){0};
}

static ccz_rc get_item(struct served_item *item, struct ccz_kms_instance *kms,
                       struct ccz_rpc_client *client, struct ccz_err *err)
{
    struct ccz_kms_release info;
    ccz_rc rc = ccz_kms_release(&item->value, &info, client, item->name, item->ask, err);
    if (rc == CCZ_OK) /* an order of one owner, a key of another: also at the next load */
        rc = ccz_kms_instance_check(kms, &info, err);
    if (rc == CCZ_OK && item->ask && info.version != item->ask)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "served:key-version", info.version, item->ask);
    if (rc != CCZ_OK)
        return rc;
    item->version = info.version;
    ccz_log(CCZ_LOG_INFO, "served", "key item=%s version=%u policy=%s rule=\"%s\" audit_seq=%llu",
            item->name, info.version, info.policy, info.rule,
            (unsigned long long)info.receipt.audit_seq);
    return CCZ_OK;
}

ccz_rc served_get_items(struct served_item *items, size_t len, const struct served_opts *o,
                        struct ccz_kms_instance *kms, struct ccz_attester *attester,
                        struct ccz_err *err)
{
    struct served_kms k;
    ccz_rc rc = served_kms_open(&k, o, attester, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = get_item(&items[i], kms, k.client, err);
    for (size_t i = 0; rc != CCZ_OK && i < len; i++) {
        ccz_secret_free(items[i].value);
        items[i].value = NULL;
    }
    served_kms_close(&k);
    return rc;
}

/* The open protected files of one model folder. */
struct files {
    const char *dir;
    const struct ccz_secret *key;
    size_t len;
    struct ccz_model_file file[CCZ_MODEL_FILES_MAX];
    struct ccz_pf_reader *reader[CCZ_MODEL_FILES_MAX];
    int fd[CCZ_MODEL_FILES_MAX];
};

static ccz_rc open_file(void *arg, const char *rel, struct ccz_err *err)
{
    struct files *f = arg;
    char path[4096], bound[CCZ_PF_PATH_SIZE_MAX + 1];
    if (f->len == CCZ_MODEL_FILES_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "served:model-files", (int64_t)f->len + 1,
                              CCZ_MODEL_FILES_MAX);
    int n = snprintf(path, sizeof(path), "%s/%s", f->dir, rel);
    if (n < 0 || (size_t)n >= sizeof(path))
        return ccz_fail(err, CCZ_E_LIMIT, "served:path", n, "path of a model file is too long");
    ccz_rc rc = ccz_pf_path_normalise(bound, path, err);
    if (rc != CCZ_OK)
        return rc;
    size_t i = f->len++;
    f->fd[i] = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (f->fd[i] < 0)
        return ccz_fail(err, CCZ_E_IO, "served:open", 0, "cannot open %s", path);
    const struct ccz_pf_io io = ccz_pf_io_fd(&f->fd[i]);
    rc = ccz_pf_reader_open(&f->reader[i], &io, f->key,
                            &(struct ccz_pf_cfg){.path = bound, .name = rel}, err);
    if (rc != CCZ_OK)
        return rc;
    char *name = strdup(rel);
    f->file[i] = (struct ccz_model_file){.name = name, .size = ccz_pf_reader_size(f->reader[i])};
    return name ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "served:model-files", 0, "out of memory");
}

static void close_files(struct files *f)
{
    for (size_t i = 0; i < f->len; i++) {
        ccz_pf_reader_free(f->reader[i]);
        if (f->fd[i] >= 0)
            close(f->fd[i]);
        free((void *)(uintptr_t)f->file[i].name);
    }
    free(f);
}

static ccz_rc read_at(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                      struct ccz_err *err)
{
    struct files *f = arg;
    return ccz_pf_reader_read(out, f->reader[file], offset, size, err);
}

ccz_rc served_load_model(struct ccz_model **out, struct ccz_engine *engine,
                         const struct served_opts *o, const struct ccz_secret *key,
                         struct ccz_err *err)
{
    *out = NULL;
    struct files *f = calloc(1, sizeof(*f));
    if (!f)
        return ccz_fail(err, CCZ_E_NOMEM, "served:model", 0, "out of memory");
    f->dir = o->model_dir;
    f->key = key;
    int64_t t0 = ccz_mono_ms();
    ccz_rc rc = ccz_pf_tree_walk(o->model_dir, open_file, f, err);
    if (rc == CCZ_OK && f->len == 0)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "served:model", 0, "%s holds no file", o->model_dir);
    if (rc == CCZ_E_IO || rc == CCZ_E_NOT_FOUND)
        (void)ccz_hint(
            err, rc,
            "--model-dir is a folder that `cczoo pf encrypt` made, by its name at that time");
    const struct ccz_model_cfg cfg = {
        .files = f->file, .files_len = f->len, .read_at = read_at, .arg = f};
    if (rc == CCZ_OK)
        rc = ccz_model_load(out, engine, &cfg, err);
    if (rc == CCZ_OK)
        ccz_log(CCZ_LOG_INFO, "served", "model name=%s files=%zu loaded_ms=%lld", o->model_name,
                f->len, (long long)(ccz_mono_ms() - t0));
    close_files(f);
    return rc;
}
