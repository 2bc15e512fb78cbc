/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_PARQUET_CRYPT_PRIV_H
#define CCZI_PARQUET_CRYPT_PRIV_H
/* Modular Encryption: modules as bytes, key material, data keys, and the state of a file. */
#include "parquet/parquet_priv.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>
#include <cczoo/parquet_crypt.h>

#include <pthread.h>
#include <stdatomic.h>

/* ---------------------------------------------------------------------------- modules (crypt_module.c) */

enum {
    /* Of aad_file_unique: what is written here, and by parquet-java and parquet-cpp. No other is read: AADs of two kinds of modules differ by
     * 2, 4 or 6 bytes in length, and a name of any length could make up for it. */
    CCZI_PQ_UNIQUE_SIZE = 16,
    CCZI_PQ_UNIQUE_SIZE_OTHERS = 8,
    CCZI_PQ_FILE_AAD_SIZE_MAX = CCZ_PQ_AAD_PREFIX_SIZE_MAX + CCZI_PQ_UNIQUE_SIZE,
    CCZI_PQ_AAD_SUFFIX_SIZE_MAX = 7
};

/* AAD prefix and aad_file_unique. */
struct cczi_pq_file_aad {
    uint8_t bytes[CCZI_PQ_FILE_AAD_SIZE_MAX];
    size_t size, prefix_size;
};

/* AES-GCM of one module with AAD as in Encryption.md, 4.4; pages in CTR if `ctr`. `out` gets length, nonce, ciphertext and tag. */
ccz_rc cczi_pq_module_seal(struct ccz_buf *out, const struct ccz_secret *key,
                           const struct cczi_pq_file_aad *aad, const struct cczi_pq_at *at,
                           bool ctr, struct ccz_span in, struct ccz_err *err);
/* The inverse. Appends nothing unless all of it is genuine. */
ccz_rc cczi_pq_module_open(struct ccz_buf *out, const struct ccz_secret *key,
                           const struct cczi_pq_file_aad *aad, const struct cczi_pq_at *at,
                           bool ctr, struct ccz_span in, struct ccz_err *err);
/* Nonce and tag of a footer that is not encrypted. */
ccz_rc cczi_pq_module_sign(uint8_t out[CCZI_PQ_SIGNATURE_SIZE], const struct ccz_secret *key,
                           const struct cczi_pq_file_aad *aad, struct ccz_span footer,
                           struct ccz_err *err);
ccz_rc cczi_pq_module_verify(const struct ccz_secret *key, const struct cczi_pq_file_aad *aad,
                             struct ccz_span footer, struct ccz_span signature,
                             struct ccz_err *err);

/* 16, 24 or 32 bytes. */
bool cczi_pq_is_key_size(size_t size);
ccz_rc cczi_pq_check_key(const struct ccz_secret *key, struct ccz_err *err);
/* nonce | ciphertext | tag of a key under another one. `out` is appended to. */
ccz_rc cczi_pq_wrap(struct ccz_buf *out, const struct ccz_secret *under, struct ccz_span aad,
                    const struct ccz_secret *key);
/* @retval CCZ_E_SIG  anything but what cczi_pq_wrap() makes */
ccz_rc cczi_pq_unwrap(struct ccz_secret **out, const struct ccz_secret *under, struct ccz_span aad,
                      struct ccz_span wrapped);

/* ------------------------------------------------- key material (keytools_material.c), data keys (keytools.c) */

/* Reads one key material out of a file of them, which has no member internalStorage. */
ccz_rc cczi_pq_material_read_external(struct ccz_pq_key_material *out, struct ccz_span text,
                                      struct ccz_err *err);
/* Appends JSON; m->external is not looked at, `doc` not used. */
void cczi_pq_material_put(struct ccz_buf *out, const struct ccz_pq_key_material *m);

/* A new data key and its key metadata. */
ccz_rc cczi_pq_keytools_make(struct ccz_secret **key, struct ccz_buf *metadata,
                             struct ccz_pq_keytools *k, const char *master_key, bool is_footer,
                             struct ccz_err *err);
