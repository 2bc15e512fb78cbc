/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_AGENT_H
#define CCZ_AGENT_H
/**
 * @file agent.h
 * The key agent: a process inside a TEE that gives evidence to the KMS and unwraps keys for programs beside it that know
 * nothing of attestation (a JVM with Parquet in it). They talk to it over a unix socket. `cczoo agent run` is this module
 * with options; the protocol and the command are in docs/reference/agent.md.
 *
 * Terms. A *master key* is an item key/NAME of the KMS. A *wrapped key* is a short text that holds a data key, sealed under a
 * master key; whoever may use the master key can open it. The agent never gives a master key to anybody: it wraps and
 * unwraps. A *secret* is an item secret/NAME, whose value is handed over as it is.
 *
 * What an agent does is what its lists say: a name that is on no list is refused, empty lists refuse everything. That is
 * the local half; the other is the policy of each item in the KMS, which judges the agent's evidence at *every* call: the agent
 * remembers neither master keys nor secrets, so that a key that is revoked there is refused at the next call, and every use
 * is a line in the audit of the KMS.
 *
 * Who may ask: processes of one user (SO_PEERCRED), over a socket of mode 0600; with `peer_root` one child of this process and what
 * that started alone. Processes of one user that may trace each other (ptrace) are one all the same.
 *
 * Reading order of the sources: wrap.c, line.c, handle.c, io.c, peer.c, serve.c, kms.c, client.c.
 */
#include <cczoo/kms.h>
#include <cczoo/party.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------- wrapped keys */

#define CCZ_AGENT_KEY_SIZE_MAX     64  /**< bytes of a key that is wrapped */
#define CCZ_AGENT_WRAPPED_SIZE_MAX 160 /**< characters of a wrapped key */
/**
 * Seals @p plain under a master key: "ccz1." || base64(le32 version || nonce || ciphertext || tag), AES-256-GCM under
 * HKDF-SHA-256(master key, "cczoo wrapped key v1"), with version and @p name as associated data: a wrapped key opens under
 * its own master key and under no other name. Nonces are random: at most 2^32 wraps of one version of a master key.
 * @param[out] out  text, appended
 * @param master    material of the master key, of @p version (1, 2, ..)
 * @param name      of the master key, without "key/"
 * @param plain     1 .. CCZ_AGENT_KEY_SIZE_MAX bytes
 * @retval CCZ_E_ARG, CCZ_E_LIMIT "agent:key-size", CCZ_E_NOMEM
 * @thread safe
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agent_wrap(struct ccz_buf *out, const struct ccz_secret *master,
                                           uint32_t version, const char *name,
                                           struct ccz_span plain, struct ccz_err *err);
/** Which version of the master key opens it; nothing is verified. @retval CCZ_E_FORMAT "agent:wrapped" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agent_wrapped_version(uint32_t *version, struct ccz_span wrapped,
                                                      struct ccz_err *err);
/**
 * The inverse of ccz_agent_wrap().
 * @param[out] out  owned by the caller
 * @param wrapped   untrusted
 * @retval CCZ_E_FORMAT  "agent:wrapped": no wrapped key
 * @retval CCZ_E_SIG     "agent:wrapped": another master key, another name, or changed
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agent_unwrap(struct ccz_secret **out,
                                             const struct ccz_secret *master, const char *name,
                                             struct ccz_span wrapped, struct ccz_err *err);

/* -------------------------------------------------------------------------------- agent */

/** Where values come from: ccz_agent_kms_release(), or a test's own. Called from several threads at a time; may block.
 *  @param[out] out, info  as of ccz_kms_release(); @p version 0 is the latest */
typedef ccz_rc (*ccz_agent_release_fn)(void *arg, struct ccz_secret **out,
                                       struct ccz_kms_release *info, const char *item,
                                       uint32_t version, struct ccz_err *err);
/** Names that may be used: each a name, or a folder of names ("spark/" followed by an asterisk). */
struct ccz_agent_names {
    const char *const *name;
    size_t len;
};
struct ccz_agent_cfg {
    const char *
        socket; /**< required: path; a socket that nobody listens on any more is replaced, anything else is not */
    ccz_agent_release_fn release; /**< required */
    void *release_arg;
    struct ccz_agent_names unwrap, wrap; /**< master keys, without "key/" */
    struct ccz_agent_names secret;       /**< without "secret/" */
    /** Who may ask; unset = the user of this process. Another one owns the socket then, which takes CAP_CHOWN. */
    bool peer_uid_set;
    uint32_t peer_uid;
    /** A child of this process: only it and processes that it started, directly or not, may ask ("agent:peer"); 0 = all of the user.
     *  Looked at when they connect, by the parents in /proc: who outlives its parent (a daemon) is no longer one of them. Before
     *  Linux 6.5, a process that connects and ends at once may be taken for a later one with its number. */
    int64_t peer_root;
    unsigned connections_max;   /**< at a time, each a thread; 0 = 64, at most 1024 */
    int64_t request_timeout_ms; /**< to send a request, or to take an answer; 0 = 10 s */
    int64_t idle_timeout_ms;    /**< between requests; 0 = 10 min */
};
#define CCZ_AGENT_REQUEST_SIZE_MAX                                                                 \
    1024 /**< bytes of a request line, its end included; a longer one ends the connection */

