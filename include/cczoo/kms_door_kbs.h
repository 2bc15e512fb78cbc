/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_DOOR_KBS_H
#define CCZ_KMS_DOOR_KBS_H
/**
 * @file kms_door_kbs.h
 * The Key Broker Service protocol of Confidential Containers ("RCAR"), version 0.4, on a door of the KMS: unmodified clients attest and fetch
 * resources. Part of module kmsdoor.
 *
 *     POST /kbs/v0/auth                      a nonce
 *     POST /kbs/v0/attest[?claims=full]      evidence over nonce and key: a session and a token (EAR, JWT)
 *     GET  /kbs/v0/resource/REPO/TYPE/TAG    by cookie or token: the secret "REPO/TYPE/TAG", encrypted to the key that was attested
 *     POST, DELETE the same path             administrators: a new version (?policy=NAME binds it), deletion with its window
 *     GET  /.well-known/jwks.json            the keys of tokens
 *     GET  /.well-known/openid-configuration
 *
 * Nothing is decided here that is decided elsewhere: evidence by the verifier, resources by the policy that each is bound to, at each
 * use, on the record. Messages, statuses and what differs from others: docs/reference/kms-kbs.md; why: docs/design/kms-kbs.md.
 */
#include <cczoo/kms_door.h>
#include <cczoo/verifier.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccz_kms_door_kbs_cfg {
    /** Required; outlives the door. It says whether evidence is genuine (simulated only where it trusts a software TEE); its policy is not
     *  asked. On the door's workers. */
    struct ccz_verifier *verifier;
    /** Sessions that have attested and are kept; the oldest goes first, and its client attests again; of the
     *  same platform, where that one has an eighth. 0 = 65,536, at most 1,048,576; about 4 KB each, when there are. */
    uint32_t sessions;
    /** Attestations within `nonce_s`; more are refused with 429. when half of them are in use, each platform has an
     *  eighth. 0 = 131,072 (2,000 a second), at most CCZ_REPLAY_LEN_MAX; about 150 bytes each. */
    uint32_t attestations;
    int64_t nonce_s; /**< how long a nonce is good; 0 = a minute, at most an hour */
};
/**
 * Adds the routes; between ccz_kms_door_new() and ccz_kms_door_start().
 * @retval CCZ_E_ARG  "kbs:config"  @retval CCZ_E_EXISTS  "door:route"  @retval CCZ_E_NOMEM  "kbs:memory"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_door_kbs(struct ccz_kms_door *d,
                                             const struct ccz_kms_door_kbs_cfg *cfg,
                                             struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
