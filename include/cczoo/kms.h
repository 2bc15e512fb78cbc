/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_H
#define CCZ_KMS_H
/**
 * @file kms.h
 * Attestation server & KMS: a durable store of keys and secrets that are released to attested workloads only,
 * each under its own policy, each release on the record before it leaves.
 *
 * Terms. An *item* is "key/NAME" (key material of a named algorithm) or "secret/NAME" (any bytes). It has
 * *versions* 1, 2, ...; reading without a version means the latest. A *policy* (policy.h) has a name; an item is
 * *bound* to one policy and is released to nobody without one. An *administrator* is a pinned public key with a
 * role; a *workload* is a peer whose evidence was verified in this very session. Neither can act as the other.
 *
 * Pieces, each usable without the ones below it:
 *   store     database + master key: everything durable               (store.c, item.c, admin.c, audit.c)
 *   handler   (store, request, peer, time) -> response; no network    (msg.c, handle.c, batch.c, methods.c)
 *   service   the handler behind an RPC server, on one worker thread  (service.c)
 *   client    the same messages from the other side                   (client.c)
 * Reading order of the sources: name.c, hint.c, seal.c, db.c, db_sqlite.c, store.c, admin.c, item.c, policy_cache.c,
 * audit.c, signer.c (and those of kms_audit.h), msg.c, handle.c, batch.c, methods.c, rate.c, gate.c, service.c, client.c. Messages on the wire: proto/kms.proto. Design: docs/design/kms.md.
 *
 * What the store promises:
 *  - Values are sealed: a fresh AES-256-GCM key per value, wrapped by a key derived from the master key; both
 *    with (kind, name, version, algorithm) as associated data, so a value cannot be moved to another row.
 *  - Every row carries a MAC, and one sealed record covers the set of all rows and the end of the audit chain: a
 *    row changed, added, removed or replaced by its own earlier self is found when the store opens, whatever was done
 *    through the KMS since. Nothing of one store is genuine in another, whatever their master keys. (An older copy
 *    of the *whole* file needs a counter outside of it: kms_master.h.)
 *  - A change and its audit line are one transaction, on disk (WAL, synchronous=FULL) before it is acknowledged.
 */
#include <cczoo/policy.h>
#include <cczoo/rpc.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Names: 1..128 characters of [A-Za-z0-9._-] in segments separated by '/', no segment empty or starting with
 *  '.'. Sizes count the NUL. */
#define CCZ_KMS_NAME_SIZE      129
#define CCZ_KMS_ITEM_SIZE      (10 + CCZ_KMS_NAME_SIZE) /* "reference/" + name, in decisions */
#define CCZ_KMS_ALG_SIZE       20    /**< longest name of a kind of key and its NUL */
#define CCZ_KMS_VALUE_SIZE_MAX 65536 /**< bytes of one value */
#define CCZ_KMS_VERSIONS_MAX   1000  /**< of one item */
#define CCZ_KMS_MESSAGE_SIZE_MAX                                                                   \
    1310720 /**< of one request or response: the largest policy and some room */
#define CCZ_KMS_MASTER_KEY_SIZE 32
#define CCZ_KMS_INSTANCE_SIZE   16 /**< bytes that name a KMS, see struct ccz_kms_instance */

/** What a principal (a pinned key, or the subject of a token) may do in a namespace; bits of a set, the empty set is nothing.
 *  None of them reads a value. docs/design/kms-roles.md */
enum ccz_kms_role {
    CCZ_KMS_ROLE_NONE = 0,
    CCZ_KMS_ROLE_AUDITOR = 1,  /**< read metadata, policies and the audit chain */
    CCZ_KMS_ROLE_OPERATOR = 2, /**< keys and secrets: create, put, disable, delete */
    CCZ_KMS_ROLE_AUTHOR = 4,   /**< policies, and what is bound to them; or propose that */
    CCZ_KMS_ROLE_APPROVER = 8, /**< approve what another one proposed */
    CCZ_KMS_ROLE_CLIENT = 16,  /**< use keys that may be used without evidence */
    CCZ_KMS_ROLE_ADMIN = 15,   /**< the first four */
    CCZ_KMS_ROLES_ALL = 31
};
#define CCZ_KMS_ROLES_SIZE 48 /**< text of any set, with its NUL */
/** "auditor,author", "admin,client", "none" */
CCZ_API void ccz_kms_roles_print(char out[CCZ_KMS_ROLES_SIZE], uint32_t roles);
/** @retval CCZ_E_ARG  "kms:role-name"; @p out is 0 then */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_roles_parse(uint32_t *out, const char *text,
                                                struct ccz_err *err);

/* --------------------------------------------------------------------------------- store */

struct ccz_kms_master;
struct ccz_kms_epoch;
/** A database below the store; NULL stands for SQLite. Others come with a module of their own. */
struct ccz_kms_backend;

