/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_DOOR_TRANSIT_H
#define CCZ_KMS_DOOR_TRANSIT_H
/**
 * @file kms_door_transit.h
 * The part of Vault's transit API by which Vault and OpenBao unseal themselves, on the HTTPS door (kms_door.h), with keys that work inside
 * the KMS (kms_use.h). Part of module kmsdoor.
 *
 *     POST, PUT /v1/transit/encrypt/KEY   {"plaintext": base64, "associated_data"?, "key_version"?}
 *     POST, PUT /v1/transit/decrypt/KEY   {"ciphertext": "vault:v1:...", "associated_data"?}
 *     POST, PUT /v1/transit/rewrap/KEY    {"ciphertext", "associated_data"?, "key_version"?}
 *     GET       /v1/transit/keys/KEY      auditor
 *     POST, PUT /v1/transit/keys/KEY      operator: {"type"?, "exportable"?, "auto_rotate_period"?, "unattested_insecure"?, "policy"?}
 *     POST, PUT /v1/transit/keys/KEY/rotate   operator
 *
 * Who calls shows a client certificate or a token (X-Vault-Token or Authorization: Bearer; of the door's issuers). For encrypt, decrypt and
 * rewrap it has the role `client`, and the key must have been made for clients without evidence: a key made here is not, unless
 * "unattested_insecure" says so. X-Vault-Namespace is the namespace of the key: "team" and KEY are key/team/KEY.
 * Errors are {"errors": [...]}. Why it is so, and what is left out: docs/design/kms-transit.md.
 */
#include <cczoo/kms_door.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Between ccz_kms_door_new() and ccz_kms_door_start(). @retval those of the door's routes */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_door_transit(struct ccz_kms_door *d, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
