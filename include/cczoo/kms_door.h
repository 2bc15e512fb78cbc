/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_DOOR_H
#define CCZ_KMS_DOOR_H
/**
 * @file kms_door.h
 * The KMS over HTTPS: one listener for everything that is not gRPC. Part of module kmsdoor.
 *
 * Whatever comes in here goes through ccz_kms_service_call(): the queue, the policies and the audit log are those of gRPC.
 * What is served by itself: POST /v1/<Method> (each method of proto/kms.proto, messages as proto3 JSON), GET /openapi.json,
 * /healthz, /readyz, /metrics, GET /console/ (the files of web/: docs/reference/kms-console.md). Doors for the protocols of others are added between ccz_kms_door_new() and
 * ccz_kms_door_start().
 *
 * Who calls is known by a client certificate, whose key must have a role in the store (nothing else in the certificate
 * counts, and no authority is asked), or by "Authorization: Bearer" with a token of a configured issuer, whose subject must
 * have one. Both are administrators at most: nobody gets a value by them.
 *
 * Life: new, doors, start, any number of reloads, stop, then ccz_kms_service_free(), free. Threads: any, one at a time.
 * Reading order of the sources: door.h, door_priv.h, door.c, conn.c, route.c, call.c, auth.c, issuer.c, json.c, rest.c, openapi.c, ops.c,
 * console.c.
 * Why it is so: docs/design/kms-http.md.
 */
#include <cczoo/kms.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccz_party; /* party.h */

/** Whose tokens count. */
struct ccz_kms_door_issuer {
    const char *iss; /**< required; the claim "iss", byte by byte */
    const char *aud; /**< required: what "aud" must name, so that tokens for others are refused */
    /** Its keys: one of the two. */
    const char *jwks_file; /**< read at the start and by ccz_kms_door_reload() */
    const char *
        jwks_url; /**< https; fetched at the start, every hour, and when a token names a key that is not there, at most
                          once in 60 s. Keys that were fetched count as long as no others come */
    const char
        *jwks_ca_file; /**< PEM authorities of that server instead of the system's, or NULL */
    const char
        *typ; /**< of the header; NULL: "JWT" or none. "at+jwt" for access tokens of RFC 9068 */
    int64_t skew_s; /**< how wrong clocks may be; 0 = none, at most CCZ_JWT_SKEW_MAX_S */
    int64_t
        age_max_s; /**< tokens issued longer ago are refused; 0 = 1 hour, -1: "exp" alone counts */
};
#define CCZ_KMS_DOOR_ISSUERS_MAX 16

/** All zero: the defaults. Rates are requests per second; who is faster gets 429 and Retry-After. Beside a rate stands how
 *  many may come at once. */
struct ccz_kms_door_limits {
    size_t body_size_max;   /**< 0 = CCZ_KMS_DOOR_BODY_SIZE_MAX; routes may have less */
    size_t header_size_max; /**< request line and headers; 0 = 16 KiB */
    /** Open at once; 0 = 1024. Whoever comes then takes the place of the connection that has been idle for longest, one of its own
     *  address first; only where all wait for answers it is cut itself. */
    uint32_t connections;
    uint32_t
        per_address; /**< of them from one address; 0 = an eighth, but 16 if there are as many */
    size_t
        kept_size_max; /**< memory of requests that are not answered and of answers that are not taken, of all connections; an
                                 address has an eighth. Who has been at it for longest is cut. Not less than eight largest
                                 requests; 0 = 64 MiB */
    uint32_t requests; /**< that wait for their answer; 0 = 512 */
    int64_t
        request_ms; /**< for the handshake, and from one answer to the end of the next request; 0 = 30 s */
    uint32_t address_rate,
        address_burst; /**< one IPv4 address or IPv6 /64; and its handshakes, apart; 0 = 200, 400 */
    uint32_t principal_rate,
        principal_burst; /**< one key, subject or workload of the KBS protocol; 0 = 100, 200 */
    uint32_t total_rate, total_burst; /**< everybody; 0 = 5000, 10000 */
    /** Handshakes of everybody: the thread of the door does them. 0 = 1000, or five times address_rate if that is more; twice the rate.
     *  Who is over it is cut before the handshake. A quarter of both is kept for addresses from which, in the last 24 hours, a
     *  principal with a role came, or a workload that was given a secret. */
    uint32_t handshake_total_rate, handshake_total_burst;
};
#define CCZ_KMS_DOOR_BODY_SIZE_MAX                                                                 \
    ((size_t)2 << 20) /**< the largest message in base64, and some room */