/** Where a KMS keeps its state. */
struct ccz_kms_state {
    const char
        *dir; /**< folder of the database (dir/kms.sqlite) and of the master key, mode 0700 */
    const struct ccz_kms_backend *backend; /**< NULL = SQLite, one process at a time */
    const char *database; /**< with a back end: how it finds its database; else NULL */
    const char *
        master_key; /**< file of 32 bytes, mode 0600; NULL = dir/master.key. Better elsewhere: whoever
                                 copies both has everything */
    struct ccz_kms_master *
        master; /**< instead of `master_key`: another provider (kms_master.h); borrowed during the call */
    struct ccz_kms_epoch *
        epoch; /**< counter that tells an older copy of the folder, or NULL; borrowed, outlives the store */
    bool
        reuse_master_key; /**< ccz_kms_init(): a master key that is there already is taken for the new store, too */
};
/**
 * Creates a state folder: master key, then the database with its first administrator in one transaction. A run
 * that was cut short is completed by the next one. Each store has a random id of its own, in every key that is derived from
 * the master key: nothing of one store is genuine in another one, also if both have one master key.
 * @param admin_spki_sha256  SHA-256 of the administrator's SubjectPublicKeyInfo
 * @retval CCZ_E_EXISTS  "kms:init": there is a complete state already; it is left alone
 * @retval CCZ_E_EXISTS  "kms:master-key-exists": of another store, maybe one whose database is elsewhere
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_init(const struct ccz_kms_state *state,
                                         const uint8_t admin_spki_sha256[32], int64_t now_s,
                                         struct ccz_err *err);

/** Approvals from the first moment on. */
struct ccz_kms_approvals {
    uint32_t needed; /**< for every namespace without a number of its own; 0 = none */
    const uint8_t (*approvers)[32]; /**< SHA-256 of their SubjectPublicKeyInfos; each another, and
                                         none of them the administrator's */
    size_t approvers_len;
};
/** The same, in the same transaction with approvers.
 *  @retval CCZ_E_DENIED  "kms:quorum-unreachable": more approvals than approvers beside the administrator
 *  @retval CCZ_E_ARG     "kms:init-approver": a key that is given twice */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_init_with(const struct ccz_kms_state *state,
                                              const uint8_t admin_spki_sha256[32],
                                              const struct ccz_kms_approvals *approvals,
                                              int64_t now_s, struct ccz_err *err);

/** An open store. One thread at a time. Holds the database exclusively: a second opener is refused. */
struct ccz_kms_store;
/**
 * Opens and checks everything (ccz_kms_store_check()).
 * @retval CCZ_E_NOT_FOUND    not initialised, or the master key file is missing
 * @retval CCZ_E_UNAVAILABLE  "kms:sealed" the master key is in shares, and some are missing
 * @retval CCZ_E_DENIED       "kms:epoch-required" the store has a counter, and none is given
 * @retval CCZ_E_SIG          "kms:rolled-back", "kms:forked" older than its counter; "kms:epoch-mac"
 * @retval CCZ_E_SIG          "kms:store-identity" the database is another store's than the folder's
 * @retval CCZ_E_SIG          "kms:master-key" wrong master key; "kms:row-mac", "kms:row-set", "kms:head",
 *                            "kms:audit-chain", "kms:audit-end": the database was changed behind our back
 * @retval CCZ_E_UNAVAILABLE  "kms:store-busy" another process has it
 * @retval CCZ_E_IO           "kms:store"; "kms:store-full" when there is no room
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_store_open(struct ccz_kms_store **out,
                                               const struct ccz_kms_state *state,
                                               struct ccz_err *err);
CCZ_API void ccz_kms_store_free(struct ccz_kms_store *s);
/** Which KMS this is: derived from a secret of the store, so the same for every server of this store, also after
 *  ccz_kms_rekey(), and another for any other store. Public. */
CCZ_API void ccz_kms_store_instance(uint8_t out[CCZ_KMS_INSTANCE_SIZE],
                                    const struct ccz_kms_store *s);
CCZ_DEFINE_AUTO(ccz_kms_store)

/**
 * Makes a store of schema 1 (before versions had a state of their own), 2 (before roles had namespaces), 3 (before sets of
 * reference values) or 4 (before items had heads) one of schema 5, in one transaction, with its audit line. From 1 and 2 administrators and auditors stay that, in
 * all namespaces, and the store gets another ccz_kms_store_instance(): after a crash it is the one or the other. Everything is checked first as ccz_kms_store_open() did then. The server
 * must not run; back the folder up before: older servers refuse the new schema ("kms:schema").
 * @retval CCZ_E_UNSUPPORTED  "kms:schema" it has another schema already; and the errors of ccz_kms_store_open()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_migrate(const struct ccz_kms_state *state, int64_t now_s,
                                            struct ccz_err *err);

/** What a check went through. */
struct ccz_kms_check {
    uint64_t versions; /**< versions of items */
    uint64_t policies, bindings, admins;
    uint64_t quorums, proposals, approvals;
    uint64_t keys; /**< that work inside the KMS */
    uint64_t staged, evidence;
    uint64_t references; /**< versions of sets of reference values */
    uint64_t raw_evidence;
    uint64_t item_heads; /**< one for each name of a key or secret, and for the KMS's own */
    uint64_t audit_lines;
};
/** Opens every sealed value, checks every MAC, the set of rows and the audit chain. Linear in the size of the store.
 *  @param[out] out  may be NULL */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_store_check(struct ccz_kms_check *out, struct ccz_kms_store *s,
                                                struct ccz_err *err);
/** Who gets which roles where. */
struct ccz_kms_grant {
    uint8_t principal[32]; /**< SHA-256 of a SubjectPublicKeyInfo, or of a token's subject */
    bool token;            /**< the latter */
    const char *ns;    /**< namespace: the part of names before their first '/', "" = names without
                            one, "*" or NULL = all of them */
    uint32_t roles;    /**< enum ccz_kms_role; 0 takes them away */
    const char *label; /**< for people: at most 64 printable characters, or NULL */
};
/** Most approvals that can be asked for. */
#define CCZ_KMS_APPROVALS_MAX 100
/**
 * Changes roles, with its audit line. For the machine's operator: it asks for no approvals, and is not reachable over the
 * network (ccz_kms_set_role() is).
 * @retval CCZ_E_DENIED  "kms:last-admin" nobody could administer any more; "kms:quorum-unreachable" fewer approvers would be left
 *                       than approvals are needed
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_store_grant(struct ccz_kms_store *s,
                                                const struct ccz_kms_grant *grant, int64_t now_s,
                                                struct ccz_err *err);
/** How many approvals it takes to change who gets what in a namespace; 0 = none. As above.
 *  @retval CCZ_E_DENIED  "kms:namespace" an item there is bound to a policy of another namespace */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_store_set_quorum(struct ccz_kms_store *s, const char *ns,
                                                     uint32_t needed, int64_t now_s,
                                                     struct ccz_err *err);
