/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEY_FILE_H
#define KEY_FILE_H
/* Keys of people, as programs are given them: a PEM public key, or a PEM private key of mode 0600. */
#include <cczoo/crypto.h>

/* Who has a private key can hand over its public one; either names him. */
ccz_rc key_file_load(struct ccz_key **out, const char *path, struct ccz_err *err);
/* SHA-256 of the SubjectPublicKeyInfo: the id of its holder. where = "key:digest" */
ccz_rc key_file_digest(uint8_t spki_sha256[32], const struct ccz_key *key, struct ccz_err *err);
#endif
