/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_HELR_H
#define CCZ_HELR_H
/**
 * @file helr.h
 * Logistic regression on encrypted records: a client encrypts rows, a server computes the score of each
 * without seeing them, the client decrypts. Built on ckks.h; messages are bytes and any transport
 * carries them (solution 04 uses gRPC). Reading order of the sources: helr_priv.h, model.c, table.c, sigmoid.c,
 * layout.c, msg.c, info.c, circuit.c, client.c, session.c, server.c, remote.c.
 *
 * Terms. t = w . x + b over standardised features x; the score is p(t), a polynomial of degree 3, 5 or 7
 * that stands for the logistic function on [-radius, radius]; the class is 1 if p >= 0.5. Outside of that
 * interval the polynomial is wrong: choose radius from the training data.
 *
 * Circuit. The leading coefficient c of the odd polynomial is folded into the model: with a = c^(1/degree),
 * the server computes u = a t from scaled weights, then p = 1/2 + u q(u^2) with q monic: no multiplication
 * by coefficients. Depth 3 for degree 3, 4 for 5 and 7.
 *
 * Packing. A ciphertext has n/2 complex slots. Two features share a slot (real and imaginary part) and the
 * slots are cut into blocks, one for each further pair: `per_ct` features (1, 2, 4 ..) of n / per_ct rows.
 * The server multiplies by the weights, slot by slot, adds all ciphertexts, and adds up real and imaginary
 * parts and blocks by one key switch for each doubling of per_ct. So small requests are few
 * ciphertexts (one record of 30 features: one) and large ones lose nothing. Every slot then holds
 * a score of a row: nothing else of the model comes back. ccz_helr_layout() chooses.
 *
 * Messages and who sends them (each starts with "HELR", version, kind; all are untrusted to who reads them):
 *   info     server   parameters, degree, features with mean and scale (not the weights)
 *   keys     client   evaluation keys; the server keeps them as a session, named by the hash of this message
 *   ready    server   the session's name
 *   model    client   weights under the client's key, if the server has no model of its own
 *   request  client   rows
 *   reply    server   one ciphertext of scores
 *
 * Security. The server learns the number of rows and of features, and sizes; nothing of values or scores
 * (under the parameters' assumption, ccz_rlwe_new()). The client learns a score per row: who may ask as
 * often as he likes can solve for the weights. Results are for the key owner alone: a
 * decrypted score holds the error of its ciphertext, from which the secret key can be found once enough of them are
 * known (ckks.h, Security, IND-CPA-D). Flooding it away (ccz_ckks_decrypt_shared()) would take more bits than these
 * parameters have; hand on classes, or scores rounded to a few digits, and not to who chose the rows. A server that cheats can return
 * anything: attest it (ratls.h) where that matters.
 * A session belongs to who knows its keys message, or the hash of it: no other name of a client is asked for. Send keys
 * over connections that others cannot read. The memory of sessions is bounded (sessions_size_max), not shared out fairly.
 * Threads: a server may be used by many threads at a time; a client and a model by one, but a model that is not
 * changed may be shared.
 */
#include <cczoo/ckks.h>
#include <cczoo/codec.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_HELR_FEATURES_MAX 4096
#define CCZ_HELR_NAME_SIZE    64 /**< of a feature or model, with NUL */
#define CCZ_HELR_DEGREE_MAX   7
#define CCZ_HELR_SESSION_SIZE 16
#define CCZ_HELR_CT_AT        40 /**< where ciphertexts begin in a request; before them the size of one */
/** Largest messages; a transport may refuse more at once. */
#define CCZ_HELR_INFO_SIZE_MAX    ((size_t)1 << 20)
#define CCZ_HELR_KEYS_SIZE_MAX    ((size_t)128 << 20)
#define CCZ_HELR_REQUEST_SIZE_MAX ((size_t)256 << 20)
#define CCZ_HELR_REPLY_SIZE_MAX   ((size_t)1 << 20)

/* --------------------------------------------------------------------------------------- model */

