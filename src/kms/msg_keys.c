/* SPDX-License-Identifier: Apache-2.0 */
/* Messages about keys that work inside (proto/kms.proto), and sets of operations as text. */
#include "msg_fields.h"
#include "use_priv.h"

#include <cczoo/x509.h>

#include <stdio.h>
#include <string.h>

enum {
    NAME_MAX_SIZE = 256, /* over-long names are refused by the name rule, with a reason */
    WORD_MAX_SIZE = 32,
    RECEIPT_SIZE = 64,
    SEALED_MAX_SIZE = 98304, /* text of the largest ciphertext: 4/3 of 65,577 bytes and some */
    WRAPPED_MAX_SIZE = CCZ_KWP_SIZE_MAX + 16,
    SIZE_MAX_ASKED = 1024
};

/* ------------------------------------------------------------------------ management */

#define KEY_REQ                                                                                    \
    SPAN(1, cczi_msg_key_req, name, NAME_MAX_SIZE),                                                \
        SPAN(2, cczi_msg_key_req, kind, NAME_MAX_SIZE),                                            \
        SPAN(3, cczi_msg_key_req, ops, NAME_MAX_SIZE), UINT(5, cczi_msg_key_req, exportable, 1),   \
        UINT(6, cczi_msg_key_req, unattested_insecure, 1),                                         \
        UINT(7, cczi_msg_key_req, expires_s, INT64_MAX)

