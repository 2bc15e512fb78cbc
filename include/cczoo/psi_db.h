/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PSI_DB_H
#define CCZ_PSI_DB_H
/**
 * @file psi_db.h
 * Unbalanced private set intersection: a server has a large set, clients have a few ids each and ask often. The server's
 * work over its set is done once; clients download a compact *filter* once and then exchange 64 bytes per id.
 *
 * How: F(x) = hash(x, k H(x)) over ristretto255, with a key k of the database (an oblivious pseudorandom function, 2HashDH). The filter is
 * the first bytes of F of all ids, ascending and packed: 7 to 10 bytes per id, false matches below 2^-40 for `query_len_max`
 * ids. A client blinds its ids, the server multiplies by k, the client unblinds and looks into the filter.
 *
 * Security: against servers and clients that follow the protocol; clients that do not still learn only F of as many ids as
 * they ask for. The filter alone says how many ids there are, and nothing else without asking the server: count and limit
 * what each client asks. All clients of a database see the same filter, so a client can tell what changed
 * between two of the same key; ccz_psi_db_new() always makes a new key. The server learns how many ids a client asks for.
 * Reading order of the sources: db.c, db_query.c; db_file.c, db_session.c.
 */
#include <cczoo/psi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_PSI_DB_ID_SIZE 32
#define CCZ_PSI_QUERY_LEN  (UINT64_C(1) << 16) /**< default of `query_len_max` */

struct ccz_psi_db_cfg {
    uint64_t
        query_len_max; /**< ids of one query, which the filter is made for; 0 = CCZ_PSI_QUERY_LEN */
    unsigned threads;  /**< at most 16; 0 = as many as processors */
};
/** A server's set under a key. Immutable; queries may be served by many threads. */
struct ccz_psi_db;
/**
 * Draws a key and computes F of all ids: 12 microseconds each and thread with AVX-512 IFMA, 60 without.
 * @retval CCZ_E_ARG    psi:config
 * @retval CCZ_E_LIMIT  psi:len: more than 2^28 ids
 * @retval CCZ_E_NOMEM  psi:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_db_new(struct ccz_psi_db **out, const struct ccz_psi_ids *ids,
                                           const struct ccz_psi_db_cfg *cfg, struct ccz_err *err);
CCZ_API void ccz_psi_db_free(struct ccz_psi_db *db); /**< wipes the key; NULL is fine */
CCZ_DEFINE_AUTO(ccz_psi_db)
/** What clients download; public. Borrowed from @p db. */
CCZ_API struct ccz_span ccz_psi_db_filter(const struct ccz_psi_db *db);
/** The key, for a server that starts again: keep it secret (a protected file). With the filter it is the database. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_db_key(struct ccz_secret **out, const struct ccz_psi_db *db,
                                           struct ccz_err *err);
/**
 * A database from its filter and key, without computing anything.
 * @param filter  copied; untrusted: checked as by a client
 * @retval CCZ_E_FORMAT    psi:filter: malformed
 * @retval CCZ_E_MISMATCH  psi:filter-key: the key is another database's
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_db_open(struct ccz_psi_db **out, struct ccz_span filter,
                                            const struct ccz_secret *key, unsigned threads,
                                            struct ccz_err *err);
/**
 * Answers one query. On failure the channel is closed with the reason.
 * @param[out] len   ids that were asked for, also of a query that failed behind its start; to be counted per client. May be NULL
 * @param      most  refuse longer queries, "psi:query-len"; 0 = the database's query_len_max
 * @retval CCZ_E_MISMATCH  psi:filter-old: the client's filter is another database's
 * @retval CCZ_E_LIMIT     psi:query-len
 * @retval CCZ_E_PEER      psi:message, psi:point
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_db_serve(uint64_t *len, const struct ccz_psi_db *db,
                                             struct ccz_chan *chan, uint64_t most,
                                             struct ccz_err *err);

/**
 * Client: which of @p ids the database has.
 * @param[out] out  rows of the common ids, in ascending order of their hashes; digest is zero. Owned by the caller
 * @param      filter  as downloaded; untrusted
 * @retval CCZ_E_FORMAT    psi:filter
 * @retval CCZ_E_MISMATCH  psi:peer-ids: the server prepares ids differently
 * @retval CCZ_E_LIMIT     psi:query-len: more ids than the filter is made for
 * @retval CCZ_E_PEER      psi:point
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_db_query(struct ccz_psi_result **out, struct ccz_chan *chan,
                                             const struct ccz_psi_ids *ids, struct ccz_span filter,
                                             unsigned threads, struct ccz_err *err);

/* ------------------------------------------------------------------------- files and sessions */

