/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_KEYS_PRIV_H
#define CCZI_KMS_KEYS_PRIV_H
/* Shared by keys*.c. */
#include "kms_keys.h"

struct cczi_kms_key {
    enum cczi_kms_key_kind kind;
    uint32_t version;
    struct ccz_secret *raw; /* symmetric kinds */
    struct ccz_pkey *pair;  /* the others */
    struct ccz_aead *aead;  /* AEAD kinds */
};

struct cczi_kms_key_traits {
    const char *name;
    uint32_t ops;
    size_t raw_min, raw_max; /* bytes of raw material, 0 for pairs; fresh material has raw_min */
    enum ccz_pkey_kind pair; /* 0 for raw material */
    bool is_aead;
    enum ccz_aead_alg aead;
};
/* Of CCZI_KEY_NONE for a kind that there is not. */
const struct cczi_kms_key_traits *cczi_kms_key_traits(enum cczi_kms_key_kind k);

/* First thing in an operation. */
ccz_rc cczi_kms_key_can(const struct cczi_kms_key *key, enum cczi_kms_key_op op,
                        struct ccz_err *err);
/* where = "kms:key-input" */
ccz_rc cczi_kms_key_size_ok(const char *what, size_t size, size_t min, size_t max,
                            struct ccz_err *err);

/* "label" | 0 | u8 kind | le32 version: what a derivation starts with. @return bytes written */
#define CCZI_KEY_LABEL_SIZE_MAX 64
size_t cczi_kms_key_label(uint8_t out[CCZI_KEY_LABEL_SIZE_MAX], const char *label,
                          const struct cczi_kms_key *key);

#endif