/** Gives a pinned key roles in all namespaces (0 takes them away), with its audit line. For the machine's operator: it is
 *  not reachable over the network. @retval CCZ_E_DENIED "kms:last-admin" nobody could administer any more */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_store_set_admin(struct ccz_kms_store *s,
                                                    const uint8_t spki_sha256[32], uint32_t roles,
                                                    int64_t now_s, struct ccz_err *err);

/* -------------------------------------------------------------------------------- handler */

/** Facts about the running server, shown by Status. */
struct ccz_kms_info {
    const char *version; /**< of the software */
    const char *tee;     /**< provider of its evidence, e.g. "sim-sgx" */
    bool simulated;      /**< its evidence, or evidence it accepts, is simulated */
    int64_t started_s;
    /** When the first part of the collateral in use expires, seconds since 1970 UTC, 0 = there is none; NULL = the same.
     *  Called by the worker. */
    int64_t (*collateral_expires_s)(void *arg);
    void *arg;
    /** Verifies evidence that a request for a certificate carries (ratls.h): genuine or not; policies are the KMS's. Called by the
     *  worker. NULL: no certificates are issued, "kms:cert-evidence" */
    ccz_ratls_appraise_fn appraise;
    void *appraise_arg;
    /** "iss" of attestation results, at most 256 bytes: the https URL under which others find the keys, if there is one.
     *  NULL = "cczoo-kms:" and the instance in hex */
    const char *issuer;
    /** Policies whose acceptance attestation results call "approved executables" (AR4SI), names with commas; "*" = any, also one that
     *  somebody made for a namespace of his own. NULL = none: they name the policy and say nothing of executables. */
    const char *token_policies;
};
/** Properties of the way in that a call took, as bits. None: RA-TLS of the session profile, or nothing that needs another rule. */
enum {
    /** The peer's evidence is bound to its key, and not fresh (Gramine's secret provisioning): who has had that key once may show it
     *  again. Release, of versions whose metadata says so: {"doors":["key-bound"]}. */
    CCZ_KMS_DOOR_KEY_BOUND = 1
};
/** One call. Everything is borrowed. */
struct ccz_kms_request {
    const char *path;                  /**< "/cczoo.kms.v1.Kms/Release" */
    struct ccz_span body;              /**< protobuf; untrusted */
    const struct ccz_ratls_peer *peer; /**< as RA-TLS left it */
    const char *address;               /**< of the peer, for the audit line */
    int64_t now_s;
    const struct ccz_kms_info *info;
    uint32_t doors; /**< CCZ_KMS_DOOR_ bits */
    /** Raw evidence of the peer, as it was verified; empty: this way in does not have it. */
    struct ccz_span evidence;
};
/**
 * Handles one call: who may do this, do it, audit it, answer. Each accepted change or release and each refusal leaves
 * one audit line and one log line; reading metadata leaves none.
 * @param[out] response  the message to send, appended; set its `wipe`. Untouched unless CCZ_OK
 * @retval CCZ_E_UNSUPPORTED  "kms:method"
 * @retval CCZ_E_FORMAT       "kms:request" and "kms:name": malformed
 * @retval CCZ_E_DENIED       "kms:admin-required", "kms:admin-unknown", "kms:role", "kms:workload-required",
 *                            "kms:evidence-stale", "kms:unbound", "kms:policy-in-use", "kms:latest-version",
 *                            "kms:deleted", "kms:disabled", "kms:expired", "kms:not-deleted", "kms:recovery-window"
 * @retval CCZ_E_MISMATCH     "kms:version-conflict", "kms:no-change"
 * @retval CCZ_E_POLICY       "policy:<claim>" with got and expected
 * @retval CCZ_E_NOT_FOUND, CCZ_E_EXISTS, CCZ_E_LIMIT, and those of ccz_kms_store_open() for a damaged or full store
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_handle(struct ccz_buf *response, struct ccz_kms_store *store,
                                           const struct ccz_kms_request *req, struct ccz_err *err);

/* -------------------------------------------------------------------------------- service */

/** The handler behind an RPC server. Calls are queued to one worker thread that owns the store (databases block), so
 *  event loops stay responsive; the queue is bounded (CCZ_E_LIMIT "kms:busy"). A call that is queued waits for at most two or three
 *  seconds for a store that does not answer; until it does again, calls are refused at once (CCZ_E_UNAVAILABLE "kms:store-stalled",
 *  "kms:store-connect"; nothing of them was done), so that who knows several servers goes on with another one, and the worker looks by
 *  itself whether it is back. What waits together is one transaction
 *  and one commit: each call succeeds or fails by itself, and no answer leaves before that commit. Uses of keys that take
 *  long (RSA, large messages) are worked on by threads of their own between two of these transactions. Keys with a period
 *  (kms_use.h) rotate by themselves: due ones are looked for at the start and every minute. */
