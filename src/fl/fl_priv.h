/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_FL_PRIV_H
#define CCZ_SRC_FL_PRIV_H
/* Shared by the sources of this module: digests, messages, sealed files. The server's inside: server.h. */
#include <cczoo/fl.h>

/* --------------------------------------------------------------------------------- digest.c */

struct cczi_hfl_digest {
    struct ccz_hasher *all;
    size_t size, done; /* of the parameters, in bytes */
};
ccz_rc cczi_hfl_digest_begin(struct cczi_hfl_digest *d, const struct ccz_fl_layout *l,
                             uint64_t round, struct ccz_err *err);
/* The first @p have bytes of the parameters are there, and more with each call; behind the last one all of them. */
ccz_rc cczi_hfl_digest_upto(struct cczi_hfl_digest *d, const float *params, uint64_t have,
                            struct ccz_err *err);
ccz_rc cczi_hfl_digest_end(uint8_t out[CCZ_FL_DIGEST_SIZE], struct cczi_hfl_digest *d,
                           struct ccz_err *err);
void cczi_hfl_digest_free(struct cczi_hfl_digest *d);
ccz_rc cczi_hfl_sign(uint8_t sig[64], const struct ccz_key *key,
                     const uint8_t digest[CCZ_FL_DIGEST_SIZE], struct ccz_err *err);
ccz_rc cczi_hfl_verify(const struct ccz_key *key, struct ccz_span sig,
                       const uint8_t digest[CCZ_FL_DIGEST_SIZE], struct ccz_err *err);

/* ------------------------------------------------------------------------------------ msg.c */

enum { CCZI_HFL_VERSION = 1, CCZI_HFL_RUN_SIZE = 16, CCZI_HFL_SIG_SIZE = 64 };

enum cczi_hfl_kind { /* field numbers of Message in proto/fl.proto */
                     CCZI_HFL_HELLO = 1,
                     CCZI_HFL_WELCOME,
                     CCZI_HFL_TASK,
                     CCZI_HFL_CHUNK,
                     CCZI_HFL_OFFER,
                     CCZI_HFL_GRANT,
                     CCZI_HFL_VERDICT,
                     CCZI_HFL_REPORT,
                     CCZI_HFL_PRIVATE,
                     CCZI_HFL_OVER,
                     CCZI_HFL_KINDS
};
/* Parameter bytes in the chunks that are sent: what a chunk goes through then stays in the second-level cache, and its buffers below
 * the size that malloc() asks the kernel for each time. Larger ones, up to CCZ_FL_CHUNK_SIZE, are taken. */
enum { CCZI_HFL_SEND_SIZE = 120 << 10 };
enum { CCZI_HFL_TRAIN = 1, CCZI_HFL_EVALUATE = 2 }; /* bits of a task's work */
enum { CCZI_HFL_PARAMS = 0, CCZI_HFL_VARIATE = 1, CCZI_HFL_VECTORS = 2 }; /* of chunks */

struct cczi_hfl_hello {
    uint32_t version;
    uint8_t layout[CCZ_FL_DIGEST_SIZE];
};
struct cczi_hfl_welcome {
    struct ccz_span layout; /* encoded */
    uint8_t run[CCZI_HFL_RUN_SIZE];
    uint64_t round, rounds; /* finished, in all */
    uint64_t accepted;      /* last round that has an update of this member */
    uint8_t key[64];        /* of signatures; zeros: models are not signed */
};
struct cczi_hfl_task {
    uint64_t round; /* the model is that of round - 1 */
    uint32_t work;
    uint32_t epochs, batch;
    float lr, momentum, prox_mu;
    uint64_t seed;
    uint8_t digest[CCZ_FL_DIGEST_SIZE];
    uint8_t sig[CCZI_HFL_SIG_SIZE];
    uint32_t codec, block;
    uint64_t topk;
    bool scaffold; /* the server's control variate follows as vector 1 */
};
struct cczi_hfl_chunk {
    uint32_t vector;
    uint64_t offset;
    struct ccz_span data;
};
struct cczi_hfl_offer {
    uint64_t round;
    uint8_t base[CCZ_FL_DIGEST_SIZE];
    struct ccz_fl_metrics train, eval;
    uint64_t size; /* bytes of the encoded update; a control variate's are known */
};
struct cczi_hfl_verdict {
    uint64_t round;
    bool accepted;
    uint32_t rc; /* as a positive number */
    struct ccz_span where, got, expected, text;
};
struct cczi_hfl_report {
    uint64_t round;
    struct ccz_fl_metrics eval;
};
struct cczi_hfl_private {
    uint64_t round;
    uint32_t phase;
    struct ccz_span body;
};
struct cczi_hfl_over {
    uint64_t round;
    uint32_t rc;
    struct ccz_span reason;
};
/* A message; views point into its bytes. */
struct cczi_hfl_msg {
    enum cczi_hfl_kind kind;
    union {
        struct cczi_hfl_hello hello;
        struct cczi_hfl_welcome welcome;
        struct cczi_hfl_task task;
        struct cczi_hfl_chunk chunk;
        struct cczi_hfl_offer offer;
        uint64_t granted; /* GRANT: the round */
        struct cczi_hfl_verdict verdict;
        struct cczi_hfl_report report;
        struct cczi_hfl_private secret;
        struct cczi_hfl_over over;
    };
};
/* @retval CCZ_E_PEER  fl:message */
ccz_rc cczi_hfl_msg_parse(struct cczi_hfl_msg *out, struct ccz_span in, struct ccz_err *err);
void cczi_hfl_msg_put(struct ccz_buf *out, const struct cczi_hfl_msg *m);
/* A chunk without its data, which must be the next @p size bytes appended. */
void cczi_hfl_chunk_head(struct ccz_buf *out, uint32_t vector, uint64_t offset, size_t size);
const char *cczi_hfl_kind_name(enum cczi_hfl_kind kind);
/* For messages that are well formed but must not come now. */
ccz_rc cczi_hfl_disorder(enum cczi_hfl_kind got, const char *expected, struct ccz_err *err);

