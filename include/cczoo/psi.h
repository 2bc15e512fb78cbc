/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PSI_H
#define CCZ_PSI_H
/**
 * @file psi.h
 * Private set intersection: two parties, each with a set of ids, learn which ids both have, and nothing about the others.
 *
 * Terms. An *id* is a string of bytes (a customer number, an e-mail address). A *row* is the position of an id in the
 * caller's input, from 0. The *receiver* learns the intersection; the *sender* learns it only if both parties ask for
 * CCZ_PSI_BOTH. The *alignment* is the list of common ids in an order that both sides know: entry i of one side's rows
 * and entry i of the other's are the same id. Its *digest* is equal on both sides, and is compared before either returns.
 *
 * Life cycle: prepare the ids once (ccz_psi_ids_*), run over a channel as often as needed. Each run is bound to a fresh
 * session, made of random numbers of both sides, so that messages of one run are worth nothing in another one.
 *
 * | protocol          | secure against           | cost, 2^20 ids each | outputs           |
 * |-------------------|--------------------------|---------------------|-------------------|
 * | VOLE (default)    | malicious parties        | 1.2 s, 35 MB        | rows              |
 * | VOLE_SEMI_HONEST  | parties that follow it   | 1.2 s, 30 MB        | rows              |
 * | ECDH              | parties that follow it   | 45 s, 82 MB         | rows, cardinality |
 * | UNBALANCED        | parties that follow it   | small receiver set  | rows              |
 *
 * What each party learns in each mode, and what is not protected: docs/design/psi.md. In short:
 *  - both learn each other's number of ids (`pad` rounds it up);
 *  - VOLE gives the receiver the intersection *before* it can be counted. A minimum, and an output of the cardinality
 *    alone, are then kept by the receiver's program, not by mathematics. A sender refuses them with VOLE unless its caller
 *    says that this program is trusted (`trusted_receiver`, say because its measurement was verified). UNBALANCED as well.
 *    ECDH counts first: a receiver that follows it knows no row until the number was enough;
 *  - with CCZ_PSI_BOTH the receiver is first: it can stop when it knows the result. It cannot claim an id that it
 *    does not have, but can deny ids that it has;
 *  - whoever runs often with sets of its choice learns more each time. Limit and record runs.
 *
 * Threads: two calls are independent if they share no channel; ids may be shared by runs one after the other.
 * Reading order of the sources: ids.c, spool.c, oracle.c, okvs.c, masks.c, rr22.c, group.c, ecdh.c, protocols.c, run.c, align.c; kernels_*.c.
 */
#include <cczoo/chan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------ ids */

#define CCZ_PSI_LEN_MAX         (UINT64_C(1) << 30) /**< ids of one side */
#define CCZ_PSI_ID_SIZE_MAX     65536               /**< bytes of one id */
#define CCZ_PSI_FILE_MEMORY_LEN (UINT64_C(1) << 24) /**< default of `memory_len` */

/** What is done when an id occurs twice in one input. */
enum ccz_psi_duplicates {
    CCZ_PSI_REJECT, /**< refused, "psi:id-twice" */
    CCZ_PSI_FIRST   /**< its first row stands for it */
};
/** How ids become hashes. Both sides must agree on `domain`, `trim` and `fold_case`; a digest of them is compared. */
struct ccz_psi_ids_cfg {
    const char
        *domain;    /**< kind of id, "customer"; separates hashes of different kinds. NULL = "" */
    bool trim;      /**< white space of ASCII at both ends is cut */
    bool fold_case; /**< A-Z become a-z; bytes above 127 stay: bring Unicode into one form first */
    enum ccz_psi_duplicates duplicates;
    /** Above so many ids, hashes go to a file instead of memory (24 bytes each); 0 = CCZ_PSI_FILE_MEMORY_LEN. */
    uint64_t memory_len;
    /**
     * Directory of that file; NULL = none, more ids than `memory_len` are refused, "psi:memory". The file has mode
     * 0600, loses its name at once (nothing to clean up after a crash), and holds hashes sealed by AES-256-GCM
     * under a key that never leaves memory.
     */
    const char *spool_dir;
};
/** Hashed ids with their rows. Immutable once made. */
struct ccz_psi_ids;
/**
 * From memory: row i is ids[i].
 * @param cfg  NULL = all zero
 * @retval CCZ_E_FORMAT  psi:id-empty, psi:id-twice (err->aux = its row)
 * @retval CCZ_E_LIMIT   psi:id-size, psi:len, psi:memory
 * @retval CCZ_E_ARG     psi:ids-config
 * @retval CCZ_E_IO      psi:spool   @retval CCZ_E_NOMEM psi:ids
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_ids_new(struct ccz_psi_ids **out, const struct ccz_span *ids,
                                            size_t len, const struct ccz_psi_ids_cfg *cfg,
                                            struct ccz_err *err);
/** From a file with one id per line (LF or CR LF): row i is line i + 1. Read once, in bounded memory. Errors as above,
 *  err->aux = the row, and CCZ_E_IO psi:file. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_ids_read_lines(struct ccz_psi_ids **out, const char *path,
                                                   const struct ccz_psi_ids_cfg *cfg,
                                                   struct ccz_err *err);
/**
 * From a column of a CSV file (RFC 4180, with a header): row i is the i-th record after it.
 * @retval CCZ_E_NOT_FOUND  psi:column   and those above, and csv:*
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_ids_read_csv(struct ccz_psi_ids **out, const char *path,
                                                 const char *column,
                                                 const struct ccz_psi_ids_cfg *cfg,
                                                 struct ccz_err *err);
CCZ_API uint64_t ccz_psi_ids_len(const struct ccz_psi_ids *ids); /**< different ids */
CCZ_API void ccz_psi_ids_free(struct ccz_psi_ids *ids);          /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_psi_ids)

