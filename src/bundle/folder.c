/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in the folder of a bundle, and its protected files one by one. */
#define _DEFAULT_SOURCE
#include "bundle_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Each its own purpose: what opens files says nothing of the digests, and the check nothing of either. */
static const char files_info[] = "cczoo bundle 1: files", digest_info[] = "cczoo bundle 1: digests",
                  check_info[] = "cczoo bundle 1: check";

ccz_rc cczi_bundle_join(char out[CCZI_BUNDLE_PATH_MAX], const char *dir, const char *name,
                        struct ccz_err *err)
{
    const int n = snprintf(out, CCZI_BUNDLE_PATH_MAX, "%s/%s", dir, name);
    return n > 0 && n < CCZI_BUNDLE_PATH_MAX
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_LIMIT, "bundle:path-size", n, "the path is too long");
}

ccz_rc cczi_bundle_read_small(struct ccz_buf *out, const char *dir, const char *name,
                              const char *missing, struct ccz_err *err)
{
    char path[CCZI_BUNDLE_PATH_MAX];
    ccz_rc rc = cczi_bundle_join(path, dir, name, err);
    if (rc == CCZ_OK)
        rc = ccz_file_read(out, path, err);
    return rc == CCZ_E_NOT_FOUND ? ccz_fail(err, rc, missing, 0, "there is no %.120s", path) : rc;
}

/* ---------------------------------------------------------------------------------- which files */

struct census {
    const struct ccz_bundle_manifest *m;
    bool seen[CCZ_BUNDLE_FILES_MAX];
    char extra[CCZ_ERR_VALUE_SIZE]; /* the first that is not in the manifest; escaped */
};

static size_t find(const struct ccz_bundle_manifest *m, const char *path)
{
    size_t i = 0;
    while (i < m->files_len && strcmp(m->file[i].path, path) != 0)
        i++;
    return i;
}

static ccz_rc count(void *arg, const char *rel, struct ccz_err *err)
{
    (void)err;
    struct census *c = arg;
    static const uint8_t none[32];
    const bool owned = memcmp(c->m->owner, none, sizeof(none)) != 0;
    if (strcmp(rel, CCZI_BUNDLE_MANIFEST) == 0 || strcmp(rel, CCZI_BUNDLE_SIGNATURE) == 0 ||
        (owned && strcmp(rel, CCZI_BUNDLE_OWNER) == 0))
        return CCZ_OK;
    const size_t prefix = sizeof(CCZI_BUNDLE_FILES); /* its NUL stands for the '/' */
    size_t i = c->m->files_len;
    if (strncmp(rel, CCZI_BUNDLE_FILES "/", prefix) == 0)
        i = find(c->m, rel + prefix);
    if (i < c->m->files_len)
        c->seen[i] = true;
    else if (!c->extra[0])
        ccz_escape(c->extra, sizeof(c->extra), ccz_span_str(rel));
    return CCZ_OK;
}

ccz_rc cczi_bundle_folder_check(const char *dir, const struct ccz_bundle_manifest *m,
                                struct ccz_err *err)
{
    struct census c = {.m = m};
    ccz_rc rc = ccz_pf_tree_walk(dir, count, &c, err);
    if (rc != CCZ_OK)
        return rc;
    const char *missing = NULL;
    for (size_t i = 0; i < m->files_len && !missing; i++)
        missing = c.seen[i] ? NULL : m->file[i].path;
    if (!missing && !c.extra[0])
        return CCZ_OK;
    const char *where = !missing     ? "bundle:file-extra"
                        : c.extra[0] ? "bundle:file-renamed"
                                     : "bundle:file-missing";
    return ccz_hint(err,
                    ccz_refuse(err, CCZ_E_MISMATCH, where, c.extra[0] ? c.extra : "no such file",
                               missing ? missing : "the files of the manifest and no other"),
                    "a folder of a bundle holds what its manifest says and nothing else");
}

/* ----------------------------------------------------------------------------------------- keys */

ccz_rc cczi_bundle_keys_init(struct cczi_bundle_keys *k, const struct ccz_secret *key,
                             struct ccz_err *err)
{
    *k = (struct cczi_bundle_keys){0};
    const size_t size = key ? ccz_secret_size(key) : 0;
    if (size < 16 || size > 64)
        return ccz_fail(err, CCZ_E_ARG, "bundle:key-size", (int64_t)size,
                        "got a key of %zu bytes, expected 16 to 64", size);
    CCZ_AUTO(ccz_secret) check = NULL;
    ccz_rc rc = ccz_secret_derive(&k->files, CCZ_PF_KEY_SIZE, key, files_info);
    if (rc == CCZ_OK)
        rc = ccz_secret_derive(&k->digest, 32, key, digest_info);
    if (rc == CCZ_OK)
        rc = ccz_secret_derive(&check, sizeof(k->check), key, check_info);
    if (rc != CCZ_OK) {
        cczi_bundle_keys_deinit(k);
        return ccz_fail(err, rc, "bundle:key-size", 0, "cannot derive the keys of the bundle");
    }
    memcpy(k->check, ccz_secret_view(check), sizeof(k->check));
    return CCZ_OK;
}

