/* SPDX-License-Identifier: Apache-2.0 */
/* Master key and counter, as the options name them; and the commands that are about them alone. */
#include "kmsd.h"

#include "../../cli/ui.h"

#include <string.h>
#include <unistd.h>

enum { SHARES_FILE_SIZE_MAX = 16384 };

/* A file with a share a line. */
static ccz_rc give_shares(struct ccz_kms_master *m, const char *file, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) text = NULL;
    ccz_rc rc = ccz_file_read_secret(&text, file, SHARES_FILE_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    const uint8_t *at = ccz_secret_view(text);
    for (size_t left = ccz_secret_size(text); rc == CCZ_OK && left;) {
        const uint8_t *end = memchr(at, '\n', left);
        size_t n = end ? (size_t)(end - at) : left;
        if (n)
            rc = ccz_kms_master_give(NULL, m, CCZ_SPAN(at, n), err);
        n += end ? 1 : 0;
        at += n;
        left -= n;
    }
    return rc;
}

ccz_rc kmsd_attester_open(struct kmsd_keys *k, const struct kmsd_opts *o, struct ccz_err *err)
{
    const struct ccz_attester_cfg tee = {.provider = o->tee, .sim_dir = o->sim_dir};
    return k->attester || !o->tee ? CCZ_OK : ccz_attester_open(&k->attester, &tee, err);
}

/* A sealed key cannot be opened without the TEE, and who takes shares shows evidence first. */
static bool needs_tee(const char *spec)
{
    return spec && (strncmp(spec, "tee:", 4) == 0 || strncmp(spec, "shamir:", 7) == 0);
}

ccz_rc kmsd_keys_open(struct kmsd_keys *k, const struct kmsd_opts *o, struct ccz_err *err)
{
    *k = (struct kmsd_keys){.state = o->state};
    ccz_rc rc = CCZ_OK;
    if (needs_tee(o->master_key) || needs_tee(o->new_master_key))
        rc = kmsd_attester_open(k, o, err);
    const struct ccz_kms_master_cfg master = {.spec = o->master_key,
                                              .dir = o->state.dir,
                                              .attester = k->attester,
                                              .shares_dir = o->shares_dir};
    if (rc == CCZ_OK)
        rc = ccz_kms_master_open(&k->state.master, &master, err);
    if (rc == CCZ_OK && o->shares)
        rc = give_shares(k->state.master, o->shares, err);
    if (rc == CCZ_OK && o->epoch) {
        const struct ccz_kms_epoch_cfg epoch = {.spec = o->epoch,
                                                .dir = o->state.dir,
                                                .lag_s = (uint32_t)o->epoch_lag_s,
                                                .accept_lost = o->accept_lost,
                                                .accept_rolled_back = o->accept_rolled_back,
                                                .read_only = o->only_looks};
        rc = ccz_kms_epoch_open(&k->state.epoch, &epoch, err);
    }
    return rc;
}

void kmsd_keys_drop_master(struct kmsd_keys *k)
{
    ccz_kms_master_free(k->state.master);
    k->state.master = NULL;
}

void kmsd_keys_close(struct kmsd_keys *k)
{
    kmsd_keys_drop_master(k);
    ccz_kms_epoch_free(k->state.epoch);
    ccz_attester_free(k->attester);
    *k = (struct kmsd_keys){0};
}

/* ---------------------------------------------------------------------------- commands */

static ccz_rc rekey(struct kmsd_keys *k, const struct kmsd_opts *o, int64_t now_s,
                    struct ccz_err *err)
{
    CCZ_AUTO(ccz_kms_store) store = NULL;
    CCZ_AUTO(ccz_kms_master) to = NULL;
    const struct ccz_kms_master_cfg cfg = {.spec = o->new_master_key,
                                           .dir = o->state.dir,
                                           .attester = k->attester,
                                           .shares_dir = o->shares_dir};
    ccz_rc rc = ccz_kms_store_open(&store, &k->state, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_master_open(&to, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_rekey(store, to, now_s, err);
    return rc;
}

int kmsd_rekey(const struct kmsd_opts *o, int64_t now_s)
{
    struct ccz_err err = {0};
    struct kmsd_keys k;
    ccz_rc rc = kmsd_keys_open(&k, o, &err);
    if (rc == CCZ_OK)
        rc = rekey(&k, o, now_s, &err);
    kmsd_keys_close(&k);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    ui_say(
        "the store is under a new master key; what had its place, if anything, is kept beside it "
        "as FILE.old, for backups: destroy it with them");
    kmsd_say_shares(o);
    return UI_OK;
}

void kmsd_say_shares(const struct kmsd_opts *o)
{
    if (o->shares_dir)
        ui_say("shares of the master key: %s; give each to another person, and keep none here",
               o->shares_dir);
}

int kmsd_epoch(const struct kmsd_opts *o, int64_t now_s)
{
    struct ccz_err err = {0};
    struct kmsd_keys k;
    const char *what = "nothing";
    struct ccz_kms_store *store = NULL;
    ccz_rc rc = kmsd_keys_open(&k, o, &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_store_open(&store, &k.state, &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_epoch_accept(&what, store, now_s, &err);
    ccz_kms_store_free(store);
    kmsd_keys_close(&k);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    ui_out("accepted=%s\n", what);
    return UI_OK;
}
