/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMSDOOR_PROV_H
#define CCZI_KMSDOOR_PROV_H
/* Gramine's secret provisioning, in pieces: bytes (prov_wire.c), the map (prov_map.c), identity and map as read from files
 * (prov_site.c), connections (prov.c). */
#include <cczoo/kms_prov.h>

#include <stdatomic.h>

/* --------------------------------------------------------------------------- prov_wire.c */

enum { CCZI_PROV_REQUEST_SIZE = 35, CCZI_PROV_HEAD_SIZE = 41 };
/* A request that comes in pieces. Zeroed = nothing of it yet. */
struct cczi_prov_request {
    uint8_t have; /* bytes, all of them right */
};
/*
 * Bytes behind the request are of the client's own protocol, which nobody here speaks: not looked at.
 * @param[out] done  all of it is there
 * @retval CCZ_E_FORMAT  "prov:request", at the first wrong byte
 */
ccz_rc cczi_prov_request_feed(bool *done, struct cczi_prov_request *r, struct ccz_span in,
                              struct ccz_err *err);
/* What comes before @p secret_size bytes of secret. */
void cczi_prov_head_put(uint8_t out[CCZI_PROV_HEAD_SIZE], uint32_t secret_size);

/* ReleaseRequest for the latest version of @p item, appended. */
void cczi_prov_release_put(struct ccz_buf *out, const char *item);
/* The value in a ReleaseResponse, a view of it. where = "prov:response" */
ccz_rc cczi_prov_release_get(struct ccz_span *value, struct ccz_span response, struct ccz_err *err);

/* ---------------------------------------------------------------------------- prov_map.c */

#define CCZI_PROV_MAP_SIZE_MAX 1048576 /* bytes of JSON */
struct cczi_prov_map;
/* where = "prov:map" (JSON, version), "prov:map-member", "prov:map-item", "prov:map-tee", "prov:map-identity",
 * "prov:map-hex", "prov:map-twice", "prov:map-len" */
ccz_rc cczi_prov_map_parse(struct cczi_prov_map **out, struct ccz_span json, struct ccz_err *err);
void cczi_prov_map_free(struct cczi_prov_map *m);
size_t cczi_prov_map_len(const struct cczi_prov_map *m);
/* @param[out] item  borrowed from the map @retval CCZ_E_NOT_FOUND  "prov:no-item", got = what was measured */
ccz_rc cczi_prov_map_find(const char **item, const struct cczi_prov_map *m,
                          const struct ccz_claims *c, struct ccz_err *err);

/* -------------------------------------------------------------------------------- prov.c */

/* Whether two addresses, "ip:port", count as one client: an IPv4 address, the /64 of an IPv6 address. */
bool cczi_prov_same_client(const char *a, const char *b);

/* --------------------------------------------------------------------------- prov_site.c */

/* What is read from files. A connection keeps the one it began with. */
struct cczi_prov_site {
    struct ccz_tls_ctx *tls;
    struct cczi_prov_map *map;
    atomic_uint refs;
};
/* @param verify, arg  what judges the clients' certificates */
ccz_rc cczi_prov_site_load(struct cczi_prov_site **out, const struct ccz_kms_prov_cfg *cfg,
                           ccz_tls_verify_fn verify, void *arg, struct ccz_err *err);
struct cczi_prov_site *cczi_prov_site_ref(struct cczi_prov_site *s);
void cczi_prov_site_unref(struct cczi_prov_site *s); /* NULL is fine */

#endif