struct ccz_helr_feature {
    char name[CCZ_HELR_NAME_SIZE];
    double mean, scale; /**< x = (value - mean) / scale; scale > 0 */
    double weight;
};
/** A model in the clear. Fields are for reading. */
struct ccz_helr_model {
    char name[CCZ_HELR_NAME_SIZE];
    double bias;
    double radius; /**< |t| of rows to expect, 1 .. 32 */
    size_t features_len;
    struct ccz_helr_feature *features;
};
/**
 * {"version":1, "name":.., "bias":.., "radius":8, "features":[{"name":.., "weight":.., "mean":0, "scale":1}, ..]};
 * radius, mean and scale have these defaults, anything unknown is refused.
 * @param[out] out  owned by the caller
 * @retval CCZ_E_FORMAT  json:..., helr:model (what is missing, of the wrong type or out of range), helr:model-name
 *                       (empty, too long or twice)
 * @retval CCZ_E_LIMIT   helr:features: none, or more than CCZ_HELR_FEATURES_MAX
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_model_parse(struct ccz_helr_model **out, struct ccz_span json,
                                                 struct ccz_err *err);
/** As above for a file. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_model_read(struct ccz_helr_model **out, const char *path,
                                                struct ccz_err *err);
CCZ_API void ccz_helr_model_put(struct ccz_buf *out, const struct ccz_helr_model *m);
CCZ_API void ccz_helr_model_free(struct ccz_helr_model *m); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_helr_model)
/** t of one row of features_len values as they stand in the data (not standardised). */
CCZ_API double ccz_helr_model_linear(const struct ccz_helr_model *m, const double *row);
/** 1 / (1 + exp(-t)) */
CCZ_API double ccz_helr_logistic(double t);

/**
 * Odd coefficients c[0] t + c[1] t^3 + .. of the least-squares approximation of logistic(t) - 1/2 on
 * [-radius, radius] (ccz_ckks_sigmoid()). For degree 3 and radius 8 those of the original: 0.15012, -0.001593008.
 * @param degree  3, 5, 7; all zero for any other
 */
CCZ_API void ccz_helr_sigmoid(double c[4], unsigned degree, double radius);
/** p(t) = 1/2 + c[0] t + ..: what the server computes, in the clear. */
CCZ_API double ccz_helr_sigmoid_at(const double c[4], unsigned degree, double t);

/* ---------------------------------------------------------------------------------------- rows */

/** Rows of CSV data whose first line names the columns. Features are found by name; other columns are skipped. */
struct ccz_helr_table;
/**
 * Reads the first line.
 * @param csv       at its start; borrowed, outlives the table
 * @param features  those to read, in this order; only names are used, and only here
 * @param label     column of the true class, or NULL
 * @retval CCZ_E_FORMAT  helr:column: there is none, or more than one, of that name; csv:...
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_table_new(struct ccz_helr_table **out, struct ccz_csv *csv,
                                               const struct ccz_helr_feature *features,
                                               size_t features_len, const char *label,
                                               struct ccz_err *err);
CCZ_API void ccz_helr_table_free(struct ccz_helr_table *t); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_helr_table)
/**
 * Reads up to @p rows_max rows.
 * @param[out] rows   how many; 0 at the end of the data
 * @param[out] x      @shape x[rows_max * features_len]
 * @param[out] label  @shape label[rows_max], or NULL
 * @retval CCZ_E_FORMAT, ..  csv:...: what stands in the file
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_table_read(size_t *rows, double *x, double *label,
                                                struct ccz_helr_table *t, size_t rows_max,
                                                struct ccz_err *err);

/* ------------------------------------------------------------------------------------- packing */

/** How rows lie in ciphertexts. */
struct ccz_helr_layout {
    size_t per_ct; /**< features per ciphertext: a power of two. 1: one feature, real parts only */
    size_t cts;    /**< ciphertexts of a request */
    size_t rows_max;   /**< rows that one request can hold */
    unsigned switches; /**< key switches to add up: log2(per_ct) */
};
/**
 * The layout for @p rows rows: as many features per ciphertext as the slots allow. Doubling per_ct halves the
 * ciphertexts and costs one key switch, which is less than encrypting, sending and reading one
 * ciphertext, so that there is no reason to stop before the features are used up.
 * @param n        ring degree
 * @param rows     1 .. n / 2; more do not fit (all fields 0)
 * @param per_ct_max  what the keys allow; 0 = no limit
 */
CCZ_API struct ccz_helr_layout ccz_helr_layout(size_t n, size_t features, size_t rows,
                                               size_t per_ct_max);

/* ---------------------------------------------------------------------------------------- info */

/** What a server tells its clients. */
struct ccz_helr_info {
    struct ccz_rlwe_cfg ring;
    unsigned scale_bits;
    unsigned degree;
    bool encrypted_model; /**< the client brings the model; no features here */
    double radius;        /**< of the server's model */
    char name[CCZ_HELR_NAME_SIZE];
    size_t features_len;
    struct ccz_helr_feature *features; /**< weights are 0 */
};

/* -------------------------------------------------------------------------------------- client */

