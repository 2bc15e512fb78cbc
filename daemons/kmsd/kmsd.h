/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMSD_H
#define KMSD_H
/* cczoo-kmsd: the attestation server & KMS as a daemon. main.c: commands; run.c: the server. */
#include <cczoo/kms.h>

/* Options of every command; which of them a command takes is said in main.c. */
struct kmsd_opts {
    struct ccz_kms_state state;
    const char *admin_key, *role;
    const char *listen, *port_file;
    const char *tee, *sim_dir, *trust_sim, *collateral, *collateral_from, *collateral_ca_file;
    int64_t reattest_s; /* 0 = never */
};

/* SHA-256 of the SPKI in @p path: a PEM public key, or a PEM private key of mode 0600. If the file
 * does not exist and @p made is given, a private key is made there and *made is set. */
ccz_rc kmsd_admin_key(uint8_t spki_sha256[32], bool *made, const char *path, struct ccz_err *err);

/* Serves until SIGTERM or SIGINT; returns the exit status. */
int kmsd_run(const struct kmsd_opts *o);
#endif