struct ccz_kms_service;
/**
 * How fast calls may come in over gRPC, a second; beside each rate, how many at once (0 = twice the rate). Who is faster is refused with
 * CCZ_E_LIMIT (RESOURCE_EXHAUSTED) "kms:rate-address", "kms:rate-principal" or "kms:rate-total", with "grpc-retry-pushback-ms" and without
 * an audit line. All zero: the defaults. Of one server: another one of the same store counts by itself. HTTPS has its own
 * (kms_door.h).
 */
struct ccz_kms_rates {
    uint32_t address_rate, address_burst;     /**< one IPv4 address or IPv6 /64 */
    uint32_t principal_rate, principal_burst; /**< one key, or one workload on one platform */
    uint32_t total_rate, total_burst;         /**< everybody */
    /** Handshakes of one address, whose evidence costs more than most calls: ccz_kms_service_admit(). */
    uint32_t handshake_rate, handshake_burst;
    /** And of everybody, not less than of one address; 0 = 1000, or five times handshake_rate if that is more. A quarter of both is kept
     *  for addresses from which, in the last 24 hours, somebody with a role called, or a workload that a policy accepted. */
    uint32_t handshake_total_rate, handshake_total_burst;
};
#define CCZ_KMS_ADDRESS_RATE   2000
#define CCZ_KMS_PRINCIPAL_RATE 1000
#define CCZ_KMS_TOTAL_RATE     20000
#define CCZ_KMS_HANDSHAKE_RATE 200
#define CCZ_KMS_RATE_MAX       1000000 /**< bound of options that set them */
/**
 * What one namespace may have in the store; what is more is refused with CCZ_E_LIMIT "kms:quota-items", "kms:quota-versions",
 * "kms:quota-bytes" (of keys and secrets: names, versions, values with their metadata), "kms:quota-policies", "kms:quota-policy-bytes"
 * (policies, those on trial, versions of sets of reference values). Zeros: the defaults. What is there already stays.
 */
struct ccz_kms_quota {
    uint64_t items, versions, bytes, policies, policy_bytes;
};
#define CCZ_KMS_QUOTA_ITEMS        10000
#define CCZ_KMS_QUOTA_VERSIONS     20000
#define CCZ_KMS_QUOTA_BYTES        (128 << 20)
#define CCZ_KMS_QUOTA_POLICIES     1000
#define CCZ_KMS_QUOTA_POLICY_BYTES (2 << 20)
struct ccz_kms_service_cfg {
    struct ccz_kms_store
        *store; /**< required; owned by the caller, used by the worker until the service is freed */
    struct ccz_clock clock;   /**< required */
    struct ccz_kms_info info; /**< strings outlive the service */
    unsigned crypto_threads;  /**< for RSA and large messages, beside the worker; 0 = two, at most
                           CCZ_KMS_CRYPTO_THREADS_MAX */
    struct ccz_kms_rates rates;
    struct ccz_kms_quota quota; /**< of the store, from now on */
};
#define CCZ_KMS_CRYPTO_THREADS_MAX 64
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_service_new(struct ccz_kms_service **out,
                                                const struct ccz_kms_service_cfg *cfg,
                                                struct ccz_err *err);
/** Registers every method; before ccz_rpc_server_start(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_service_add(struct ccz_kms_service *s,
                                                struct ccz_rpc_server *server);
/** ccz_rpc_server_cfg.admit with the service as its arg: connections of one address beyond its rate are closed before their handshake.
 *  Any thread. */
CCZ_API bool ccz_kms_service_admit(void *service, const char *address);
/** Appends counters of the gRPC port for Prometheus; part of ccz_kms_door_metrics(). Any thread. */
CCZ_API void ccz_kms_service_metrics(struct ccz_kms_service *s, struct ccz_buf *out);
/** What a call came to: @p err is NULL and @p response the message; or why not, and @p response is the id of the decision as
 *  text ("D17", kms_why.h), empty if it is not on record. Both are borrowed. On a thread of the service, where other calls wait: it
 *  must not block. */
typedef void (*ccz_kms_answer_fn)(void *arg, struct ccz_span response, const struct ccz_err *err);
/** A way in beside gRPC, for doors of other protocols: the same queue, policies and audit. @p req is copied; its now_s and
 *  info are those of the service, and whoever fills in its peer answers for that. Thread-safe.
 *  @retval CCZ_E_LIMIT  "kms:busy"  @retval CCZ_E_UNAVAILABLE  the store does not answer: not queued, @p answer is not called; else it is,
 *  exactly once, before the service is freed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_service_call(struct ccz_kms_service *s,
                                                 const struct ccz_kms_request *req,
                                                 ccz_kms_answer_fn answer, void *arg,
                                                 struct ccz_err *err);
/** Whether the service can do its work: the worker gets through its queue and the store answers a read. With @p principal (32 bytes,
 *  copied) also whether it has a role: "kms:admin-unknown". Nothing is recorded. @p answer as of ccz_kms_service_call(), with an
 *  empty response. @retval CCZ_E_LIMIT, CCZ_E_UNAVAILABLE  as of ccz_kms_service_call() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_service_probe(struct ccz_kms_service *s,
                                                  const uint8_t *principal,
                                                  ccz_kms_answer_fn answer, void *arg,
                                                  struct ccz_err *err);
/** Whether calls are taken, as far as is known without asking the store. Any thread, at once.
 *  @retval CCZ_E_UNAVAILABLE  "kms:store-stalled" and others: what calls are refused with */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_service_answers(struct ccz_kms_service *s, struct ccz_err *why);