struct ccz_agent;
/**
 * Opens the socket and serves it with threads of its own until ccz_agent_free(). Every request leaves a log line of module
 * "agent" with what was asked for, by which process, and the line in the audit of the KMS or the refusal.
 * @param cfg  texts and lists are borrowed until ccz_agent_free()
 * @retval CCZ_E_ARG     "agent:config"
 * @retval CCZ_E_EXISTS  "agent:socket": an agent listens there, or it is no socket
 * @retval CCZ_E_IO      "agent:socket", aux = errno
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agent_new(struct ccz_agent **out, const struct ccz_agent_cfg *cfg,
                                          struct ccz_err *err);
/** Ends all connections and removes the socket; waits for a release under way. */
CCZ_API void ccz_agent_free(struct ccz_agent *a);
CCZ_DEFINE_AUTO(ccz_agent)

/* ------------------------------------------------------------------------- from the KMS */

/** A connection to a KMS that shows evidence of its own and renews it. */
struct ccz_agent_kms;
struct ccz_agent_kms_cfg {
    const char *target;      /**< required: "host:port" */
    struct ccz_party *party; /**< required, outlives it: own evidence, and the policy for the KMS */
    int64_t
        refresh_ms; /**< evidence older than this is made again before the next release; 0 = 1 h */
    struct ccz_kms_instance instance; /**< which KMS; zeroed: that of the first release, for good */
};
/** Connects: a KMS whose evidence is refused is noticed here. @retval those of ccz_rpc_client_connect() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agent_kms_new(struct ccz_agent_kms **out,
                                              const struct ccz_agent_kms_cfg *cfg,
                                              struct ccz_err *err);
/** A ccz_agent_release_fn; @p kms is a struct ccz_agent_kms. Evidence that cannot be renewed is no reason to go on with the
 *  old one: the release fails. Every value comes from the same KMS, over all connections ("kms:instance").
 *  @retval those of ccz_party_renew(), ccz_kms_release(), ccz_kms_instance_check() */
CCZ_API ccz_rc ccz_agent_kms_release(void *kms, struct ccz_secret **out,
                                     struct ccz_kms_release *info, const char *item,
                                     uint32_t version, struct ccz_err *err);
/** What came with the connection to the KMS. */
CCZ_API const struct ccz_ratls_peer *ccz_agent_kms_peer(const struct ccz_agent_kms *k);
CCZ_API void ccz_agent_kms_free(struct ccz_agent_kms *k); /**< after the agent */
CCZ_DEFINE_AUTO(ccz_agent_kms)

/* ------------------------------------------------------------------------------- client */

/** A connection to an agent; one thread at a time. Requests are answered in order, each within 60 s. */
struct ccz_agent_client;
/**
 * @param socket  path; "unix:" before it is skipped
 * @retval CCZ_E_UNAVAILABLE  "agent:connect": nobody listens there
 * @retval CCZ_E_UNTRUSTED    "agent:server-uid": it belongs to another user, who is neither this one nor root
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agent_client_new(struct ccz_agent_client **out, const char *socket,
                                                 struct ccz_err *err);
CCZ_API void ccz_agent_client_free(struct ccz_agent_client *c);
CCZ_DEFINE_AUTO(ccz_agent_client)
/* Errors of the agent and of the KMS behind it come back with their rc, where, got and expected. A connection that broke is
 * not made again: CCZ_E_CLOSED, CCZ_E_TIMEOUT "agent:connection", or CCZ_E_PEER "agent:answer". */
/** @param[out] out  owned by the caller */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agent_client_unwrap(struct ccz_secret **out,
                                                    struct ccz_agent_client *c, const char *name,
                                                    struct ccz_span wrapped, struct ccz_err *err);
/** @param[out] out  text, appended */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agent_client_wrap(struct ccz_buf *out, struct ccz_agent_client *c,
                                                  const char *name, struct ccz_span plain,
                                                  struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_agent_client_secret(struct ccz_secret **out,
                                                    struct ccz_agent_client *c, const char *name,
                                                    struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
