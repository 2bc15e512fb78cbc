/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_COLLATERAL_H
#define CCZ_CLI_COLLATERAL_H
/* Where collateral comes from and whose it must be: what fetches it and what verifies with it share. */
#include "ui.h"

#include <cczoo/net.h>
#include <cczoo/pcs.h>
#include <cczoo/verifier.h>

enum { CLI_WAIT_S = 60 }; /* how long a fetch may wait for a server's leave unless told */

/* Intel's root and AMD's or, with the directory of a software TEE, only that one's. */
struct cli_roots {
    struct ccz_roots intel;
    struct ccz_snp_roots amd;
};
CCZ_MUST_USE ccz_rc cli_roots(struct cli_roots *out, const char *sim, struct ccz_err *err);

/* Zeroed = Intel's and AMD's services, the system's authorities, no proxy. */
struct cli_site {
    const char *from; /* a PCCS; NULL or "pcs" = Intel's service */
    const char *amd_url, *root_crl_url;
    const char *key_file, *ca_file, *proxy;
    bool any_certificate, plain_http;
};
/* A store on a directory, and the client that it fetches with. Stays where it is from open to close. */
struct cli_store {
    struct ccz_secret *key;
    struct ccz_http_client *client;
    struct ccz_pcs_store *store;
};
/* Adds getter, URLs and waiting to what the caller wants of the store; `waits`: cfg->wait_max_s. */
CCZ_MUST_USE ccz_rc cli_store_open(struct cli_store *s, const struct cli_site *site,
                                   struct ccz_pcs_store_cfg cfg, struct ccz_err *err);
void cli_store_close(struct cli_store *s);
#define CLI_AUTO_STORE __attribute__((cleanup(cli_store_close))) struct cli_store

/* True for "pcs" and addresses, which --collateral takes besides directories. */
bool cli_collateral_is_remote(const char *text);
/* Our folder in the cache: $CCZOO_CACHE/NAME, else ~/.cache/cczoo/NAME. */
CCZ_MUST_USE ccz_rc cli_cache_dir(char *out, size_t size, const char *name, struct ccz_err *err);

#endif