struct ccz_kms_door_cfg {
    /** Required, and outlives the door's ccz_kms_door_stop(). NULL with `sealed`. */
    struct ccz_kms_service *service;
    struct ccz_clock clock; /**< required */
    const char *listen;     /**< required: "0.0.0.0:8443"; port 0 = any */
    /** The server's identity, one of: PEM files (the chain, leaf first; an unencrypted key, EC on P-256 or P-384, or RSA
     *  of 2048 bits and more, mode 0600), or a party, whose evidence is in a certificate of a key of the door's own. */
    const char *cert_file, *key_file;
    struct ccz_party *party; /**< outlives the door */
    /** No TLS at all, and so no client certificates: refused ("door:plain") unless the address is loopback. */
    bool plain_http_insecure;
    const struct ccz_kms_door_issuer *issuers; /**< copied */
    size_t issuers_len;
    struct ccz_kms_door_limits limits;
    uint32_t
        workers; /**< threads for what takes long (evidence); 0 = one for each processor, at most 16 */
    /** Whether this server can do its work, beside what the door sees for itself (the store answers, no collateral has expired):
     *  NULL = yes. On the door's thread, at most once a second; must not block. */
    ccz_rc (*ready)(void *arg, struct ccz_err *err);
    void *ready_arg;
    /** When the first part of the collateral expires, as in struct ccz_kms_info; NULL = there is none. */
    int64_t (*collateral_expires_s)(void *arg);
    void *collateral_arg;
    /** Appended to the metrics of this door, until it stops: those of other ways in. Any thread. NULL = nothing. */
    void (*metrics)(void *arg, struct ccz_buf *out);
    void *metrics_arg;
    /** The store is not open yet: health is served, everything else is refused with 503 "kms:sealed". */
    bool sealed;
};

struct ccz_kms_door;
/**
 * Opens the port; nothing is answered before ccz_kms_door_start().
 * @param cfg  texts are copied
 * @retval CCZ_E_ARG    "door:config"; "door:identity": no certificate, or two; "door:plain"; "door:issuer"
 * @return else those of ccz_listen(), of reading the files, of ccz_jwks_parse()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_door_new(struct ccz_kms_door **out,
                                             const struct ccz_kms_door_cfg *cfg,
                                             struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_door_start(struct ccz_kms_door *d, struct ccz_err *err);
CCZ_API uint16_t ccz_kms_door_port(const struct ccz_kms_door *d);
/** For SIGHUP: reads certificate, key and the issuers' keys again, for new connections and the next tokens. What fails is
 *  kept as it was and logged. Any thread. @retval CCZ_OK all went well, else the failure of the last that did not */
CCZ_API ccz_rc ccz_kms_door_reload(struct ccz_kms_door *d);
/** Closes the port, lets calls under way be answered for at most @p grace_ms, ends all connections and the thread. */
CCZ_API void ccz_kms_door_stop(struct ccz_kms_door *d, int64_t grace_ms);
/** After ccz_kms_service_free(), whose last answers still come here. NULL is fine. */
CCZ_API void ccz_kms_door_free(struct ccz_kms_door *d);
CCZ_DEFINE_AUTO(ccz_kms_door)
/** What ccz_metrics_cfg.put wants, with a door as its arg: counters of the door, and until it stops those of the service's gRPC port. Any
 *  thread. */
CCZ_API void ccz_kms_door_metrics(void *door, struct ccz_buf *out);

/** How the subject of an issuer's tokens is called in the table of administrators: SHA-256 of
 *  "cczoo kms subject" | 0 | iss | 0 | sub. @retval CCZ_E_ARG  "door:subject": empty, or too long */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_door_subject(uint8_t id[32], const char *iss, const char *sub,
                                                 struct ccz_err *err);

/** The OpenAPI 3.1 document of POST /v1/..., as GET /openapi.json answers it; made of the same tables as the messages. */
CCZ_API void ccz_kms_door_openapi(struct ccz_buf *out);

#ifdef __cplusplus
}
#endif
#endif