/** Copies the store, as it is between two commits, to @p path (0600, replaced when the copy is complete and durable), which
 *  ccz_kms_store_open() takes as the database of a state folder. Values are sealed in it as in the store; the master key is not in it. Calls
 *  wait meanwhile. @param path  copied  @p answer as of ccz_kms_service_call(), with an empty response: "kms:backup" of a store that is not
 *  in SQLite, "kms:store-full"  @retval CCZ_E_LIMIT, CCZ_E_UNAVAILABLE  as of ccz_kms_service_call() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_service_backup(struct ccz_kms_service *s, const char *path,
                                                   ccz_kms_answer_fn answer, void *arg,
                                                   struct ccz_err *err);
/** ccz_ratls_pin_fn with the service as its arg: admits keys that have a role, also one that was given a moment ago, over this
 *  server or another one of the store: for a key that it does not know it has the worker look, at most once a second, and waits half a
 *  second for that. The handler looks the role up again for every call. Any thread but event loops. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_service_pin(void *service, struct ccz_span spki,
                                                struct ccz_err *err);
/** Answers what is queued, then stops. Stop the RPC server first. */
CCZ_API void ccz_kms_service_free(struct ccz_kms_service *s);
CCZ_DEFINE_AUTO(ccz_kms_service)

/* --------------------------------------------------------------------------------- client */

/*
 * Each function is one blocking call (30 s) on a connected RPC client whose RA-TLS context has already judged the
 * server's evidence; none is retried. Errors carry the server's where / got / expected; their rc is the nearest that a
 * gRPC status can say (a refusal by a policy arrives as CCZ_E_DENIED). Texts in structures are NUL-terminated.
 */

/** Proof that a call is on record: the audit line it caused. */
struct ccz_kms_receipt {
    uint64_t audit_seq;
    uint8_t audit_sha256[32];
    int64_t time_s;
};
/** What came with a released value. */
struct ccz_kms_release {
    char alg[CCZ_KMS_ALG_SIZE]; /**< "aes-128", "aes-256", or "" for a secret */
    uint32_t version;
    char policy[CCZ_KMS_NAME_SIZE];
    uint8_t policy_sha256[32];               /**< of the policy's JSON */
    char rule[64];                           /**< rule that accepted */
    uint8_t instance[CCZ_KMS_INSTANCE_SIZE]; /**< which KMS gave it */
    struct ccz_kms_receipt receipt;
};
/**
 * Which KMS a run takes its values from. A policy for the KMS names a program, and anybody can run that program with a store
 * of his own: an address that leads to two of them would mix the values of two owners in one run. So each KMS says which one it is, and a
 * genuine one cannot say that it is another: the id is derived from a secret of its store. Zeroed: the first release decides.
 */
struct ccz_kms_instance {
    bool known;
    uint8_t id[CCZ_KMS_INSTANCE_SIZE];
};
/**
 * After every release of a run: the first pins @p pin, the others must come from the same KMS. The caller drops the value of
 * a release that is refused. Not thread-safe.
 * @retval CCZ_E_UNTRUSTED  "kms:instance", got / expected in hex
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_instance_check(struct ccz_kms_instance *pin,
                                                   const struct ccz_kms_release *info,
                                                   struct ccz_err *err);
/** The id of a KMS that is known before the first release. @param hex  32 digits
 *  @retval CCZ_E_ARG  "kms:instance-id"; @p out is zeroed then */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_instance_parse(struct ccz_kms_instance *out, const char *hex,
                                                   struct ccz_err *err);
