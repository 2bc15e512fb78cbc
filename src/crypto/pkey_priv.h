/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_PKEY_PRIV_H
#define CCZI_PKEY_PRIV_H
/* Shared by pkey.c and pkey_ops.c. */
#include <cczoo/pkey.h>

#include <openssl/evp.h>

struct ccz_pkey {
    enum ccz_pkey_kind kind;
    bool is_private;
    struct ccz_key *ec; /* P-256, P-384; NULL for the others */
    EVP_PKEY *evp;      /* Ed25519, RSA; NULL for the others */
};

#endif
