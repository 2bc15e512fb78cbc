/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PCS_TEST_H
#define PCS_TEST_H
/* Shared by the tests of pcs: a directory, a clock, a store on a fake server. */
#include "../fakes/fake_pcs.h"

#include <cczoo/pcs.h>

#include "ccz_test.h"
#include "temp_dir.h"

#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------ clock */

static _Atomic int64_t test_now = KIT_NOW_S;
static _Atomic int64_t test_slept;

static inline int64_t test_clock(void *arg)
{
    (void)arg;
    return test_now;
}

static inline void test_sleep(void *arg, int64_t ms)
{
    (void)arg;
    test_now += ms / 1000;
    test_slept += ms / 1000;
}

static inline ccz_rc test_no_jitter(void *out, size_t size)
{
    memset(out, 0, size);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------ store */

static inline ccz_rc test_get(void *arg, unsigned *status, struct ccz_buf *body,
                              struct ccz_buf *headers, const char *url, struct ccz_err *err)
{
    return ccz_http_get(status, body, headers, arg, url, err);
}

static inline struct ccz_http_client *client_of(int64_t timeout_ms)
{
    struct ccz_http_client *c = NULL;
    const struct ccz_http_client_cfg cfg = {.timeout_ms = timeout_ms, .body_size_max = 1 << 20};
    CHECK(ccz_http_client_new(&c, &cfg, NULL) == CCZ_OK);
    return c;
}

/* As patient as the slowest machine needs. */
static inline struct ccz_http_client *test_client(void)
{
    return client_of(20000);
}

static inline struct ccz_pcs_store_cfg test_cfg(const char *dir, const struct ccz_roots *roots,
                                                struct ccz_http_client *client, const char *url)
{
    return (struct ccz_pcs_store_cfg){.dir = dir,
                                      .roots = roots,
                                      .clock = {test_clock, NULL},
                                      .getter = {test_get, client},
                                      .intel_url = url,
                                      .amd_url = url,
                                      .random = test_no_jitter};
}

static inline struct ccz_pcs_store *test_store(const struct ccz_pcs_store_cfg *cfg)
{
    struct ccz_pcs_store *s = NULL;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_pcs_store_new(&s, cfg, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    return s;
}

static inline void test_kit(struct kit *k, enum ccz_tee tee, uint8_t fmspc)
{
    struct kit_cfg cfg;
    kit_default(&cfg, tee, tee == CCZ_TEE_SGX ? 3 : 4);
    cfg.fmspc[5] = fmspc;
    kit_new(k, &cfg);
}

static inline struct ccz_pcs_want test_want(const struct kit *k)
{
    struct ccz_pcs_want w;
    CHECK(ccz_pcs_want_quote(&w, ccz_buf_span(&k->quote), &k->roots, NULL) == CCZ_OK);
    return w;
}

/* Does what lies in the directory verify the kit's quote? */
static inline bool test_verifies(const struct kit *k, const char *dir)
{
    CCZ_AUTO(ccz_pcs) set = NULL;
    struct ccz_quote q;
    struct ccz_platform platform;
    struct ccz_claims claims;
    if (ccz_pcs_load(&set, dir, &k->roots, NULL) != CCZ_OK)
        return false;
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&k->quote), NULL) == CCZ_OK);
    const struct ccz_collateral *c = ccz_quote_platform(&platform, &q, NULL) == CCZ_OK
                                         ? ccz_pcs_find(set, &platform)
                                         : ccz_pcs_find_only(set, q.tee);
    const struct ccz_verify_cfg cfg = {.now_s = test_now, .roots = &k->roots, .collateral = c};
    return c && ccz_quote_verify(&claims, ccz_buf_span(&k->quote), &cfg, NULL) == CCZ_OK;
}

static inline void test_said(ccz_rc rc, const struct ccz_err *err, ccz_rc want, const char *where)
{
    if (rc != want || strcmp(err->where, where) != 0)
        fprintf(stderr, "got %s at %s: %s, not %s at %s\n", ccz_rc_name(rc), err->where, err->msg,
                ccz_rc_name(want), where);
    CHECK(rc == want && strcmp(err->where, where) == 0);
}

#endif