/* ------------------------------------------------------------------------------------ run */

enum ccz_psi_role { CCZ_PSI_SENDER = 1, CCZ_PSI_RECEIVER };
enum ccz_psi_protocol {
    CCZ_PSI_VOLE,
    CCZ_PSI_VOLE_SEMI_HONEST,
    CCZ_PSI_ECDH,
    CCZ_PSI_UNBALANCED,
    CCZ_PSI_PROTOCOLS
};
enum ccz_psi_learns { CCZ_PSI_RECEIVER_ONLY, CCZ_PSI_BOTH };
enum ccz_psi_output {
    CCZ_PSI_ROWS,       /**< rows of the common ids, in the common order */
    CCZ_PSI_CARDINALITY /**< their number only */
};

/** All zero but for the role: VOLE against malicious parties, the receiver learns rows. */
struct ccz_psi_cfg {
    enum ccz_psi_role role; /**< required */
    /* Both sides must say the same of these; each difference is refused with a `where` of its own. */
    enum ccz_psi_protocol protocol;
    enum ccz_psi_learns learns;
    enum ccz_psi_output output;
    /** Fewer common ids than this: both sides end with "psi:minimum", and neither is given a result. 0 = none. */
    uint64_t min_intersection;
    struct ccz_span session; /**< bound to the run: a contract's number, a channel binding of TLS */

    /* What concerns one side alone. */
    bool pad; /**< random entries up to a power of two, so that the peer sees that one only */
    /** Sender: its caller trusts the receiver's program to keep minimum and cardinality, see above. */
    bool trusted_receiver;
    uint64_t
        peer_len_max; /**< a peer with more ids is refused, "psi:peer-len"; 0 = CCZ_PSI_LEN_MAX */
    /**
     * More ids than this on either side: the sets are cut into up to 256 buckets by hash and run one after the other,
     * in memory for one bucket. The smaller of both sides' numbers counts. 0 = 2^22; at least 1024, at most 2^22.
     */
    uint64_t bucket_len;
    /** ECDH and UNBALANCED: how many threads compute, at most 16; 0 = as many as processors. */
    unsigned threads;
};

#define CCZ_PSI_DIGEST_SIZE 32
/** What one side learned. */
struct ccz_psi_result {
    bool
        learned; /**< false for the sender of RECEIVER_ONLY: all below are zero, but for the numbers */
    uint64_t len;   /**< common ids */
    uint64_t *rows; /**< rows[len] of the own input, in the common order; NULL for CARDINALITY */
    uint8_t digest
        [CCZ_PSI_DIGEST_SIZE]; /**< of the alignment: equal on both sides; zero for CARDINALITY */
    uint8_t session[CCZ_PSI_DIGEST_SIZE]; /**< name of this run, equal on both sides */
    uint64_t peer_len;                    /**< ids of the peer as it told (padded) */
    uint32_t buckets;
    uint64_t sent_size, received_size; /**< bytes */
};
CCZ_API void ccz_psi_result_free(struct ccz_psi_result *r); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_psi_result)

/**
 * Runs the protocol with the peer at the other end of @p chan, which makes the same call with the other role. Blocks;
 * waits as the channel's time limit says. On failure the channel is closed with the reason.
 * @param[out] out  owned by the caller; NULL unless CCZ_OK
 * @retval CCZ_E_ARG          psi:config
 * @retval CCZ_E_UNSUPPORTED  psi:output, psi:minimum-untrusted (see trusted_receiver), psi:version
 * @retval CCZ_E_MISMATCH     psi:role, psi:peer-protocol, psi:peer-learns, psi:peer-output, psi:peer-minimum,
 *                            psi:peer-session, psi:peer-ids (the sides prepare ids differently)
 * @retval CCZ_E_LIMIT        psi:peer-len; psi:bucket-full (ids were chosen so that one bucket overflows)
 * @retval CCZ_E_PEER         psi:message, psi:masks, psi:matches: a malformed message
 * @retval CCZ_E_SIG          psi:commitment (the sender changed its mind), psi:proof (the receiver claims an id that it
 *                            does not have), psi:alignment (the digests differ)
 * @retval CCZ_E_POLICY       psi:minimum: fewer common ids than min_intersection
 * @retval CCZ_E_INTERNAL     psi:okvs: no solution after many seeds; probability < 2^-300
 * and those of chan.h and ot.h
 * @source Raghuraman and Rindal, CCS 2022; Rindal and Schoppmann, Eurocrypt 2021
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_run(struct ccz_psi_result **out, struct ccz_chan *chan,
                                        const struct ccz_psi_ids *ids,
                                        const struct ccz_psi_cfg *cfg, struct ccz_err *err);

/** "vole", "vole-semi-honest", "ecdh", "unbalanced"; NULL if there is none of that number. */
CCZ_API const char *ccz_psi_protocol_name(enum ccz_psi_protocol p);
/** By that name; CCZ_PSI_PROTOCOLS if there is none. */
CCZ_API enum ccz_psi_protocol ccz_psi_protocol_from(const char *name);

#ifdef __cplusplus
}
#endif
#endif
