/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_PROV_H
#define CCZ_KMS_PROV_H
/**
 * @file kms_prov.h
 * Gramine's secret provisioning in front of a KMS: unmodified clients (libsecret_prov_attest.so of Gramine 1.0 to 1.9) get
 * the value of an item. Part of module kmsdoor.
 *
 * TLS 1.2 and 1.3 on a port of its own. The server shows a certificate of an authority that the clients know by a file; the client
 * shows a certificate that it made, with evidence in it, which is verified before anything else is read from it. Then
 *     client  "SECRET_PROVISION_RA_TLS_REQUEST_V1" and a NUL: 35 bytes
 *     server  "SECRET_PROVISION_RA_TLS_RESPONSE_V1:" and a NUL, u32 big-endian size: 41 bytes; the value; end
 * The protocol has no way to say which secret, nor why there is none: a map says which item a measured program gets, and who gets none sees the
 * connection end (the reason is in the log, and in the audit log where the KMS refused).
 *
 * Evidence in a certificate is bound to its key, and as old as that. So values are released under CCZ_KMS_DOOR_KEY_BOUND (kms.h): the
 * item's own policy judges the claims, and the item must be open for such evidence.
 *
 * One thread and event loop of its own; nothing waits for one client. Each has `timeout_ms` from its connection to the end of
 * its request. Where the connections are all in use, the one that has kept us waiting longest makes room. Who connects faster than his
 * rate is turned away at once.
 * Reading order of the sources: prov.h, prov_wire.c, prov_map.c, prov_site.c, prov.c. Why it is so: docs/design/kms-prov.md.
 * @source Gramine, tools/sgx/ra-tls/secret_prov.h, secret_prov_common.h
 */
#include <cczoo/kms.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccz_kms_prov;
struct ccz_kms_prov_cfg {
    struct ccz_kms_service *service; /**< required; outlives the door */
    ccz_ratls_appraise_fn appraise; /**< required: is it genuine; the items' policies do the rest */
    void *appraise_arg;
    const char *listen; /**< required: "0.0.0.0:4433"; port 0 = any */
    /** The server's identity, PEM: its certificate and those between it and the root; its key, not encrypted, mode 0600. */
    const char *cert_file, *key_file;
    const char *map_file;     /**< which program gets which item; see below */
    uint32_t connections_max; /**< at once, in any state; 0 = 256 */
    uint32_t per_address_max; /**< of them from one address; 0 = a quarter */
    int64_t timeout_ms;       /**< for handshake and request, and again for the answer; 0 = 10 s */
    /** Connections a second, and beside them how many at once (0 = twice that): what is more is closed before its handshake, whose
     *  evidence is what costs most. At most CCZ_KMS_RATE_MAX. */
    uint32_t address_rate,
        address_burst; /**< of one IPv4 address or IPv6 /64; 0 = 100. And requests of one workload on one platform */
    uint32_t total_rate,
        total_burst; /**< of everybody; 0 = 1000, or five times address_rate if that is more. A quarter is kept for addresses to
                          which a value was given in the last 24 hours */
};
#define CCZ_KMS_PROV_ADDRESS_RATE 100
/*
 * The map is a JSON object, at most 1 MiB:
 *     {"version": 1, "items": [
 *         {"item": "secret/model-key", "tee": "sgx", "mrenclave": "64 hex digits"},
 *         {"item": "key/db", "tee": "sgx", "mrsigner": "64 hex digits", "isv_prod_id": 7},
 *         {"item": "secret/td", "tee": "tdx", "mrtd": "96 hex digits"},
 *         {"item": "secret/guest", "tee": "snp", "measurement": "96 hex digits"}]}
 * The first entry whose members all match decides. There is no wild card: each entry names what was measured, or who signed
 * which product.
 */
#define CCZ_KMS_PROV_MAP_LEN_MAX 4096 /**< entries */

/**
 * @param cfg  texts are copied
 * @retval CCZ_E_ARG  "prov:config"
 * @return else those of ccz_listen(), ccz_tls_ctx_new_public(), of reading the files; for the map "prov:map...", with the place in the text
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_prov_start(struct ccz_kms_prov **out,
                                               const struct ccz_kms_prov_cfg *cfg,
                                               struct ccz_err *err);
CCZ_API uint16_t ccz_kms_prov_port(const struct ccz_kms_prov *p);
/** Reads certificate, key and map again, for new connections; on failure all three stay as they were. Any thread. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_prov_reload(struct ccz_kms_prov *p, struct ccz_err *err);
/** Counts since the start. Thread-safe. */
struct ccz_kms_prov_stats {
    uint64_t open;     /**< connections that have not made their request, now */
    uint64_t accepted; /**< connections that came */
    uint64_t released; /**< values handed out */
    uint64_t
        refused; /**< clients: certificate, evidence, request, rate_workload, map, or by the KMS */
    uint64_t dropped;                  /**< clients: too slow, gone, or to make room */
    uint64_t rate_address, rate_total; /**< connections closed at once: beyond a rate */
    uint64_t rate_workload;            /**< of those refused: one workload asked too often */
};
CCZ_API void ccz_kms_prov_stats(struct ccz_kms_prov_stats *out, const struct ccz_kms_prov *p);
/** Appends them for Prometheus; ccz_kms_door_cfg.metrics with the door as its arg. Any thread. */
CCZ_API void ccz_kms_prov_metrics(void *prov, struct ccz_buf *out);
/** Closes the port and all connections, and waits for what the KMS was asked. Before ccz_kms_service_free(). NULL is fine. */
CCZ_API void ccz_kms_prov_free(struct ccz_kms_prov *p);
CCZ_DEFINE_AUTO(ccz_kms_prov)

#ifdef __cplusplus
}
#endif
#endif
