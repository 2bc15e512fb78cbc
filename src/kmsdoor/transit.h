/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMSDOOR_TRANSIT_H
#define CCZI_KMSDOOR_TRANSIT_H
/* Vault's transit API in pieces: JSON to and from the messages of the KMS (transit_msg.c, pure), routes (transit.c). */
#include <cczoo/kms.h>

enum cczi_transit_op {
    CCZI_TRANSIT_ENCRYPT = 0,
    CCZI_TRANSIT_DECRYPT,
    CCZI_TRANSIT_REWRAP,
    CCZI_TRANSIT_CREATE,
    CCZI_TRANSIT_ROTATE,
    CCZI_TRANSIT_READ,
    CCZI_TRANSIT_OPS
};
const char *cczi_transit_method(enum cczi_transit_op op); /* of the KMS: "Encrypt" */

/*
 * Name of a key: @p ns (header X-Vault-Namespace, '/' at its ends is nothing; NULL = none) and @p segment, the rest of the path, %-encoded.
 * @retval CCZ_E_FORMAT  "transit:key": empty, more than one segment; "transit:namespace"; the KMS checks the rest of its rule
 */
ccz_rc cczi_transit_key(char out[CCZ_KMS_NAME_SIZE], const char *ns, const char *segment,
                        struct ccz_err *err);

/*
 * Appends the request of the KMS that @p json says; an empty text is {}. Members that are not known are refused, and so are those
 * that ask for what is not done here (batches, derived and convergent keys, given nonces): an answer as if they had not been there
 * would be something else than was asked for. Numbers and truth values may be strings, as Vault's command line sends them.
 * @param[out] out  as it was on failure; set its `wipe`
 * @retval CCZ_E_FORMAT       "transit:json", "transit:member" (not known), "transit:type", "transit:base64", "transit:ciphertext",
 *                            "transit:missing", "transit:duration"
 * @retval CCZ_E_UNSUPPORTED  "transit:unsupported", "transit:kind"
 * @retval CCZ_E_LIMIT        "transit:size"
 */
ccz_rc cczi_transit_get(struct ccz_buf *out, enum cczi_transit_op op, const char *key,
                        struct ccz_span json, struct ccz_err *err);

/* What "data" of an answer is made of. */
struct cczi_transit_key_info {
    const char *name;         /* as the client called it */
    struct ccz_span info;     /* KeyInfoResponse */
    struct ccz_span versions; /* ListResponse of Describe: when each was made */
};
/* Appends {"ciphertext","key_version"} or {"plaintext"}, of a UseResponse. where = "transit:response" */
ccz_rc cczi_transit_put_use(struct ccz_buf *json, enum cczi_transit_op op, struct ccz_span response,
                            struct ccz_err *err);
ccz_rc cczi_transit_put_key(struct ccz_buf *json, const struct cczi_transit_key_info *k,
                            struct ccz_err *err);
/* {"request_id": ..., "data": @p data, ...} as Vault frames it. where = "transit:response" */
ccz_rc cczi_transit_put_envelope(struct ccz_buf *json, struct ccz_span data, struct ccz_err *err);
/* {"errors": [...]}; for struct cczi_door_route. Reading keys: what is not there is 404. */
unsigned cczi_transit_put_err(struct ccz_buf *out, unsigned status, const struct ccz_err *err);
unsigned cczi_transit_put_err_keys(struct ccz_buf *out, unsigned status, const struct ccz_err *err);
#endif