/**
 * Workload: asks for the value of @p item ("key/fmnist"). A run that asks for more than one calls ccz_kms_instance_check().
 * @param[out] out   owned by the caller
 * @param[out] info  may be NULL
 * @param version    0 = latest
 * @retval CCZ_E_UNTRUSTED  "kms:instance": the server does not say which KMS it is
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_release(struct ccz_secret **out, struct ccz_kms_release *info,
                                            struct ccz_rpc_client *c, const char *item,
                                            uint32_t version, struct ccz_err *err);

#define CCZ_KMS_HELD_MAX 16 /**< items of one call of ccz_kms_still_released() */
/** What a workload was given and goes on using, and whether it may. */
struct ccz_kms_held {
    const char *item; /**< in: "key/NAME" or "secret/NAME"; borrowed */
    uint32_t version; /**< in: from 1 */
    bool released;    /**< out: a Release of it would be granted now */
    char where
        [CCZ_ERR_WHERE_SIZE]; /**< out: why not, as a Release says it ("kms:disabled"), else "" */
    uint64_t decision;        /**< out: audit line of this "no"; 0: an earlier call left it */
};
/**
 * Workload: asks again, every few seconds if it likes, for what it has. The KMS decides as for a Release, from the evidence of this
 * session and by what is true now, gives nothing out, and records only answers that have become "no". At most 5 s.
 * @param held      1..CCZ_KMS_HELD_MAX; on failure all are "not released" and mean nothing: nobody has decided
 * @param instance  which KMS is asked: that of the release. Another one's "yes" would be worth nothing
 * @retval CCZ_E_ARG          kms:held: none, too many, or one without a version
 * @retval CCZ_E_UNTRUSTED    kms:instance
 * @retval CCZ_E_UNSUPPORTED  kms:method: a KMS of an older version
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_still_released(struct ccz_kms_held *held, size_t len,
                                                   const struct ccz_kms_instance *instance,
                                                   struct ccz_rpc_client *c, struct ccz_err *err);

/** What a workload wants to have said of itself. */
struct ccz_kms_attest {
    const char *tee_pubkey; /**< JWK of a key for encryption that the token is to name, or NULL */
    const char *
        nonce; /**< of whoever relies on the token, at most 128 bytes, or NULL; not without tee_pubkey */
    const char *audience; /**< who that is: "aud", at most 256 bytes, or NULL */
    const char *
        policy; /**< a policy of the KMS that has to accept the evidence, and is named in the token, or NULL */
    bool full_claims; /**< all claims, not only those that name program and platform status */
};
/** What came with a token. */
struct ccz_kms_attestation {
    int64_t
        expires_s; /**< five minutes from now by the clock of the KMS, or when the collateral of the evidence expires */
    uint8_t instance[CCZ_KMS_INSTANCE_SIZE];
    struct ccz_kms_receipt receipt;
};
/**
 * Workload: an attestation result (EAR) for others, of the evidence of this very session: a JWT by a key of
 * ccz_kms_token_keys(). Nothing simulated is ever "affirming".
 * @param[out] token  appended  @param[out] info  may be NULL  @param what  NULL = nothing of it
 * @retval CCZ_E_POLICY  "kms:attest-policy": no policy in use by that name that accepts  @retval CCZ_E_FORMAT  "kms:attest-nonce", "kms:attest-text", "jwk:.."
 * @retval CCZ_E_UNSUPPORTED  "kms:attest-key"
 * @retval CCZ_E_EXPIRED  "kms:attest-expired": the collateral that this session's evidence was verified with is no longer good
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_attest(struct ccz_buf *token, struct ccz_kms_attestation *info,
                                           struct ccz_rpc_client *c,
                                           const struct ccz_kms_attest *what, struct ccz_err *err);
/** Anybody: the keys that sign such tokens, as a JWK set; @p issuer is what "iss" of them says. Both are appended, @p issuer may
 *  be NULL. Keys that sign no more are in it for an hour. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_token_keys(struct ccz_buf *jwks, struct ccz_buf *issuer,
                                               struct ccz_rpc_client *c, struct ccz_err *err);
#define CCZ_KMS_KID_SIZE 44 /**< of such a key, with its NUL */
/**
 * Operator: from now on another key signs them. By itself that happens after 30 days.
 * @param[out] kid      of the new one
 * @param[out] receipt  may be NULL
 * @retval CCZ_E_LIMIT  "kms:token-key-soon": the one that signs is younger than a minute; "kms:token-keys": eight are published, each
 *                      for an hour after it has signed last; "kms:versions": 500 were made
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_rotate_token_key(char kid[CCZ_KMS_KID_SIZE],
                                                     struct ccz_kms_receipt *receipt,
                                                     struct ccz_rpc_client *c, struct ccz_err *err);

/** What to store. */
struct ccz_kms_put {
    const char *name; /**< without "key/" or "secret/" */
    const char *alg;  /**< keys: "aes-128" or "aes-256" */
    const char *
        policy; /**< existing policy to bind to; NULL = bind later (a new version keeps the binding) */
    bool new_version; /**< false: the item must not exist; true: it must */
    const struct ccz_secret
        *value; /**< keys: NULL = the server makes the key, and it never leaves unattested */
    /** Instead of new_version, for more than one writer: store only if if_version is the latest version (0 = the item
     *  does not exist), else CCZ_E_MISMATCH "kms:version-conflict". */
    bool check_version;
    uint32_t if_version;
    int64_t expires_s; /**< this version is released to nobody from then on; 0 = never */
    const char *
        metadata; /**< a JSON object of at most 4,096 bytes, not secret; NULL = none. "doors":["key-bound"] opens the
                             version for CCZ_KMS_DOOR_KEY_BOUND */
};
/** Administrator: creates or imports a key, or a version of it. @param[out] version, receipt  may be NULL */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_create_key(uint32_t *version, struct ccz_kms_receipt *receipt,
                                               struct ccz_rpc_client *c,
                                               const struct ccz_kms_put *put, struct ccz_err *err);
/** Administrator: stores a secret, or a version of it. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_put_secret(uint32_t *version, struct ccz_kms_receipt *receipt,
                                               struct ccz_rpc_client *c,
                                               const struct ccz_kms_put *put, struct ccz_err *err);
/** Administrator: stores a policy. @param replace  allow it to exist: every item bound to it is under the new one at once */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_put_policy(struct ccz_kms_receipt *receipt,
                                               struct ccz_rpc_client *c, const char *name,
                                               struct ccz_span json, bool replace,
                                               struct ccz_err *err);
/** Administrator: binds an item to another policy. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_bind(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                                         const char *item, const char *policy, struct ccz_err *err);
/** How to delete. NULL or zeroed: with seven days in which it can be undone. */
struct ccz_kms_deletion {
    uint32_t recovery_s; /**< 1 to 90 days, 0 = seven: until then ccz_kms_destroy() is refused */
    bool no_recovery;    /**< items: for good, now; guarded where approvals are needed */
};
/** Administrator: deletes "key/NAME" or "secret/NAME" (one version, or all with 0): released to nobody, brought back by
 *  ccz_kms_undelete(), kept until ccz_kms_destroy(). "policy/NAME" (bound to nothing) goes at once. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_delete(struct ccz_kms_receipt *receipt,
                                           struct ccz_rpc_client *c, const char *target,
                                           uint32_t version, const struct ccz_kms_deletion *how,
                                           struct ccz_err *err);
/** Administrator: takes a deletion back, also after its window as long as nobody destroyed it. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_undelete(struct ccz_kms_receipt *receipt,
                                             struct ccz_rpc_client *c, const char *item,
                                             uint32_t version, struct ccz_err *err);
/** Administrator: removes what was deleted, for good. @retval CCZ_E_DENIED "kms:recovery-window" too early,
 *  "kms:not-deleted", "kms:latest-version" (its number would be given out again) */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_destroy(struct ccz_kms_receipt *receipt,
                                            struct ccz_rpc_client *c, const char *item,
                                            uint32_t version, struct ccz_err *err);
