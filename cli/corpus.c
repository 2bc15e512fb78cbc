/* SPDX-License-Identifier: Apache-2.0 */
#include "corpus.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_kind(const char *path, mode_t kind)
{
    struct stat st;
    return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == kind;
}

static ccz_rc nomem(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "corpus:memory", 0, "out of memory");
}

/* One entry of the folder: evidence, a folder with evidence, or something else, which is left alone. */
static ccz_rc add(struct corpus *c, const char *dir, const char *name, struct ccz_err *err)
{
    char path[CORPUS_PATH_SIZE], own[CORPUS_PATH_SIZE], shown[CORPUS_NAME_SIZE];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (n < 0 || (size_t)n + sizeof("/evidence.bin") > sizeof(path))
        return ccz_fail(err, CCZ_E_LIMIT, "corpus:path", n, "the path of an entry is too long");
    (void)snprintf(own, sizeof(own), "%.*s/collateral", n, path);
    bool has_own = is_kind(own, S_IFDIR);
    if (is_kind(path, S_IFDIR))
        (void)snprintf(path + n, sizeof(path) - (size_t)n, "/evidence.bin");
    if (!is_kind(path, S_IFREG))
        return CCZ_OK;
    if (c->len == CORPUS_LEN_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "corpus:len", CORPUS_LEN_MAX, "more than %d entries",
                        CORPUS_LEN_MAX);
    struct corpus_item *grown = realloc(c->item, (c->len + 1) * sizeof(*grown));
    if (!grown)
        return nomem(err);
    c->item = grown;
    ccz_escape(shown, sizeof(shown), ccz_span_str(name));
    c->item[c->len] =
        (struct corpus_item){strdup(shown), strdup(path), has_own ? strdup(own) : NULL};
    const struct corpus_item *i = &c->item[c->len++];
    return i->name && i->file && (i->collateral || !has_own) ? CCZ_OK : nomem(err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct corpus_item *)a)->name, ((const struct corpus_item *)b)->name);
}

ccz_rc corpus_read(struct corpus *out, const char *dir, struct ccz_err *err)
{
    *out = (struct corpus){0};
    DIR *d = opendir(dir);
    if (!d)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "corpus:open", 0, "cannot open the folder %s", dir);
    ccz_rc rc = CCZ_OK;
    for (const struct dirent *e; rc == CCZ_OK && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            rc = add(out, dir, e->d_name, err);
    closedir(d);
    if (rc == CCZ_OK && out->len == 0)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "corpus:empty", 0, "no evidence in %s", dir);
    if (rc == CCZ_OK)
        qsort(out->item, out->len, sizeof(out->item[0]), by_name);
    else
        corpus_free(out);
    return rc;
}

void corpus_free(struct corpus *c)
{
    for (size_t i = 0; i < c->len; i++) {
        free(c->item[i].name);
        free(c->item[i].file);
        free(c->item[i].collateral);
    }
    free(c->item);
    *c = (struct corpus){0};
}
