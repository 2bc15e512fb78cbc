/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence and collateral for the tests of `cczoo policy` and `cczoo evidence radar`, made by the unit tests' kit at
 * KIT_NOW_S: DIR/standard and DIR/early are trust folders of one software TEE, before and after a recovery that
 * asks for SGX component 2 (SVN 6 instead of 5); DIR/evidence has one quote per fate.
 */
#include "quote/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *base;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "evidence-kit: %s\n", what);
    exit(3);
}

static void put(const struct kit *k, const char *folder)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", base, folder);
    must(ccz_dir_make(path, 0700, NULL) == CCZ_OK, path);
    kit_write(k, path);
}

/* Only the root certificate: the bundles are in sub-folders. */
static void put_root(const struct kit *k, const char *folder)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s/root.pem", base, folder);
    must(ccz_file_write(path, ccz_buf_span(&k->root_pem), 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK,
         path);
}

static void put_quote(const struct kit_cfg *cfg, const char *name)
{
    struct kit k;
    char path[4096];
    kit_new(&k, cfg);
    (void)snprintf(path, sizeof(path), "%s/evidence/%s", base, name);
    must(ccz_file_write(path, ccz_buf_span(&k.quote), 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK,
         path);
    kit_free(&k);
}

/* Collateral of one TEE, standard and early, and the quotes of three platforms. */
static void make(enum ccz_tee tee)
{
    static const struct {
        const char *name;
        uint8_t comp;
        uint16_t pce_svn;
    } platforms[] = {{"good", 6, 11}, {"ending", 5, 11}, {"refused", 2, 7}};
    const char *tee_name = ccz_tee_name(tee);
    struct kit_cfg cfg;
    struct kit k;
    char name[64];
    kit_default(&cfg, tee, tee == CCZ_TEE_SGX ? 3 : 5);
    kit_new(&k, &cfg);
    (void)snprintf(name, sizeof(name), "standard/%s", tee_name);
    put(&k, name);
    put_root(&k, "standard");
    kit_free(&k);
    cfg.tcb_edit[0] = (struct kit_edit){"{\"svn\":5},{\"svn\":5}", "{\"svn\":5},{\"svn\":6}"};
    cfg.tcb_edit[1] =
        (struct kit_edit){"\"tcbEvaluationDataNumber\":18", "\"tcbEvaluationDataNumber\":19"};
    cfg.qe_edit[0] =
        (struct kit_edit){"\"tcbEvaluationDataNumber\":17", "\"tcbEvaluationDataNumber\":19"};
    kit_new(&k, &cfg);
    (void)snprintf(name, sizeof(name), "early/%s", tee_name);
    put(&k, name);
    put_root(&k, "early");
    kit_free(&k);
    for (size_t i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++) {
        kit_default(&cfg, tee, tee == CCZ_TEE_SGX ? 3 : 5);
        memset(cfg.comp, platforms[i].comp, sizeof(cfg.comp));
        cfg.pce_svn = platforms[i].pce_svn;
        (void)snprintf(name, sizeof(name), "%s-%s", tee_name, platforms[i].name);
        put_quote(&cfg, name);
    }
    if (tee == CCZ_TEE_TDX) { /* updated under the running TD */
        kit_default(&cfg, tee, 5);
        memset(cfg.comp, 6, sizeof(cfg.comp));
        cfg.tee_tcb_svn[0] = 2;
        put_quote(&cfg, "tdx-relaunch");
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: evidence-kit DIR\n");
        return 2;
    }
    char path[4096];
    base = argv[1];
    (void)snprintf(path, sizeof(path), "%s/evidence", base);
    must(ccz_dir_make(path, 0700, NULL) == CCZ_OK, path);
    make(CCZ_TEE_SGX);
    make(CCZ_TEE_TDX);
    char now[21];
    ccz_time_format(now, KIT_NOW_S);
    printf("%s\n", now);
    return 0;
}