struct ccz_helr_client_cfg {
    const struct ccz_helr_model
        *model; /**< only, and then required, if the server has none; borrowed */
    /** Features per ciphertext to make keys for, a power of two; 0 = enough for single records. Each doubling is
     *  a key more to send once (n = 8192: 0.9 MB). 1 = no packing. */
    size_t per_ct_max;
    unsigned security;       /**< least security that the server's parameters must have; 0 = 128 */
    struct ccz_rlwe_rng rng; /**< for tests; zero = the system's generator */
};
struct ccz_helr_client;
/**
 * Reads the server's info and makes fresh keys. The parameters are checked here, whatever the server thinks of them.
 * @param[out] out  owned by the caller
 * @retval CCZ_E_FORMAT    helr:magic, helr:info (truncated, trailing, out of range)
 * @retval CCZ_E_UNSUPPORTED helr:version
 * @retval CCZ_E_POLICY    rlwe:security: parameters that are not secure
 * @retval CCZ_E_MISMATCH  helr:params: the server's identity of the parameters is another one
 * @retval CCZ_E_ARG       helr:model-wanted: cfg->model is missing, or given to a server with a model
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_client_new(struct ccz_helr_client **out, struct ccz_span info,
                                                const struct ccz_helr_client_cfg *cfg,
                                                struct ccz_err *err);
CCZ_API void ccz_helr_client_free(struct ccz_helr_client *c); /**< wipes the secret key */
CCZ_DEFINE_AUTO(ccz_helr_client)
CCZ_API const struct ccz_helr_info *ccz_helr_client_info(const struct ccz_helr_client *c);
/** What a row consists of: features of the server's model or of the client's own. Borrowed. */
CCZ_API const struct ccz_helr_feature *ccz_helr_client_features(size_t *len,
                                                                const struct ccz_helr_client *c);
/** The layout that requests of @p rows rows get. */
CCZ_API struct ccz_helr_layout ccz_helr_client_layout(const struct ccz_helr_client *c, size_t rows);
/** Appends the keys message, the same at each call. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_client_keys(struct ccz_buf *out, struct ccz_helr_client *c,
                                                 struct ccz_err *err);
/** Checks the answer to it. @retval CCZ_E_PEER helr:session: it names other keys */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_client_ready(struct ccz_helr_client *c, struct ccz_span ready,
                                                  struct ccz_err *err);
/** Appends cfg->model, encrypted. Needs the session. Later requests have the layout of @p rows rows, and that many at
 *  most if the layout holds no more.
 *  @retval CCZ_E_ARG ckks:declared: a weight so large (thousands, of standardised features) that its size would show */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_client_model(struct ccz_buf *out, struct ccz_helr_client *c,
                                                  size_t rows, struct ccz_err *err);
/**
 * Appends a request.
 * @param x     values as they stand in the data, row-major  @shape x[rows * features_len]
 * @param rows  at least 1 and what ccz_helr_client_layout() can hold, which is n / 2 at most
 * @retval CCZ_E_ARG    helr:rows, helr:session (no keys message made yet)
 * @retval CCZ_E_ARG    helr:value: not finite, or more than 2^10 scales from the mean; aux = index in x
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_encrypt(struct ccz_buf *out, struct ccz_helr_client *c,
                                             const double *x, size_t rows, struct ccz_err *err);
/**
 * Scores of the rows of a request, for the owner of the key.
 * @param[out] score  @shape score[rows]; zeroed unless CCZ_OK
 * @param rows  those of the request
 * @retval CCZ_E_PEER    helr:reply-rows: the reply is for other rows
 * @retval CCZ_E_FORMAT  helr:reply, rlwe:..., ckks:...
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_decrypt(double *score, struct ccz_helr_client *c,
                                             struct ccz_span reply, size_t rows,
                                             struct ccz_err *err);

/* -------------------------------------------------------------------------------------- server */