/* The data key that material wraps. */
ccz_rc cczi_pq_keytools_get(struct ccz_secret **key, struct ccz_pq_keytools *k,
                            const struct ccz_pq_key_material *m, struct ccz_err *err);

/* ------------------------------------------------------------------- configurations, files (crypt*.c) */

/* A key that was given, with a count of what it encrypted. Entries with the same bytes share the first one's count. */
struct cczi_pq_given {
    char *column; /* NULL: the footer */
    struct ccz_secret *key;
    struct ccz_buf metadata;
    char *master_key;
    _Atomic uint64_t own_count;
    _Atomic uint64_t *count;
};

/* What ccz_pq_encrypt_new() and ccz_pq_decrypt_new() make. */
struct cczi_pq_crypt {
    struct ccz_pq_crypt hook;    /* first */
    struct cczi_pq_given *given; /* [given_len], the footer's first */
    size_t given_len;
    struct ccz_pq_keytools *keytools;
    uint8_t aad_prefix[CCZ_PQ_AAD_PREFIX_SIZE_MAX];
    size_t aad_prefix_size;
    enum ccz_pq_algorithm algorithm;
    /* writing */
    bool plain_footer, others_plain, aad_prefix_apart;
    uint64_t invocations_max;
    /* reading */
    ccz_rc (*find)(struct ccz_secret **out, void *arg, const char *column, struct ccz_span metadata,
                   struct ccz_err *err);
    void *arg;
    char **master_keys;
    size_t master_keys_len;
    bool any_master_key, plain_file, plain_columns;
    struct ccz_json *key_material;
};
ccz_rc cczi_pq_crypt_init(struct cczi_pq_crypt *c, const struct ccz_pq_key_of *footer,
                          const struct ccz_pq_key_of *columns, size_t columns_len,
                          struct ccz_span aad_prefix, struct ccz_err *err);
/* Whether an entry is of that column: of its path, or of a field that it is in. */
bool cczi_pq_given_is(const struct cczi_pq_given *g, const char *path);
/* The entry for a column, by dotted path or by name of the top-level field; NULL: none. */
struct cczi_pq_given *cczi_pq_given_find(const struct cczi_pq_crypt *c, const char *path);
static inline struct ccz_span cczi_pq_prefix(const struct cczi_pq_crypt *c)
{
    return CCZ_SPAN(c->aad_prefix, c->aad_prefix_size);
}

/* A column's data key in one file. */
struct cczi_pq_slot {
    struct cczi_pq_slot *next; /* reading: of the same column, with other metadata */
    struct ccz_buf metadata;
    char *path;
    struct ccz_secret *key; /* owned, or NULL and `given` has it */
    const struct cczi_pq_given *given;
    uint64_t own_count;
};

/* An open file, for both directions. */
struct cczi_pq_file {
    const struct cczi_pq_crypt *crypt;
    struct cczi_pq_file_crypt said; /* spans into what follows */
    struct cczi_pq_file_aad aad;
    struct cczi_pq_slot footer;
    struct cczi_pq_slot **
        slots; /* [slots_len], each a list: reading, by ordinal; writing, by order of column_key() */
    size_t slots_len;
    bool *used;           /* writing: [given_len] */
    bool checked;         /* writing: `used` was looked at */
    pthread_mutex_t lock; /* reading: of slots */
    bool has_lock;
};
ccz_rc cczi_pq_file_new(struct cczi_pq_file **out, const struct cczi_pq_crypt *c,
                        struct ccz_err *err);
void cczi_pq_file_free(void *file);
void cczi_pq_slot_deinit(struct cczi_pq_slot *s);
const struct ccz_secret *cczi_pq_slot_key(const struct cczi_pq_slot *s);

/* The hook's functions. */
extern const struct ccz_pq_crypt cczi_pq_write_hook, cczi_pq_read_hook;

#endif