const struct cczi_msg_field cczi_msg_generate_req[] = {
    KEY_REQ,
    SPAN(4, cczi_msg_key_req, policy, NAME_MAX_SIZE),
    UINT(8, cczi_msg_key_req, rotate_every_s, INT64_MAX),
    SPAN(9, cczi_msg_key_req, names, 2 * CCZ_NAMES_SIZE_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_import_token_req[] = {
    KEY_REQ,
    UINT(11, cczi_msg_key_req, new_version, 1),
    UINT(12, cczi_msg_key_req, life_s, INT64_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_import_token_resp[] = {
    SPAN(1, cczi_msg_import_token_resp, wrapping_key, CCZ_PKEY_SPKI_SIZE_MAX),
    SPAN(2, cczi_msg_import_token_resp, token, CCZI_KMS_IMPORT_TOKEN_SIZE_MAX),
    UINT(3, cczi_msg_import_token_resp, expires_s, INT64_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_import_req[] = {
    KEY_REQ,
    SPAN(4, cczi_msg_key_req, policy, NAME_MAX_SIZE),
    SPAN(9, cczi_msg_key_req, token, 256),
    SPAN(10, cczi_msg_key_req, blob, CCZI_KMS_IMPORT_BLOB_SIZE_MAX),
    UINT(11, cczi_msg_key_req, new_version, 1),
    END,
};
const struct cczi_msg_field cczi_msg_rotate_req[] = {
    SPAN(1, cczi_msg_key_set_req, name, NAME_MAX_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_set_minimum_req[] = {
    SPAN(1, cczi_msg_key_set_req, name, NAME_MAX_SIZE),
    UINT(2, cczi_msg_key_set_req, min_decrypt, UINT32_MAX),
    UINT(3, cczi_msg_key_set_req, min_encrypt, UINT32_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_set_period_req[] = {
    SPAN(1, cczi_msg_key_set_req, name, NAME_MAX_SIZE),
    UINT(2, cczi_msg_key_set_req, rotate_every_s, INT64_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_set_expiry_req[] = {
    SPAN(1, cczi_msg_key_set_req, name, NAME_MAX_SIZE),
    UINT(2, cczi_msg_key_set_req, expires_s, INT64_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_key_binding[] = {
    SPAN(1, cczi_msg_key_binding, op, WORD_MAX_SIZE),
    SPAN(2, cczi_msg_key_binding, policy, CCZ_KMS_NAME_SIZE - 1),
    END,
};
const struct cczi_msg_field cczi_msg_key_info[] = {
    SPAN(2, cczi_msg_key_info, kind, CCZ_KMS_ALG_SIZE - 1),
    SPAN(3, cczi_msg_key_info, ops, CCZI_KMS_OPS_SIZE),
    UINT(4, cczi_msg_key_info, latest, CCZ_KMS_VERSIONS_MAX),
    UINT(5, cczi_msg_key_info, min_decrypt, CCZ_KMS_VERSIONS_MAX),
    UINT(6, cczi_msg_key_info, min_encrypt, CCZ_KMS_VERSIONS_MAX),
    UINT(7, cczi_msg_key_info, exportable, 1),
    UINT(8, cczi_msg_key_info, imported, 1),
    UINT(9, cczi_msg_key_info, disabled, 1),
    UINT(10, cczi_msg_key_info, unattested_insecure, 1),
    UINT(11, cczi_msg_key_info, created_s, INT64_MAX),
    UINT(12, cczi_msg_key_info, expires_s, INT64_MAX),
    UINT(13, cczi_msg_key_info, delete_after_s, INT64_MAX),
    UINT(14, cczi_msg_key_info, rotate_every_s, INT64_MAX),
    UINT(15, cczi_msg_key_info, next_rotation_s, INT64_MAX),
    END,
};

/* ------------------------------------------------------------------------------- use */

#define USE_KEY     SPAN(1, cczi_msg_use_req, key, NAME_MAX_SIZE)
#define USE_VERSION UINT(2, cczi_msg_use_req, version, UINT32_MAX)
#define USE_AAD     SPAN(3, cczi_msg_use_req, aad, CCZI_KMS_KEY_AAD_SIZE_MAX)
#define USE_SEALED  SPAN(5, cczi_msg_use_req, sealed, SEALED_MAX_SIZE)
#define USE_SIZE    UINT(6, cczi_msg_use_req, size, SIZE_MAX_ASKED)
#define USE_MESSAGE SPAN(4, cczi_msg_use_req, text, CCZI_KMS_KEY_MESSAGE_SIZE_MAX)
#define USE_HOW                                                                                    \
    SPAN(9, cczi_msg_use_req, hash, WORD_MAX_SIZE), UINT(10, cczi_msg_use_req, prehashed, 1),      \
        SPAN(11, cczi_msg_use_req, form, WORD_MAX_SIZE),                                           \
        SPAN(12, cczi_msg_use_req, padding, WORD_MAX_SIZE)

const struct cczi_msg_field cczi_msg_encrypt_req[] = {
    USE_KEY, USE_VERSION, USE_AAD, SPAN(4, cczi_msg_use_req, text, CCZI_KMS_KEY_TEXT_SIZE_MAX), END,
};
const struct cczi_msg_field cczi_msg_decrypt_req[] = {USE_KEY, USE_AAD, USE_SEALED, END};
const struct cczi_msg_field cczi_msg_data_key_req[] = {
    USE_KEY, USE_VERSION, USE_AAD, USE_SIZE, UINT(7, cczi_msg_use_req, sealed_only, 1), END,
};
const struct cczi_msg_field cczi_msg_rewrap_req[] = {USE_KEY, USE_VERSION, USE_AAD, USE_SEALED,
                                                     END};
const struct cczi_msg_field cczi_msg_wrap_req[] = {
    USE_KEY,
    USE_VERSION,
    SPAN(4, cczi_msg_use_req, text, CCZ_KWP_SIZE_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_unwrap_req[] = {
    USE_KEY,
    USE_VERSION,
    SPAN(8, cczi_msg_use_req, proof, WRAPPED_MAX_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_derive_req[] = {
    USE_KEY,  USE_VERSION, SPAN(3, cczi_msg_use_req, aad, CCZI_KMS_KEY_CONTEXT_SIZE_MAX),
    USE_SIZE, END,
};
const struct cczi_msg_field cczi_msg_hmac_req[] = {USE_KEY, USE_VERSION, USE_MESSAGE, END};
const struct cczi_msg_field cczi_msg_hmac_verify_req[] = {
    USE_KEY, USE_VERSION, USE_MESSAGE, SPAN(8, cczi_msg_use_req, proof, 64), END,
};
const struct cczi_msg_field cczi_msg_sign_req[] = {USE_KEY, USE_VERSION, USE_MESSAGE, USE_HOW, END};
const struct cczi_msg_field cczi_msg_verify_req[] = {
    USE_KEY, USE_VERSION, USE_MESSAGE, SPAN(8, cczi_msg_use_req, proof, 1024), USE_HOW, END,
};
const struct cczi_msg_field cczi_msg_public_key_req[] = {USE_KEY, USE_VERSION, END};
const struct cczi_msg_field cczi_msg_use_resp[] = {
    SPAN(1, cczi_msg_use_resp, value, WRAPPED_MAX_SIZE),
    SPAN(2, cczi_msg_use_resp, sealed, SEALED_MAX_SIZE),
    UINT(3, cczi_msg_use_resp, version, CCZ_KMS_VERSIONS_MAX),
    SPAN(4, cczi_msg_use_resp, kind, CCZ_KMS_ALG_SIZE - 1),
    SPAN(5, cczi_msg_use_resp, pem, 1024),
    SPAN(7, cczi_msg_use_resp, instance, CCZ_KMS_INSTANCE_SIZE),
    SPAN(CCZI_MSG_INCLUSION, cczi_msg_use_resp, inclusion, CCZ_KMS_INCLUSION_SIZE_MAX),
    SPAN(CCZI_MSG_RECEIPT, cczi_msg_use_resp, receipt, RECEIPT_SIZE),
    END,
};

/* ---------------------------------------------------------------------- certificates */

const struct cczi_msg_field cczi_msg_issue_req[] = {
    SPAN(1, cczi_msg_issue_req, key, NAME_MAX_SIZE),
    UINT(2, cczi_msg_issue_req, version, UINT32_MAX),
    SPAN(3, cczi_msg_issue_req, names, 2 * CCZ_NAMES_SIZE_MAX),
    SPAN(4, cczi_msg_issue_req, csr, CCZ_CERT_SIZE_MAX + 1),
    UINT(5, cczi_msg_issue_req, life_s, INT64_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_issue_resp[] = {
    SPAN(1, cczi_msg_issue_resp, certificate, CCZ_CERT_SIZE_MAX),
    SPAN(2, cczi_msg_issue_resp, ca, CCZ_CERT_SIZE_MAX),
    UINT(3, cczi_msg_issue_resp, not_after_s, INT64_MAX),
    UINT(4, cczi_msg_issue_resp, version, CCZ_KMS_VERSIONS_MAX),
    SPAN(7, cczi_msg_issue_resp, instance, CCZ_KMS_INSTANCE_SIZE),
    SPAN(CCZI_MSG_INCLUSION, cczi_msg_issue_resp, inclusion, CCZ_KMS_INCLUSION_SIZE_MAX),
    SPAN(CCZI_MSG_RECEIPT, cczi_msg_issue_resp, receipt, RECEIPT_SIZE),
    END,
};

/* --------------------------------------------------------------- sets of operations */

static bool op_parse(enum cczi_kms_key_op *out, struct ccz_span name)
{
    for (unsigned op = 0; op < CCZI_OPS; op++) {
        *out = (enum cczi_kms_key_op)op;
        if (ccz_span_eq(name, ccz_span_str(cczi_kms_key_op_name(*out))))
            return true;
    }
    return false;
}

ccz_rc cczi_kms_ops_parse(uint32_t *out, struct ccz_span names, struct ccz_err *err)
{
    *out = 0;
    uint32_t set = 0;
    while (names.size) {
        const uint8_t *comma = memchr(names.ptr, ',', names.size);
        size_t n = comma ? (size_t)(comma - names.ptr) : names.size;
        struct ccz_span name = ccz_span_sub(names, 0, n);
        enum cczi_kms_key_op op;
        if (!op_parse(&op, name) || (comma && n + 1 == names.size)) {
            char got[CCZ_ERR_VALUE_SIZE];
            ccz_escape(got, sizeof(got), name);
            return ccz_refuse(err, CCZ_E_FORMAT, "kms:key-op-name", got,
                              "encrypt, decrypt, sign, ... with commas");
        }
        set |= CCZI_OP_BIT(op);
        names = ccz_span_sub(names, comma ? n + 1 : n, names.size - (comma ? n + 1 : n));
    }
    *out = set;
    return CCZ_OK;
}

void cczi_kms_ops_print(char out[CCZI_KMS_OPS_SIZE], uint32_t ops)
{
    size_t n = 0;
    out[0] = 0;
    for (unsigned op = 0; op < CCZI_OPS; op++) {
        if (ops & CCZI_OP_BIT(op))
            n += (size_t)snprintf(out + n, CCZI_KMS_OPS_SIZE - n, "%s%s", n ? "," : "",
                                  cczi_kms_key_op_name((enum cczi_kms_key_op)op));
    }
}