/** Administrator: a disabled version is released to nobody until it is enabled again; version 0 = all there are. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_disable(struct ccz_kms_receipt *receipt,
                                            struct ccz_rpc_client *c, const char *item,
                                            uint32_t version, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_enable(struct ccz_kms_receipt *receipt,
                                           struct ccz_rpc_client *c, const char *item,
                                           uint32_t version, struct ccz_err *err);

/** Auditor: the JSON of a policy, appended. @param[out] sha256 may be NULL */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_get_policy(struct ccz_buf *json, uint8_t sha256[32],
                                               struct ccz_rpc_client *c, const char *name,
                                               struct ccz_err *err);
/** Metadata of an item (its latest version), or of a policy (`item` "policy/NAME", alg and policy empty, version 0). */
struct ccz_kms_item {
    char item[CCZ_KMS_ITEM_SIZE];
    char alg[CCZ_KMS_ALG_SIZE];
    uint32_t version;               /**< in a list: the latest one */
    int64_t created_s;              /**< of that version */
    char policy[CCZ_KMS_NAME_SIZE]; /**< "" = unbound: released to nobody */
    bool disabled;
    int64_t expires_s;        /**< 0 = never */
    int64_t delete_after_s;   /**< deleted, and may be destroyed from then on; 0 = not deleted */
    struct ccz_span metadata; /**< JSON or empty; borrowed, as the server sent it */
};
typedef void (*ccz_kms_item_fn)(void *arg, const struct ccz_kms_item *item);
/** Auditor: keys, then secrets, then policies, each by name; fetched in pages. @p fn is called on this thread. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_list(struct ccz_rpc_client *c, ccz_kms_item_fn fn, void *arg,
                                         struct ccz_err *err);
/** Auditor: every version of one item, oldest first. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_describe(struct ccz_rpc_client *c, const char *item,
                                             ccz_kms_item_fn fn, void *arg, struct ccz_err *err);

/** One line of the audit chain: hash = SHA-256(prev || le64 seq || le64 time_s || entry), prev of line 1 is zero. */
struct ccz_kms_audit_line {
    uint64_t seq; /**< 1, 2, ... without gaps */
    int64_t time_s;
    struct ccz_span entry; /**< JSON, borrowed */
    uint8_t prev[32], hash[32];
};
/** @retval CCZ_E_SIG  "kms:audit-chain": the hash is not the hash of the line */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_audit_check(const struct ccz_kms_audit_line *line,
                                                struct ccz_err *err);
typedef void (*ccz_kms_audit_fn)(void *arg, const struct ccz_kms_audit_line *line);
/**
 * Auditor: lines after @p after_seq, at most @p limit (0 = to the end), each checked to continue the one before it.
 * @param last  only the last so many lines before the end (then after_seq is ignored); 0 = no such limit
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_audit(struct ccz_rpc_client *c, uint64_t after_seq,
                                          uint64_t limit, uint64_t last, ccz_kms_audit_fn fn,
                                          void *arg, struct ccz_err *err);

/* Roles and approvals: docs/design/kms-roles.md. Namespaces as in struct ccz_kms_grant. */

/** Who has all roles in the namespace, and no approvals are needed there: changes roles.
 *  @retval CCZ_E_DENIED  "kms:approval-needed": ccz_kms_propose_role() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_set_role(struct ccz_kms_receipt *receipt,
                                             struct ccz_rpc_client *c,
                                             const struct ccz_kms_grant *grant,
                                             struct ccz_err *err);
/**
 * Opens a version for peers whose evidence is bound to their key and not to a session (CCZ_KMS_DOOR_KEY_BOUND), or closes it: the
 * member "doors" of its metadata; the rest stays. To open: author, and ccz_kms_propose_doors() where approvals are needed. To
 * close: operator or author.
 * @param version  not 0
 * @retval CCZ_E_FORMAT "kms:version-required" @retval CCZ_E_MISMATCH "kms:no-change"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_set_doors(struct ccz_kms_receipt *receipt,
                                              struct ccz_rpc_client *c, const char *item,
                                              uint32_t version, bool key_bound,
                                              struct ccz_err *err);
/** The same: how many approvals are needed from now on. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_set_quorum(struct ccz_kms_receipt *receipt,
                                               struct ccz_rpc_client *c, const char *ns,
                                               uint32_t needed, struct ccz_err *err);
typedef void (*ccz_kms_role_fn)(void *arg, const struct ccz_kms_grant *grant);
typedef void (*ccz_kms_quorum_fn)(void *arg, const char *ns, uint32_t needed);
/** Roles and quorums of the namespaces that the caller may read, and those of "*". */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_list_roles(struct ccz_rpc_client *c, ccz_kms_role_fn role,
                                               ccz_kms_quorum_fn quorum, void *arg,
                                               struct ccz_err *err);

