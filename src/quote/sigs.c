/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures that are checked together: one batch costs much less than each alone. A step collects
 * its signature where the algorithm has it and goes on as if it held; nothing is handed out, kept or
 * believed before cczi_sigs_check() said that all do. What the caller sees is the same as if each
 * had been checked on the spot: a step that refuses later gives way to a signature collected
 * before it.
 */
#include "quote/quote_priv.h"

const struct ccz_ecdsa_job *cczi_sigs_add(struct cczi_sigs *s, const struct ccz_ecdsa_job *job,
                                          const struct cczi_sig_refusal *refusal)
{
    static const struct ccz_ecdsa_job none;
    if (s->len == CCZI_SIGS_MAX) {
        s->rc = CCZ_E_INTERNAL;
        return &none;
    }
    s->job[s->len] = *job;
    s->refusal[s->len] = refusal;
    return &s->job[s->len++];
}

const struct ccz_ecdsa_job *cczi_sigs_add_raw(struct cczi_sigs *s, const struct ccz_key *key,
                                              struct ccz_span sig, struct ccz_span signed_bytes,
                                              const struct cczi_sig_refusal *refusal)
{
    struct ccz_ecdsa_job job = {.key = key, .sig = sig, .form = CCZ_SIG_RAW, .digest_size = 32};
    ccz_rc rc = ccz_sha256(job.digest, signed_bytes);
    if (rc != CCZ_OK)
        s->rc = rc;
    return cczi_sigs_add(s, &job, refusal);
}

ccz_rc cczi_sigs_check(struct cczi_sigs *s, ccz_rc later, struct ccz_err *err)
{
    if (s->rc != CCZ_OK)
        return ccz_fail(err, s->rc, "quote:memory", 0, "could not digest what is signed");
    if (ccz_ecdsa_verify_batch(s->job, s->len) == CCZ_OK)
        return later;
    size_t i = 0;
    while (s->job[i].rc == CCZ_OK)
        i++;
    const struct cczi_sig_refusal *r = s->refusal[i];
    ccz_rc rc = ccz_fail(err, s->job[i].rc, r->where, 0, "%s", r->text);
    return ccz_hint(err, rc, r->hint);
}
