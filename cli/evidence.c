/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence.h"

#include <cczoo/codec.h>
#include <stdio.h>
#include <string.h>

ccz_rc cli_evidence_open(struct ccz_evidence **out, const char *file, struct ccz_err *err)
{
    CCZ_AUTO_BUF bytes;
    ccz_buf_init(&bytes, CCZ_EVIDENCE_FILE_MAX);
    *out = NULL;
    ccz_rc rc = ccz_file_read(&bytes, strcmp(file, "-") == 0 ? "/dev/stdin" : file, err);
    return rc == CCZ_OK ? ccz_evidence_open(out, ccz_buf_span(&bytes), err) : rc;
}

ccz_rc cli_time(int64_t *out_s, const char *at, struct ccz_err *err)
{
    *out_s = ccz_clock_now_s(ccz_clock_system());
    if (at && ccz_time_parse(out_s, at, strlen(at)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_ARG, "cli:at", 0, "--at %s is not like 2026-01-31T00:00:00Z",
                        at);
    return CCZ_OK;
}

ccz_rc cli_policy_read(struct ccz_policy **out, const char *file, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, file, err);
    return rc == CCZ_OK ? ccz_policy_parse(out, ccz_buf_span(&text), err) : rc;
}

static int64_t fixed_now(void *arg)
{
    return *(int64_t *)arg;
}

/* What is fetched for another time than now is not what is asked for now, and early is not standard: kept apart. */
static ccz_rc open_remote(struct cli_verifier *v, const struct cli_trust *t, struct ccz_err *err)
{
    const struct cli_site site = {.from = t->collateral};
    struct cli_roots roots;
    char name[32];
    (void)snprintf(name, sizeof(name), "collateral%s%s", t->early ? "-early" : "",
                   t->at ? "-at" : "");
    ccz_rc rc = cli_cache_dir(v->dir, sizeof(v->dir), name, err);
    if (rc == CCZ_OK)
        rc = cli_roots(&roots, NULL, err);
    const struct ccz_pcs_store_cfg cfg = {.dir = v->dir,
                                          .roots = &roots.intel,
                                          .snp_roots = &roots.amd,
                                          .clock = {fixed_now, &v->fetch_s},
                                          .update = t->early ? CCZ_PCS_EARLY : CCZ_PCS_STANDARD,
                                          .wait_max_s = CLI_WAIT_S};
    return rc == CCZ_OK ? cli_store_open(&v->store, &site, cfg, err) : rc;
}

static ccz_rc open_collateral(struct cli_verifier *v, const struct cli_trust *t,
                              struct ccz_err *err)
{
    if (!t->collateral)
        return CCZ_OK;
    if (cli_collateral_is_remote(t->collateral))
        return open_remote(v, t, err);
    int n = snprintf(v->dir, sizeof(v->dir), "%s", t->collateral);
    if (n < 0 || (size_t)n >= sizeof(v->dir))
        return ccz_fail(err, CCZ_E_LIMIT, "cli:path", n, "the path is too long");
    return CCZ_OK;
}

ccz_rc cli_verifier_open(struct cli_verifier *v, const struct cli_trust *t, struct ccz_err *err)
{
    *v = (struct cli_verifier){0};
    ccz_rc rc = cli_time(&v->now_s, t->at, err);
    v->fetch_s = v->now_s;
    if (rc == CCZ_OK && t->policy)
        rc = cli_policy_read(&v->policy, t->policy, err);
    if (rc == CCZ_OK)
        rc = open_collateral(v, t, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_verifier_cfg cfg = {.clock = {fixed_now, &v->now_s},
                                         .collateral_dir = v->dir[0] ? v->dir : NULL,
                                         .trust_sim_dir = t->sim,
                                         .policy = v->policy,
                                         .fetch =
                                             v->store.store ? ccz_pcs_store_fetch_evidence : NULL,
                                         .fetch_arg = v->store.store};
    return ccz_verifier_new(&v->verifier, &cfg, err);
}

void cli_verifier_close(struct cli_verifier *v)
{
    ccz_verifier_free(v->verifier);
    cli_store_close(&v->store);
    ccz_policy_free(v->policy);
    *v = (struct cli_verifier){0};
}

static ccz_rc verify_only(void *arg, struct ccz_claims *claims, struct ccz_span evidence,
                          struct ccz_err *err)
{
    return ccz_verifier_verify(arg, claims, evidence, err);
}

ccz_rc cli_verify_opened(struct ccz_claims *claims, const struct cli_verifier *v,
                         const struct ccz_evidence *e, struct ccz_err *err)
{
    return ccz_evidence_appraise(claims, e, verify_only, v->verifier, err);
}

ccz_rc cli_verify(struct ccz_claims *claims, const struct cli_verifier *v, const char *file,
                  struct ccz_err *err)
{
    CCZ_AUTO(ccz_evidence) e = NULL;
    struct ccz_verdict verdict;
    ccz_rc rc = cli_evidence_open(&e, file, err);
    if (rc == CCZ_OK)
        rc = cli_verify_opened(claims, v, e, err);
    if (rc == CCZ_OK && v->policy)
        rc = ccz_policy_eval(&verdict, v->policy, claims, v->now_s, err);
    if (rc != CCZ_OK)
        *claims = (struct ccz_claims){0};
    return rc;
}

void cli_put_error(struct ccz_buf *out, const struct ccz_err *err)
{
    const struct {
        const char *name, *text;
    } parts[] = {{"where", err->where},
                 {"message", err->msg},
                 {"got", err->got},
                 {"expected", err->expected},
                 {"hint", err->hint}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        ccz_buf_printf(out, "%s\"%s\":", i ? "," : "{", parts[i].name);
        ccz_json_put_str(out, ccz_span_str(parts[i].text));
    }
    ccz_buf_put_str(out, "}");
}

void cli_put_hex(struct ccz_buf *out, struct ccz_span v)
{
    uint8_t *p = ccz_buf_extend(out, 2 * v.size + 1);
    if (!p)
        return;
    ccz_hex((char *)p, v.ptr, v.size);
    out->size--; /* the NUL */
}

int cli_tee_fail(const struct ccz_err *err)
{
    if (err->rc == CCZ_E_MISMATCH)
        return ui_fail(err);
    ui_error("%s: %s", err->where, err->msg);
    if (err->hint[0])
        ui_hint("%s", err->hint);
    return err->rc == CCZ_E_ARG ? UI_USAGE : UI_ENV;
}
