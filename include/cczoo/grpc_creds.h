/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_GRPC_CREDS_H
#define CCZ_GRPC_CREDS_H
/**
 * @file grpc_creds.h
 * RA-TLS for programs that use the distribution's libgrpc, from C and C++: credentials for their channels and servers, no
 * patch. A library of its own, cczoo-grpc, because of what it links. Two profiles of ratls.h:
 *
 * CCZ_RATLS_HANDSHAKE    fresh evidence in each handshake. Needs a libgrpc that is linked to the OpenSSL of this library
 *                        (Debian's, Fedora's); ccz_grpc_creds_new() finds out with a handshake inside the process, and
 *                        refuses others. TLS 1.3 only, no resumption. TLS users of the process other than connections of
 *                        these credentials are not touched (struct ccz_tls_watch).
 * CCZ_RATLS_CERTIFICATE  evidence in the certificate, judged by libgrpc's interface for verifiers. Any libgrpc since 1.51,
 *                        whatever its TLS library. Not fresh; libgrpc also speaks TLS 1.2, and resumes sessions if told to.
 *
 * Own programs with rpc.h talk to both: same profile, alpn {"h2", NULL}.
 *
 *     ccz_party_ratls_cfg(&cfg.ratls, party);
 *     ccz_grpc_creds_new(&creds, &cfg, &err);
 *     ccz_grpc_channel_credentials(&channel_creds, creds, &err);      // then as with any other credentials
 *
 * Threads: all functions from any. Evidence is made and judged on the thread of libgrpc that happens to shake hands, which
 * serves nobody meanwhile. Making it may take a second (TDX): a server wants more threads that poll its completion queues
 * than handshakes at a time, and two at least.
 * docs/reference/grpc-libgrpc.md has the whole picture. Examples: examples/grpc-c, examples/grpc-cpp.
 */
#include <cczoo/ratls.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccz_grpc_creds;
struct ccz_grpc_cfg {
    /** `profile` as above; `server`: for servers, else for channels; `key` and `alpn` NULL. */
    struct ccz_ratls_cfg ratls;
    /** Accepted peers, by their certificates, that ccz_grpc_peer() can tell of; the one not heard of for longest goes,
     *  peers without evidence first. 0 = 4096 */
    size_t peers_max;
    /** Is told of each peer that this side refuses: to libgrpc's callers it is only a connection that failed. On a thread
     *  of libgrpc. NULL = a line in the log (log.h), as a warning. */
    void (*on_refused)(void *arg, const struct ccz_err *why);
    void *on_refused_arg;
};
/**
 * Calls grpc_init(); ccz_grpc_creds_free() undoes it.
 * @param cfg  copied. What its hooks use must live until ccz_grpc_creds_free()
 * @retval CCZ_E_ARG          "ratls:config", "grpc:profile"
 * @retval CCZ_E_UNSUPPORTED  "grpc:self-test": the handshake profile does not work in this libgrpc; err->hint
 * @return else of the attest hook (certificate profile), ccz_cert_issue()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_grpc_creds_new(struct ccz_grpc_creds **out,
                                               const struct ccz_grpc_cfg *cfg, struct ccz_err *err);
/** No hook runs any more when this returns. Channels and servers that still have these credentials keep their connections
 *  and get no new ones. */
CCZ_API void ccz_grpc_creds_free(struct ccz_grpc_creds *c);
CCZ_DEFINE_AUTO(ccz_grpc_creds)

/** For grpc_channel_create(); release with grpc_channel_credentials_release(). No host name is checked: it is the evidence
 *  that says who the server is. @retval CCZ_E_ARG "grpc:role": made for servers */
CCZ_API CCZ_MUST_USE ccz_rc ccz_grpc_channel_credentials(grpc_channel_credentials **out,
                                                         struct ccz_grpc_creds *c,
                                                         struct ccz_err *err);
/** For grpc_server_add_http2_port(); release with grpc_server_credentials_release(). @retval CCZ_E_ARG "grpc:role" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_grpc_server_credentials(grpc_server_credentials **out,
                                                        struct ccz_grpc_creds *c,
                                                        struct ccz_err *err);
/** What both do, on options of the caller's; for C++: options.c_credentials_options() of
 *  grpc::experimental::TlsChannelCredentialsOptions and TlsServerCredentialsOptions. */
CCZ_API void ccz_grpc_tls_options(grpc_tls_credentials_options *options, struct ccz_grpc_creds *c);

/**
 * Who is on the other side of @p call: what was found when a peer with its certificate shook hands last. Peers are known by
 * their certificate alone: calls on an older connection see the claims of the newest handshake with it. Both were made with
 * the same key, and evidence is bound to the key, so it is the same TEE, perhaps with a newer TCB status.
 * @retval CCZ_E_NOT_FOUND  "grpc:no-peer": it has no certificate, was not accepted by these credentials, or is one too many
 *         (peers_max). Do not serve it where evidence is required
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_grpc_call_peer(struct ccz_ratls_peer *out, struct ccz_grpc_creds *c,
                                               grpc_call *call, struct ccz_err *err);
/** The same by the certificate as PEM, property GRPC_X509_PEM_CERT_PROPERTY_NAME of an auth context; for C++ and for
 *  auth metadata processors. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_grpc_peer(struct ccz_ratls_peer *out, struct ccz_grpc_creds *c,
                                          struct ccz_span pem, struct ccz_err *err);
/** Handshake profile: a fresh key for the connections from now on; open ones go on with theirs (bound them with
 *  GRPC_ARG_MAX_CONNECTION_AGE_MS). @retval CCZ_E_UNSUPPORTED "grpc:renew": certificate profile; make new credentials */
CCZ_API CCZ_MUST_USE ccz_rc ccz_grpc_creds_renew(struct ccz_grpc_creds *c, int64_t now_s,
                                                 struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
