/* SPDX-License-Identifier: Apache-2.0 */
/* A policy of its own for some services of a server. */
#include <cczoo/party.h>

#include <stdlib.h>

struct ccz_party_guard {
    struct ccz_policy *policy;
    struct ccz_clock clock;
};

ccz_rc ccz_party_guard_parse(struct ccz_party_guard **out, struct ccz_span policy,
                             struct ccz_clock clock, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_party_guard) g = calloc(1, sizeof(*g));
    if (!g)
        return ccz_fail(err, CCZ_E_NOMEM, "party:guard", 0, "out of memory");
    g->clock = clock.now_s ? clock : ccz_clock_system();
    ccz_rc rc = ccz_policy_parse(&g->policy, policy, err);
    if (rc == CCZ_OK)
        *out = ccz_party_guard_take(&g);
    return rc;
}

ccz_rc ccz_party_guard_new(struct ccz_party_guard **out, const char *policy_file,
                           struct ccz_clock clock, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    *out = NULL;
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, policy_file, err);
    return rc == CCZ_OK ? ccz_party_guard_parse(out, ccz_buf_span(&text), clock, err) : rc;
}

void ccz_party_guard_free(struct ccz_party_guard *g)
{
    if (!g)
        return;
    ccz_policy_free(g->policy);
    free(g);
}

ccz_rc ccz_party_guard_judge(void *guard, const struct ccz_ratls_peer *peer, const char *path,
                             struct ccz_err *err)
{
    const struct ccz_party_guard *g = guard;
    struct ccz_verdict verdict;
    (void)path;
    if (!peer->attested)
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_DENIED, "party:not-attested",
                                   peer->pinned ? "a pinned key" : "no evidence", "evidence"),
                        "call this service from inside a TEE");
    ccz_rc rc = ccz_policy_eval(&verdict, g->policy, &peer->claims, ccz_clock_now_s(g->clock), err);
    if (rc == CCZ_OK && !verdict.accept) /* cannot be; and if, then not this way */
        rc = ccz_fail(err, CCZ_E_POLICY, "party:guard", 0, "the policy did not accept");
    return rc;
}
