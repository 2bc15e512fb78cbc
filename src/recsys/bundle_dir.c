/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a bundle: which key it needs, and its protected files opened. */
#define _DEFAULT_SOURCE
#include "bundle_priv.h"
#include "recsys_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

struct ccz_recsys_folder {
    struct ccz_model_cfg cfg;
    struct ccz_model_file file[CCZI_BUNDLE_FILES_MAX];
    struct ccz_pf_reader *pf[CCZI_BUNDLE_FILES_MAX];
    int fd[CCZI_BUNDLE_FILES_MAX];
    size_t len;
};

static ccz_rc join(char out[PATH_SIZE], const char *dir, const char *name, struct ccz_err *err)
{
    const int n = snprintf(out, PATH_SIZE, "%s/%s", dir, name);
    return n > 0 && n < PATH_SIZE
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_LIMIT, "recsys:bundle-dir", n, "the path is too long");
}

ccz_rc ccz_recsys_bundle_key(char key[8 + CCZ_RECSYS_NAME_SIZE], uint32_t *version, const char *dir,
                             struct ccz_err *err)
{
    char path[PATH_SIZE];
    int64_t number = 0;
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) root = NULL;
    key[0] = 0;
    *version = 0;
    ccz_buf_init(&text, 4096);
    ccz_rc rc = join(path, dir, CCZI_BUNDLE_KEY, err);
    if (rc == CCZ_OK)
        rc = ccz_file_read(&text, path, err);
    if (rc != CCZ_OK)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_IO, "recsys:bundle-key", 0, "cannot read %.150s", path),
                        "a bundle is a folder that `cczoo recsys train` or `import` made");
    rc = ccz_json_parse(&root, ccz_buf_span(&text), err);
    const char *name = rc == CCZ_OK ? ccz_json_str(ccz_json_get(root, "key")) : NULL;
    if (!name || strlen(name) >= 8 + CCZ_RECSYS_NAME_SIZE ||
        !ccz_json_int(&number, ccz_json_get(root, "key_version")) || number < 0 ||
        number > UINT32_MAX || !name[0] != !number)
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:bundle-key", 0, "%.150s names no key", path);
    memcpy(key, name, strlen(name) + 1);
    *version = (uint32_t)number;
    return CCZ_OK;
}

/* Said by the name of the key alone, before anything is decrypted: an older key would not open it in any case. */
static ccz_rc check_key_version(const char *dir, uint32_t latest, struct ccz_err *err)
{
    char key[8 + CCZ_RECSYS_NAME_SIZE], got[64], expected[64];
    uint32_t version;
    ccz_rc rc = latest ? ccz_recsys_bundle_key(key, &version, dir, err) : CCZ_OK;
    if (rc != CCZ_OK || latest == 0 || version == latest)
        return rc;
    (void)snprintf(got, sizeof(got), "version %u of the key", version);
    (void)snprintf(expected, sizeof(expected), "version %u", latest);
    return ccz_hint(err, ccz_refuse(err, CCZ_E_POLICY, "recsys:rolled-back", got, expected),
                    "somebody put back an older bundle, or the new one is not there yet");
}

static ccz_rc add(struct ccz_recsys_folder *f, const char *dir, const char *name, bool optional,
                  const struct ccz_secret *key, struct ccz_err *err)
{
    char path[PATH_SIZE], bound[64];
    ccz_rc rc = join(path, dir, name, err);
    if (rc != CCZ_OK)
        return rc;
    const size_t i = f->len;
    f->fd[i] = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (f->fd[i] < 0 && errno == ENOENT && optional)
        return CCZ_OK;
    if (f->fd[i] < 0)
        return ccz_fail(err, errno == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "recsys:bundle-file",
                        errno, "cannot open %.120s: %s", path, strerror(errno));
    f->len++;
    (void)snprintf(bound, sizeof(bound), "%s%s", CCZ_RECSYS_BUNDLE_BOUND, name);
    const struct ccz_pf_io io = ccz_pf_io_fd(&f->fd[i]);
    rc = ccz_pf_reader_open(&f->pf[i], &io, key, &(struct ccz_pf_cfg){.path = bound, .name = name},
                            err);
    if (rc == CCZ_OK)
        f->file[i] = (struct ccz_model_file){.name = name, .size = ccz_pf_reader_size(f->pf[i])};
    return rc;
}

static ccz_rc read_at(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                      struct ccz_err *err)
{
    struct ccz_recsys_folder *f = arg;
    return ccz_pf_reader_read(out, f->pf[file], offset, size, err);
}

ccz_rc ccz_recsys_folder_open(struct ccz_recsys_folder **out, const char *dir,
                              const struct ccz_secret *key, uint32_t key_version,
                              struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_key_version(dir, key_version, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_recsys_folder) f = calloc(1, sizeof(*f));
    if (!f)
        return cczi_recsys_no_memory(err);
    rc = add(f, dir, CCZI_BUNDLE_MANIFEST, false, key, err);
    if (rc == CCZ_OK)
        rc = add(f, dir, CCZI_BUNDLE_SIGNATURE, false, key, err);
    for (int p = 0; rc == CCZ_OK && p < CCZI_PARTS; p++)
        rc = add(f, dir, cczi_bundle_part_name((enum cczi_bundle_part)p), p == CCZI_PART_TITLES,
                 key, err);
    if (rc != CCZ_OK)
        return rc;
    f->cfg =
        (struct ccz_model_cfg){.files = f->file, .files_len = f->len, .read_at = read_at, .arg = f};
    *out = ccz_recsys_folder_take(&f);
    return CCZ_OK;
}

const struct ccz_model_cfg *ccz_recsys_folder_files(const struct ccz_recsys_folder *f)
{
    return &f->cfg;
}

void ccz_recsys_folder_free(struct ccz_recsys_folder *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->len; i++) {
        ccz_pf_reader_free(f->pf[i]);
        close(f->fd[i]);
    }
    free(f);
}

ccz_rc ccz_recsys_bundle_open(struct ccz_recsys_bundle **out, const char *dir,
                              const struct ccz_secret *key, const struct ccz_recsys_bundle_cfg *cfg,
                              struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_recsys_folder) f = NULL;
    ccz_rc rc = ccz_recsys_folder_open(&f, dir, key,
                                       cfg->any_key_version_insecure ? 0 : cfg->key_version, err);
    return rc == CCZ_OK ? ccz_recsys_bundle_read(out, ccz_recsys_folder_files(f), cfg, err) : rc;
}