/* ----------------------------------------------------------------------------------- seal.c */

/* A protected file that appears by rename; for server and clients. The plaintext begins with a record of text that says what
 * it is, then come vectors. */
struct cczi_hfl_seal;
/* @param name  inside of @p dir; bound to the contents @param size of the plaintext */
ccz_rc cczi_hfl_seal_create(struct cczi_hfl_seal **out, const char *path, const char *bound,
                            const struct ccz_secret *key, uint64_t size, struct ccz_err *err);
ccz_rc cczi_hfl_seal_put(struct cczi_hfl_seal *s, struct ccz_span in, struct ccz_err *err);
/* Durable and under its name; frees @p s in any case. */
ccz_rc cczi_hfl_seal_finish(struct cczi_hfl_seal *s, struct ccz_err *err);
void cczi_hfl_seal_abort(struct cczi_hfl_seal *s); /* NULL is fine */
/* @retval CCZ_E_NOT_FOUND fl:checkpoint  @retval CCZ_E_SIG fl:checkpoint-seal */
ccz_rc cczi_hfl_seal_open(struct cczi_hfl_seal **out, const char *path, const char *bound,
                          const struct ccz_secret *key, struct ccz_err *err);
uint64_t cczi_hfl_seal_size(const struct cczi_hfl_seal *s); /* of the plaintext */
/* The next bytes. @retval CCZ_E_FORMAT fl:checkpoint-format: less is there @retval CCZ_E_SIG as above */
ccz_rc cczi_hfl_seal_get(void *out, struct cczi_hfl_seal *s, uint64_t size, struct ccz_err *err);
void cczi_hfl_seal_close(struct cczi_hfl_seal *s); /* NULL is fine */

/* ---------------------------------------------------------------------------------- spill.c */

/*
 * A vector that waits in a file while its memory is used for something else. The file has no name, the host may read and change it:
 * each block is sealed (AES-256-GCM) under a key that never leaves memory, and its tag stays there too, so that no older contents, no
 * other block and no other file are taken. Calls may come from several threads; put() while nobody reads.
 */
struct cczi_hfl_spill;
enum {
    CCZI_HFL_SPILL_BLOCK = CCZI_HFL_SEND_SIZE
}; /* a chunk of the model is read without others */
/* @param dir  on a disk: in one of memory nothing would be saved @param size  bytes of the vector */
ccz_rc cczi_hfl_spill_new(struct cczi_hfl_spill **out, const char *dir, uint64_t size,
                          struct ccz_err *err);
void cczi_hfl_spill_free(struct cczi_hfl_spill *s); /* NULL is fine; the file is gone */
/* Writes the whole vector; after a failure nothing can be read. @retval CCZ_E_IO fl:spill */
ccz_rc cczi_hfl_spill_put(struct cczi_hfl_spill *s, const void *bytes, struct ccz_err *err);
/* The block at @p at, a multiple of CCZI_HFL_SPILL_BLOCK: @p size bytes, which is all of it, or what the vector has left.
 * @retval CCZ_E_SIG fl:spill-seal: the file was changed @retval CCZ_E_IO fl:spill  @p out is zeroed then */
ccz_rc cczi_hfl_spill_get(void *out, struct cczi_hfl_spill *s, uint64_t at, size_t size,
                          struct ccz_err *err);
/* The whole vector. */
ccz_rc cczi_hfl_spill_get_all(void *out, struct cczi_hfl_spill *s, struct ccz_err *err);

/* ---------------------------------------------------------------------------------- others */

ccz_rc cczi_hfl_no_memory(struct ccz_err *err);
bool cczi_hfl_name_ok(const char *name);
/* float[len], zeros; NULL if there is no memory */
float *cczi_hfl_vector(uint64_t len);
/* Large memory that is used from end to end, on large pages where the system has them: fewer faults, fewer misses of the TLB. */
void cczi_hfl_huge_pages(void *p, size_t size);
/* Gives the memory back to the system, but for what shares a page with something else: its contents are lost, it can be used again. */
void cczi_hfl_drop_pages(void *p, size_t size);
/* 8 bytes that depend on all of it */
ccz_rc cczi_hfl_derive(uint64_t *out, const char *use, uint64_t seed, uint64_t round,
                       const char *name, struct ccz_err *err);
#endif
