/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence.h"

#include <string.h>

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

ccz_rc cli_open_collateral(const char **dir, const char *dir_or_url, struct ccz_err *err)
{
    *dir = NULL;
    if (dir_or_url && strstr(dir_or_url, "://")) {
        (void)ccz_fail(err, CCZ_E_ARG, "cli:collateral-url", 0,
                       "--collateral takes a directory, not an address");
        return ccz_hint(err, CCZ_E_ARG,
                        "fetch it first: cczoo collateral fetch, then --collateral DIR");
    }
    *dir = dir_or_url;
    return CCZ_OK;
}

static int64_t fixed_now(void *arg)
{
    return *(int64_t *)arg;
}

ccz_rc cli_verifier_open(struct cli_verifier *v, const struct cli_trust *t, struct ccz_err *err)
{
    const char *dir;
    *v = (struct cli_verifier){0};
    ccz_rc rc = cli_time(&v->now_s, t->at, err);
    if (rc == CCZ_OK && t->policy)
        rc = cli_policy_read(&v->policy, t->policy, err);
    if (rc == CCZ_OK)
        rc = cli_open_collateral(&dir, t->collateral, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_verifier_cfg cfg = {.clock = {fixed_now, &v->now_s},
                                         .collateral_dir = dir,
                                         .trust_sim_dir = t->sim,
                                         .policy = v->policy};
    return ccz_verifier_new(&v->verifier, &cfg, err);
}

void cli_verifier_close(struct cli_verifier *v)
{
    ccz_verifier_free(v->verifier);
    ccz_policy_free(v->policy);
    *v = (struct cli_verifier){0};
}

ccz_rc cli_verify(struct ccz_claims *claims, const struct cli_verifier *v, const char *file,
                  struct ccz_err *err)
{
    CCZ_AUTO_BUF evidence;
    ccz_buf_init(&evidence, CCZ_QUOTE_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&evidence, strcmp(file, "-") == 0 ? "/dev/stdin" : file, err);
    if (rc != CCZ_OK)
        return rc;
    return v->policy ? ccz_verifier_appraise(v->verifier, claims, ccz_buf_span(&evidence), err)
                     : ccz_verifier_verify(v->verifier, claims, ccz_buf_span(&evidence), err);
}