/**
 * Writes the database, key and filter, to a protected file (pf.h), which appears by rename.
 * @param seal  32 bytes; the file's key is derived from it
 * @retval CCZ_E_ARG     psi:config  @retval CCZ_E_EXISTS file:exists: @p path is there and not @p replace
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_db_save(const struct ccz_psi_db *db, const char *path,
                                            const struct ccz_secret *seal, bool replace,
                                            struct ccz_err *err);
/**
 * Reads it again, without computing anything. The whole file is verified first.
 * @retval CCZ_E_ARG     psi:config
 * @retval CCZ_E_SIG     pf:*: changed, or another seal, or no database
 * @retval CCZ_E_FORMAT  psi:database: of another version, or malformed; psi:filter
 * @retval CCZ_E_MISMATCH psi:filter-key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_db_load(struct ccz_psi_db **out, const char *path,
                                            const struct ccz_secret *seal, unsigned threads,
                                            struct ccz_err *err);
/** What this database is called: a new one for the same ids has another name. @param[out] name 32 bytes */
CCZ_API void ccz_psi_db_name(uint8_t name[32], const struct ccz_psi_db *db);

/** What a server asks of a session. All-zero is fine. */
struct ccz_psi_db_terms {
    uint64_t query_len_max; /**< as `most` of ccz_psi_db_serve() */
    /**
     * Fewer common ids than this: the client gets "psi:minimum" and no result. Both sides must say the same. It is the client's program
     * that keeps it, not mathematics.
     */
    uint64_t min_intersection;
    bool trusted_client; /**< its program was verified: required with a minimum */
};
/**
 * A session with one client: what it has to know first, the filter if it has none, then one query as ccz_psi_db_serve().
 * @param[out] len  ids that were asked for, to be counted. May be NULL
 * @retval CCZ_E_UNSUPPORTED  psi:minimum-untrusted
 * @retval CCZ_E_MISMATCH     psi:peer-minimum
 * and those of ccz_psi_db_serve()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_db_answer(uint64_t *len, const struct ccz_psi_db *db,
                                              struct ccz_chan *chan,
                                              const struct ccz_psi_db_terms *terms,
                                              struct ccz_err *err);

struct ccz_psi_db_ask_cfg {
    uint64_t min_intersection; /**< the server's */
    bool refresh; /**< takes the server's filter if it is another one than that at hand */
    unsigned threads;
};
/**
 * The client's side of it.
 * @param[in,out] filter  the one at hand, or empty: then it is downloaded. Its `max_size` is the most that is taken from the
 *                        server. On success the filter that was asked with, to be kept for the next time
 * @retval CCZ_E_MISMATCH  psi:filter-old: the server has another database than the filter is of; psi:peer-minimum
 * @retval CCZ_E_LIMIT     psi:filter-size
 * @retval CCZ_E_POLICY    psi:minimum
 * @retval CCZ_E_PEER      psi:message; psi:filter-name: the filter that came is not the one that was announced
 * and those of ccz_psi_db_query()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_db_ask(struct ccz_psi_result **out, struct ccz_chan *chan,
                                           const struct ccz_psi_ids *ids, struct ccz_buf *filter,
                                           const struct ccz_psi_db_ask_cfg *cfg,
                                           struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
