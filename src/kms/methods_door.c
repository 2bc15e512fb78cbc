/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items for peers whose evidence is bound to their key and not to this session. Such evidence is as old as the key, and whoever gets hold
 * of that key once can show it for ever: so the owner of an item has to say that it is worth no more than that. The word is in
 * the metadata of each version, so that a version that was put without it is closed again.
 */
#include "kms_priv.h"

#include <cczoo/codec.h>

#include <string.h>

static const char doors_key[] = "doors", key_bound_door[] = "key-bound";

static bool names_door(struct ccz_span metadata, const char *door)
{
    CCZ_AUTO(ccz_json) j = NULL;
    if (metadata.size == 0 || ccz_json_parse(&j, metadata, NULL) != CCZ_OK)
        return false;
    const struct ccz_json *doors = ccz_json_get(j, doors_key);
    for (size_t i = 0; i < ccz_json_len(doors); i++) {
        const char *s = ccz_json_str(ccz_json_at(doors, i));
        if (s && strcmp(s, door) == 0)
            return true;
    }
    return false;
}

ccz_rc cczi_kms_may_open(const struct cczi_kms_call *call, struct ccz_span metadata,
                         struct ccz_err *err)
{
    if (!names_door(metadata, key_bound_door))
        return CCZ_OK;
    ccz_rc rc = cczi_kms_need(call, CCZ_KMS_ROLE_AUTHOR, err);
    return rc == CCZ_OK ? cczi_kms_guard(call, err) : rc;
}

ccz_rc cczi_kms_item_open(const struct cczi_kms_item *it, const struct ccz_ratls_peer *peer,
                          struct ccz_err *err)
{
    if (peer->fresh || names_door(ccz_buf_span(&it->metadata), key_bound_door))
        return CCZ_OK;
    (void)ccz_refuse(err, CCZ_E_DENIED, "kms:evidence-stale", "evidence bound to a key alone",
                     "fresh evidence, or an item open for that");
    return ccz_hint(err, CCZ_E_DENIED,
                    "its owner can put a version with metadata {\"doors\":[\"key-bound\"]}");
}