/** What was proposed. */
struct ccz_kms_proposed {
    uint64_t id;
    uint32_t needed; /**< approvals */
    int64_t expires_s;
    uint8_t sha256[32]; /**< of method and request, for approvers to compare */
    struct ccz_kms_receipt receipt;
};
/**
 * Author: proposes a call. It was tried and taken back, so it could be done now.
 * @param method  "PutPolicy", "Bind", "Delete" (of a policy), "SetRole", "SetQuorum"; see the functions below
 * @param body    protobuf of its request
 * @param valid_s a minute to 30 days, 0 = seven days
 * @retval CCZ_E_DENIED  "kms:quorum-none": no approvals are needed, call it directly
 * @retval CCZ_E_UNSUPPORTED  "kms:not-proposable"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                                            const char *method, struct ccz_span body,
                                            uint32_t valid_s, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_doors(struct ccz_kms_proposed *out,
                                                  struct ccz_rpc_client *c, const char *item,
                                                  uint32_t version, bool key_bound,
                                                  uint32_t valid_s, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_policy(struct ccz_kms_proposed *out,
                                                   struct ccz_rpc_client *c, const char *name,
                                                   struct ccz_span json, bool replace,
                                                   uint32_t valid_s, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_bind(struct ccz_kms_proposed *out,
                                                 struct ccz_rpc_client *c, const char *item,
                                                 const char *policy, uint32_t valid_s,
                                                 struct ccz_err *err);
/** As ccz_kms_delete(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_delete(struct ccz_kms_proposed *out,
                                                   struct ccz_rpc_client *c, const char *target,
                                                   uint32_t version,
                                                   const struct ccz_kms_deletion *how,
                                                   uint32_t valid_s, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_role(struct ccz_kms_proposed *out,
                                                 struct ccz_rpc_client *c,
                                                 const struct ccz_kms_grant *grant,
                                                 uint32_t valid_s, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_quorum(struct ccz_kms_proposed *out,
                                                   struct ccz_rpc_client *c, const char *ns,
                                                   uint32_t needed, uint32_t valid_s,
                                                   struct ccz_err *err);
/** What an approval came to. */
struct ccz_kms_approved {
    bool done; /**< it was the last one that was needed, and the proposal was executed */
    uint32_t approvals, needed;
    uint64_t executed_seq; /**< audit line of the call that was proposed */
    struct ccz_kms_receipt receipt;
};
/**
 * Approver in the namespace of the proposal, and not its proposer. The approval that completes the quorum executes the
 * proposal in the same transaction; if it cannot be done any more, that approval is refused with the reason.
 * @param sha256  of the proposal that was looked at
 * @retval CCZ_E_DENIED    "kms:approver-proposer", "kms:proposal-closed", "kms:proposer-role" who proposed it may not any more
 * @retval CCZ_E_EXISTS    "kms:approved-already"
 * @retval CCZ_E_EXPIRED   "kms:proposal-expired"
 * @retval CCZ_E_MISMATCH  "kms:proposal-changed"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_approve(struct ccz_kms_approved *out, struct ccz_rpc_client *c,
                                            uint64_t id, const uint8_t sha256[32],
                                            struct ccz_err *err);
/** An approver ends a proposal, or its proposer takes it back. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_reject(struct ccz_kms_receipt *receipt,
                                           struct ccz_rpc_client *c, uint64_t id,
                                           struct ccz_err *err);
enum ccz_kms_proposal_state {
    CCZ_KMS_PROPOSAL_OPEN = 1,
    CCZ_KMS_PROPOSAL_DONE,
    CCZ_KMS_PROPOSAL_REJECTED,
    CCZ_KMS_PROPOSAL_EXPIRED
};
struct ccz_kms_proposal {
    uint64_t id;
    char ns[CCZ_KMS_NAME_SIZE];
    char method[32];
    struct ccz_span body; /**< borrowed during the call */
    uint8_t proposer[32], sha256[32];
    int64_t created_s, expires_s;
    enum ccz_kms_proposal_state state;
    uint32_t needed;
    const uint8_t (*approvers)[32]; /**< borrowed; all that said so, oldest first */
    size_t approvers_len;
};
/** Text of a proposed request for people, appended: the whole of it, policies as they are. "Bind item=... policy=..." */
CCZ_API void ccz_kms_proposal_print(struct ccz_buf *out, const struct ccz_kms_proposal *p);
/** What a proposed RollOut puts in force: the policy that is staged for @p policy and has this digest, which ccz_kms_get_staged() gets.
 *  @return false: @p p is no RollOut (or malformed); outputs are untouched */
CCZ_API bool ccz_kms_proposal_roll_out(char policy[CCZ_KMS_NAME_SIZE], uint8_t sha256[32],
                                       const struct ccz_kms_proposal *p);
typedef void (*ccz_kms_proposal_fn)(void *arg, const struct ccz_kms_proposal *p);
/** Proposals behind @p after_id of the namespaces that the caller may read. @param limit  0 = all */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_list_proposals(struct ccz_rpc_client *c, uint64_t after_id,
                                                   uint64_t limit, ccz_kms_proposal_fn fn,
                                                   void *arg, struct ccz_err *err);

struct ccz_kms_status {
    char version[16]; /**< of the software */
    char tee[16];
    bool simulated;
    int64_t started_s;
    uint64_t keys, secrets, policies, unbound; /**< items; `unbound` of them have no policy */
    int64_t
        collateral_expires_s; /**< of the collateral that workloads are judged by; 0 = there is none */
    uint64_t audit_seq;
    uint8_t
        audit_sha256[32]; /**< end of the chain: keep it elsewhere to notice a rolled-back store */
    uint8_t instance[CCZ_KMS_INSTANCE_SIZE]; /**< which KMS this is */
    bool
        counted; /**< a counter outside of the store follows it: an older copy of the store does not start */
    uint32_t
        quota_most_percent; /**< the most that a namespace was seen to have of any of its quotas (ccz_kms_quota) since this
                           server started */
};
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_get_status(struct ccz_kms_status *out, struct ccz_rpc_client *c,
                                               struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