struct ccz_helr_server_cfg {
    const struct ccz_helr_model *model; /**< borrowed; NULL = each client brings an encrypted one */
    unsigned degree;                    /**< 0 = 3 */
    unsigned threads;    /**< of one computation; 0 = 1. See struct ccz_rlwe_work_cfg */
    size_t sessions_max; /**< least recently used ones are forgotten; 0 = 16 */
    /** Memory of sessions: twice each keys message, three times each model message. Above it the least recently used ones
     *  are forgotten as well; those being computed with stay meanwhile. 0 = 2 GiB */
    size_t sessions_size_max;
    struct ccz_rlwe_cfg
        ring_insecure; /**< other parameters than the library's, unchecked; n = 0: none.
                                            To show that clients refuse them */
};
struct ccz_helr_server;
/** @retval CCZ_E_ARG helr:degree  @retval others of ccz_ckks_new() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_server_new(struct ccz_helr_server **out,
                                                const struct ccz_helr_server_cfg *cfg,
                                                struct ccz_err *err);
CCZ_API void ccz_helr_server_free(struct ccz_helr_server *s); /**< after all calls have returned */
CCZ_DEFINE_AUTO(ccz_helr_server)
CCZ_API void ccz_helr_server_info(struct ccz_buf *out, const struct ccz_helr_server *s);
/**
 * Takes a keys message, answers `ready`. The same message again is answered without reading it again.
 * @retval CCZ_E_FORMAT  helr:magic, helr:kind, helr:keys, rlwe:...
 * @retval CCZ_E_LIMIT   helr:message-size, helr:sessions-size: alone more than sessions_size_max
 * @retval CCZ_E_MISMATCH rlwe:params
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_server_keys(struct ccz_buf *reply, struct ccz_helr_server *s,
                                                 struct ccz_span keys, struct ccz_err *err);
/** Takes an encrypted model, answers `ready`; the last one of a session counts.
 *  @retval CCZ_E_ARG helr:radius, and as ccz_helr_server_score()  @retval CCZ_E_LIMIT helr:sessions-size
 *  @retval CCZ_E_NOT_FOUND helr:session @retval CCZ_E_DENIED helr:model-own: the server has its own
 *  @retval CCZ_E_UNAVAILABLE helr:model-in-use: a request is being computed with the one before */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_server_model(struct ccz_buf *reply, struct ccz_helr_server *s,
                                                  struct ccz_span model, struct ccz_err *err);
/**
 * Scores a request.
 * @retval CCZ_E_NOT_FOUND helr:session: unknown or forgotten (hint: send the keys again), helr:model-missing
 * @retval CCZ_E_FORMAT    helr:magic, helr:kind, helr:request, rlwe:transparent, rlwe:residue ..., ckks:meta
 * @retval CCZ_E_MISMATCH  rlwe:key-id: a ciphertext under another key; rlwe:params: of other parameters
 * @retval CCZ_E_ARG       helr:layout, helr:rows, helr:level, helr:scale
 * @retval CCZ_E_LIMIT     helr:message-size
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_server_score(struct ccz_buf *reply, struct ccz_helr_server *s,
                                                  struct ccz_span request, struct ccz_err *err);

/**
 * Takes any message that a client sends, by the name of its method (see struct ccz_helr_remote): what a transport's
 * handler calls. @p method "Info", "Keys", "Model", "Score"
 * @retval CCZ_E_UNSUPPORTED  helr:method  @retval those of the functions above
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_server_call(struct ccz_buf *reply, struct ccz_helr_server *s,
                                                 const char *method, struct ccz_span msg,
                                                 struct ccz_err *err);

/* -------------------------------------------------------------------------------- over a transport */

/** Sends @p msg to method @p method of the server, appends the answer to @p reply. Errors of the server come back
 *  with its rc and err->where. */
typedef ccz_rc (*ccz_helr_call)(void *arg, struct ccz_buf *reply, const char *method,
                                struct ccz_span msg, struct ccz_err *err);
struct ccz_helr_remote_cfg {
    struct ccz_helr_client_cfg client;
    size_t model_rows; /**< if the client brings the model: rows of a request; 0 = as many as fit */
    ccz_helr_call call;
    void *arg;
};
/** What passed so far; keys and the model are `once_size`. */
struct ccz_helr_stats {
    uint64_t requests, sent_size, received_size, once_size;
    int64_t encrypt_ns, call_ns, decrypt_ns;
};
/** A client with a way to its server. */
struct ccz_helr_remote;
/** Gets the info, makes keys, sends them, and the model if need be. @retval errors of the calls above and of cfg->call */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_remote_new(struct ccz_helr_remote **out,
                                                const struct ccz_helr_remote_cfg *cfg,
                                                struct ccz_err *err);
CCZ_API void ccz_helr_remote_free(struct ccz_helr_remote *r); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_helr_remote)
CCZ_API struct ccz_helr_client *ccz_helr_remote_client(struct ccz_helr_remote *r); /**< borrowed */
/** One request: encrypt, call, decrypt. If the server has forgotten the session, the keys are sent again, once.
 *  @shape score[rows], x[rows * features_len] */
CCZ_API CCZ_MUST_USE ccz_rc ccz_helr_remote_score(double *score, struct ccz_helr_remote *r,
                                                  const double *x, size_t rows,
                                                  struct ccz_err *err);
CCZ_API struct ccz_helr_stats ccz_helr_remote_stats(const struct ccz_helr_remote *r);

#ifdef __cplusplus
}
#endif
#endif