void cczi_bundle_keys_deinit(struct cczi_bundle_keys *k)
{
    ccz_secret_free(k->files);
    ccz_secret_free(k->digest);
    *k = (struct cczi_bundle_keys){0};
}

/* ------------------------------------------------------------------------------- protected files */

/* A genuine file under this key in the wrong place: of this bundle, or of another one? The refusal quotes what it is bound to. */
static ccz_rc misplaced(const struct ccz_err *why, const char *prefix, const char *path,
                        struct ccz_err *err)
{
    const bool own = strncmp(why->got, prefix, strlen(prefix)) == 0;
    return ccz_hint(err,
                    ccz_refuse(err, CCZ_E_SIG, own ? "bundle:file-swapped" : "bundle:file-foreign",
                               own ? why->got + strlen(prefix) : why->got, path),
                    own ? "files of this bundle were exchanged" : "a file of another bundle");
}

ccz_rc cczi_bundle_reader_open(struct cczi_bundle_reader *r, const char *dir, const uint8_t id[16],
                               const char *path, const struct ccz_secret *key, struct ccz_err *err)
{
    char rel[CCZI_BUNDLE_PATH_MAX], full[CCZI_BUNDLE_PATH_MAX], hex[33];
    char prefix[CCZI_BUNDLE_BOUND_SIZE], bound[CCZI_BUNDLE_BOUND_SIZE + CCZ_BUNDLE_PATH_SIZE];
    struct ccz_err why = {0};
    *r = (struct cczi_bundle_reader){.fd = -1};
    ccz_hex(hex, id, 16);
    (void)snprintf(prefix, sizeof(prefix), "%s%s/", CCZI_BUNDLE_BOUND, hex);
    (void)snprintf(bound, sizeof(bound), "%s%s", prefix, path);
    ccz_rc rc = cczi_bundle_join(rel, CCZI_BUNDLE_FILES, path, err);
    if (rc == CCZ_OK)
        rc = cczi_bundle_join(full, dir, rel, err);
    if (rc == CCZ_OK && ccz_hasher_new(&r->hash, CCZ_SHA256) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "bundle:memory", 0, "out of memory");
    if (rc != CCZ_OK)
        return rc;
    r->fd = open(full, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (r->fd < 0)
        return ccz_fail(err, errno == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "bundle:file", errno,
                        "cannot open %.120s: %s", full, strerror(errno));
    const struct ccz_pf_io io = ccz_pf_io_fd(&r->fd);
    rc = ccz_pf_reader_open(&r->pf, &io, key, &(struct ccz_pf_cfg){.path = bound, .name = path},
                            &why);
    if (rc == CCZ_E_SIG && strcmp(why.where, "pf:path") == 0)
        return misplaced(&why, prefix, path, err);
    if (rc != CCZ_OK && err)
        *err = why;
    return rc;
}

void cczi_bundle_reader_close(struct cczi_bundle_reader *r)
{
    ccz_pf_reader_free(r->pf);
    ccz_hasher_free(r->hash);
    if (r->fd >= 0)
        close(r->fd);
    *r = (struct cczi_bundle_reader){.fd = -1};
}

ccz_rc cczi_bundle_reader_next(void *out, struct cczi_bundle_reader *r, size_t size,
                               struct ccz_err *err)
{
    ccz_rc rc = ccz_pf_reader_read(out, r->pf, r->at, size, err);
    if (rc != CCZ_OK)
        return rc;
    r->at += size;
    rc = ccz_hasher_put(r->hash, CCZ_SPAN(out, size));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "bundle:digest", 0, "cannot hash the file");
}

ccz_rc cczi_bundle_reader_digest(uint8_t out[32], struct cczi_bundle_reader *r,
                                 const struct ccz_secret *key, struct ccz_err *err)
{
    uint8_t plain[32]; /* tells which public model this is: not for others */
    const struct ccz_span part = CCZ_SPAN(plain, sizeof(plain));
    ccz_rc rc = ccz_hasher_done(plain, r->hash);
    if (rc == CCZ_OK)
        rc = ccz_hmac(out, CCZ_SHA256, CCZ_SPAN(ccz_secret_view(key), ccz_secret_size(key)), &part,
                      1);
    ccz_wipe(plain, sizeof(plain));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "bundle:digest", 0, "cannot hash the file");
}

static ccz_rc hash_fd(uint8_t out[32], int fd, const char *path, struct ccz_err *err)
{
    uint8_t chunk[16384];
    CCZ_AUTO(ccz_hasher) h = NULL;
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA256);
    while (rc == CCZ_OK) {
        const ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ccz_fail(err, CCZ_E_IO, "bundle:file", errno, "cannot read %.120s: %s", path,
                            strerror(errno));
        if (n == 0)
            break;
        rc = ccz_hasher_put(h, CCZ_SPAN(chunk, (size_t)n));
    }
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(out, h);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "bundle:file", 0, "cannot hash %.120s", path);
}

ccz_rc cczi_bundle_sha256(uint8_t out[32], const char *path, struct ccz_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return ccz_fail(err, CCZ_E_IO, "bundle:file", errno, "cannot open %.120s: %s", path,
                        strerror(errno));
    ccz_rc rc = hash_fd(out, fd, path, err);
    close(fd);
    return rc;
}
