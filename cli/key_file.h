/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEY_FILE_H
#define KEY_FILE_H
/* Keys of people, as programs are given them: a PEM public key, or a PEM private key of mode 0600. */
#include <cczoo/pkey.h>

/* Who has a private key can hand over its public one; either names him. */
ccz_rc key_file_load(struct ccz_key **out, const char *path, struct ccz_err *err);
/* The same of any kind of key. where = "key:pem", "file:permissions", those of pkey.h */
ccz_rc key_file_load_any(struct ccz_pkey **out, const char *path, struct ccz_err *err);
/* Public key from the text of a PEM file. */
ccz_rc key_text_public(struct ccz_pkey **out, struct ccz_span pem, struct ccz_err *err);
/* A private key into a file of mode 0600, and its public half into another. where = "file:exists": neither is overwritten */
ccz_rc key_file_save_pair(const struct ccz_pkey *key, const char *path, const char *public_path,
                          struct ccz_err *err);
/* SHA-256 of the SubjectPublicKeyInfo: the id of its holder. where = "key:digest" */
ccz_rc key_file_digest(uint8_t spki_sha256[32], const struct ccz_key *key, struct ccz_err *err);
#endif
