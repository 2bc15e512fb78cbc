/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything cryptographic about the store.
 *
 * Sealed value: u8 format = 1 | nonce[12] | wrapped DEK[32] | tag[16] | ciphertext | tag[16].
 * Sealed head:  store id[32] | le64 seq | nonce[12] | ciphertext of the head | tag[16]. The first two are associated data.
 * MAC of a row: le64 generation | the first 24 bytes of HMAC-SHA-256(row key, table | 0 | generation | fields with their sizes).
 *
 * Every key here but the check value is derived from the master key with the store's random id as salt, so that nothing of
 * one store is genuine in another one, although both may have one master key. Schemas 1 and 2 had no id: their heads begin
 * with seq, their row MACs are HMACs alone, and the digest of their rows is an XOR. migrate.c reads them so, nobody writes them.
 *
 * Nonces: a DEK is random and seals one value, so its nonce is zero. Wrapping uses random nonces,
 * at most one per stored value, far below the 2^32 of NIST SP 800-38D, 8.3. The head is sealed at
 * each audit line, so its key is changed every 2^20 lines (random nonces too: a transaction that
 * failed may have left its bytes in the WAL).
 */
#include "kms_priv.h"

#include <string.h>

enum { CURSOR_ROOM = 1 + CCZ_KMS_NAME_SIZE }; /* one size, whatever the name is */
_Static_assert(CCZI_KMS_CURSOR_SIZE == 16 + CURSOR_ROOM + CCZ_AEAD_TAG_SIZE, "what a cursor has");

enum { SUBKEY_SIZE = 32, FORMAT = 1, HEAD_KEY_LINES_LOG2 = 20 };
enum {
    WRAP_SIZE = CCZ_AEAD_NONCE_SIZE + SUBKEY_SIZE + CCZ_AEAD_TAG_SIZE,
    HEAD_FRAME_SIZE = 8 + CCZ_AEAD_NONCE_SIZE + CCZ_AEAD_TAG_SIZE, /* without the id */
    GENERATION_SIZE = 8,
    ROW_TAG_SIZE = CCZI_KMS_ROW_MAC_SIZE - GENERATION_SIZE
};

static struct ccz_span subkey(const struct cczi_kms_sealer *s, enum cczi_kms_subkey which)
{
    return CCZ_SPAN(ccz_secret_view(s->keys) + (size_t)which * SUBKEY_SIZE, SUBKEY_SIZE);
}

ccz_rc cczi_kms_sealer_init(struct cczi_kms_sealer *s, const struct ccz_secret *master,
                            const uint8_t *id, struct ccz_err *err)
{
    *s = (struct cczi_kms_sealer){.has_id = id != NULL};
    if (id)
        memcpy(s->id, id, sizeof(s->id));
    if (ccz_secret_size(master) != CCZ_KMS_MASTER_KEY_SIZE)
        return cczi_kms_hint(err, ccz_refuse_num(err, CCZ_E_FORMAT, "kms:master-key-size",
                                                 (int64_t)ccz_secret_size(master),
                                                 CCZ_KMS_MASTER_KEY_SIZE));
    struct ccz_span ikm = CCZ_SPAN(ccz_secret_view(master), CCZ_KMS_MASTER_KEY_SIZE);
    struct ccz_span none = {0}, salt = id ? CCZ_SPAN(s->id, sizeof(s->id)) : none;
    ccz_rc rc = ccz_secret_new(&s->keys, (size_t)CCZI_KMS_SUBKEYS * SUBKEY_SIZE);
    if (rc == CCZ_OK)
        rc = ccz_hkdf(ccz_secret_bytes(s->keys), (size_t)CCZI_KMS_SUBKEYS * SUBKEY_SIZE, CCZ_SHA256,
                      salt, ikm, ccz_span_str("cczoo kms v1 subkeys"));
    if (rc == CCZ_OK) /* of the master key alone: a provider has one before there is a store */
        rc = ccz_hkdf(s->key_check, sizeof(s->key_check), CCZ_SHA256, none, ikm,
                      ccz_span_str("cczoo kms v1 key check"));
    if (rc == CCZ_OK)
        rc = ccz_aead_new(&s->aead, CCZ_AES_256_GCM);
    if (rc != CCZ_OK) {
        cczi_kms_sealer_deinit(s);
        return ccz_fail(err, rc, "kms:sealer", 0, "cannot derive keys from the master key");
    }
    return CCZ_OK;
}

void cczi_kms_sealer_deinit(struct cczi_kms_sealer *s)
{
    ccz_secret_free(s->keys);
    ccz_aead_free(s->aead);
    *s = (struct cczi_kms_sealer){0};
}

/* --------------------------------------------------------------------------- values */

/* Binds a value to its place; sizes make the encoding injective. */
static void put_aad(struct ccz_buf *out, const struct cczi_kms_slot *slot)
{
    ccz_buf_put_str(out, "cczoo kms value v1");
    ccz_buf_u8(out, (uint8_t)slot->ref.kind);
    ccz_buf_le32(out, slot->version);
    ccz_buf_le32(out, (uint32_t)strlen(slot->ref.name));
    ccz_buf_put_str(out, slot->ref.name);
    ccz_buf_le32(out, (uint32_t)strlen(slot->alg));
    ccz_buf_put_str(out, slot->alg);
}

enum { AAD_SIZE_MAX = 64 + CCZ_KMS_NAME_SIZE + CCZ_KMS_ALG_SIZE };

static ccz_rc seal_into(struct ccz_buf *out, struct cczi_kms_sealer *s, struct ccz_span aad,
                        uint8_t *dek, struct ccz_span value)
{
    static const uint8_t zero_nonce[CCZ_AEAD_NONCE_SIZE];
    ccz_buf_u8(out, FORMAT);
    uint8_t *wrap = ccz_buf_extend(out, WRAP_SIZE + value.size + CCZ_AEAD_TAG_SIZE);
    if (!wrap)
        return CCZ_E_LIMIT;
    uint8_t *text = wrap + WRAP_SIZE;
    ccz_rc rc = ccz_random(dek, SUBKEY_SIZE);
    if (rc == CCZ_OK)
        rc = ccz_random(wrap, CCZ_AEAD_NONCE_SIZE);
    if (rc == CCZ_OK)
        rc = ccz_aead_seal(s->aead, wrap + CCZ_AEAD_NONCE_SIZE,
                           wrap + CCZ_AEAD_NONCE_SIZE + SUBKEY_SIZE, subkey(s, CCZI_KMS_WRAP).ptr,
                           wrap, aad, CCZ_SPAN(dek, SUBKEY_SIZE));
    if (rc == CCZ_OK)
        rc = ccz_aead_seal(s->aead, text, text + value.size, dek, zero_nonce, aad, value);
    return rc;
}

ccz_rc cczi_kms_seal(struct ccz_buf *out, struct cczi_kms_sealer *s,
                     const struct cczi_kms_slot *slot, struct ccz_span value, struct ccz_err *err)
{
    if (value.size == 0 || value.size > CCZ_KMS_VALUE_SIZE_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:value-size", (int64_t)value.size,
                        "a value has 1..%d bytes, not %zu", CCZ_KMS_VALUE_SIZE_MAX, value.size);
    CCZ_AUTO_BUF aad;
    ccz_buf_init(&aad, AAD_SIZE_MAX);
    put_aad(&aad, slot);
    uint8_t dek[SUBKEY_SIZE];
    size_t before = out->size;
    ccz_rc rc = aad.bad ? CCZ_E_NOMEM : seal_into(out, s, ccz_buf_span(&aad), dek, value);
    ccz_wipe(dek, sizeof(dek));
    if (rc != CCZ_OK) {
        out->size = before;
        return ccz_fail(err, rc, "kms:seal", 0, "cannot seal a value");
    }
    return CCZ_OK;
}

static ccz_rc unseal_from(struct ccz_secret **out, struct cczi_kms_sealer *s, struct ccz_span aad,
                          uint8_t *dek, const uint8_t *wrap, size_t value_size)
{
    static const uint8_t zero_nonce[CCZ_AEAD_NONCE_SIZE];
    const uint8_t *text = wrap + WRAP_SIZE;
    ccz_rc rc = ccz_aead_open(s->aead, dek, wrap + CCZ_AEAD_NONCE_SIZE + SUBKEY_SIZE,
                              subkey(s, CCZI_KMS_WRAP).ptr, wrap, aad,
                              CCZ_SPAN(wrap + CCZ_AEAD_NONCE_SIZE, SUBKEY_SIZE));
    CCZ_AUTO(ccz_secret) value = NULL;
    if (rc == CCZ_OK)
        rc = ccz_secret_new(&value, value_size);
    if (rc == CCZ_OK)
        rc = ccz_aead_open(s->aead, ccz_secret_bytes(value), text + value_size, dek, zero_nonce,
                           aad, CCZ_SPAN(text, value_size));
    if (rc == CCZ_OK)
        *out = ccz_secret_take(&value);
    return rc;
}

ccz_rc cczi_kms_unseal(struct ccz_secret **out, struct cczi_kms_sealer *s,
                       const struct cczi_kms_slot *slot, struct ccz_span sealed,
                       struct ccz_err *err)
{
    *out = NULL;
    char item[CCZ_KMS_ITEM_SIZE];
    cczi_kms_ref_print(item, &slot->ref);
    struct ccz_rd r = ccz_rd_from(sealed);
    uint8_t format = ccz_rd_u8(&r);
    struct ccz_span wrap = ccz_rd_take(&r, WRAP_SIZE);
    if (r.bad || format != FORMAT || r.left <= CCZ_AEAD_TAG_SIZE)
        return ccz_fail(err, CCZ_E_SIG, "kms:seal", (int64_t)sealed.size, "%s: not a sealed value",
                        item);
    CCZ_AUTO_BUF aad;
    ccz_buf_init(&aad, AAD_SIZE_MAX);
    put_aad(&aad, slot);
    uint8_t dek[SUBKEY_SIZE];
    ccz_rc rc = aad.bad ? CCZ_E_NOMEM
                        : unseal_from(out, s, ccz_buf_span(&aad), dek, wrap.ptr,
                                      r.left - CCZ_AEAD_TAG_SIZE);
    ccz_wipe(dek, sizeof(dek));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:seal", slot->version,
                        "the sealed value of %s version %u does not open", item, slot->version);
    return CCZ_OK;
}

/* The value itself stays as it is: only its key is opened, and wrapped again. */
static ccz_rc rewrap(uint8_t *out, const struct cczi_kms_sealer *from, struct cczi_kms_sealer *to,
                     struct ccz_span aad, const uint8_t *wrap)
{
    const uint8_t *text = wrap + CCZ_AEAD_NONCE_SIZE;
    uint8_t dek[SUBKEY_SIZE], *new_text = out + CCZ_AEAD_NONCE_SIZE;
    ccz_rc rc = ccz_aead_open(from->aead, dek, text + SUBKEY_SIZE, subkey(from, CCZI_KMS_WRAP).ptr,
                              wrap, aad, CCZ_SPAN(text, SUBKEY_SIZE));
    if (rc == CCZ_OK)
        rc = ccz_random(out, CCZ_AEAD_NONCE_SIZE);
    if (rc == CCZ_OK)
        rc = ccz_aead_seal(to->aead, new_text, new_text + SUBKEY_SIZE,
                           subkey(to, CCZI_KMS_WRAP).ptr, out, aad, CCZ_SPAN(dek, SUBKEY_SIZE));
    ccz_wipe(dek, sizeof(dek));
    return rc;
}

ccz_rc cczi_kms_reseal(struct ccz_buf *out, const struct cczi_kms_sealer *from,
                       struct cczi_kms_sealer *to, const struct cczi_kms_slot *slot,
                       struct ccz_span sealed, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(sealed);
    uint8_t format = ccz_rd_u8(&r);
    struct ccz_span wrap = ccz_rd_take(&r, WRAP_SIZE);
    if (r.bad || format != FORMAT || r.left <= CCZ_AEAD_TAG_SIZE)
        return ccz_fail(err, CCZ_E_SIG, "kms:seal", (int64_t)sealed.size, "not a sealed value");
    CCZ_AUTO_BUF aad;
    ccz_buf_init(&aad, AAD_SIZE_MAX);
    put_aad(&aad, slot);
    size_t before = out->size;
    ccz_buf_u8(out, FORMAT);
    uint8_t *at = ccz_buf_extend(out, WRAP_SIZE);
    ccz_rc rc = aad.bad || !at ? CCZ_E_NOMEM : rewrap(at, from, to, ccz_buf_span(&aad), wrap.ptr);
    if (rc == CCZ_OK)
        ccz_buf_put(out, r.ptr, r.left);
    if (rc == CCZ_OK && !out->bad)
        return CCZ_OK;
    out->size = before;
    return ccz_fail(err, rc == CCZ_OK ? CCZ_E_NOMEM : rc, "kms:seal", slot->version,
                    "cannot wrap the key of a value again");
}

/* ----------------------------------------------------------------------------- head */

/* The key for the block of lines that `seq` is in. */
static ccz_rc head_key(uint8_t key[SUBKEY_SIZE], const struct cczi_kms_sealer *s, uint64_t seq)
{
    uint8_t block[8];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (uint8_t)((seq >> HEAD_KEY_LINES_LOG2) >> (8 * i));
    return ccz_hmac(key, CCZ_SHA256, subkey(s, CCZI_KMS_HEAD), &CCZ_SPAN(block, sizeof(block)), 1);
}

/* What lies before the ciphertext and its nonce, all of it associated data. */
static size_t put_frame(uint8_t out[CCZI_KMS_STORE_ID_SIZE + 8], const struct cczi_kms_sealer *s,
                        uint64_t seq)
{
    size_t n = s->has_id ? sizeof(s->id) : 0;
    memcpy(out, s->id, n);
    for (size_t i = 0; i < 8; i++)
        out[n + i] = (uint8_t)(seq >> (8 * i));
    return n + 8;
}

static void put_head(struct ccz_buf *out, const struct cczi_kms_head *h)
{
    ccz_buf_le64(out, h->seq);
    ccz_buf_put(out, h->hash, sizeof(h->hash));
    ccz_buf_put(out, h->set, sizeof(h->set));
    ccz_buf_le64(out, h->generation);
    ccz_buf_put(out, h->first, sizeof(h->first));
    cczi_kms_tree_put(out, &h->tree);
}

ccz_rc cczi_kms_head_seal(struct ccz_buf *out, struct cczi_kms_sealer *s,
                          const struct cczi_kms_head *h, struct ccz_err *err)
{
    size_t before = out->size;
    uint8_t frame[CCZI_KMS_STORE_ID_SIZE + 8], key[SUBKEY_SIZE];
    size_t frame_size = put_frame(frame, s, h->seq);
    ccz_buf_put(out, frame, frame_size);
    (void)ccz_buf_extend(out, CCZ_AEAD_NONCE_SIZE);
    put_head(out, h);
    (void)ccz_buf_extend(out, CCZ_AEAD_TAG_SIZE);
    ccz_rc rc = s->has_id ? CCZ_E_NOMEM : CCZ_E_ARG; /* an old sealer only reads */
    if (!out->bad && s->has_id) {
        uint8_t *nonce = out->ptr + before + frame_size, *text = nonce + CCZ_AEAD_NONCE_SIZE;
        size_t size = (size_t)(out->ptr + out->size - text) - CCZ_AEAD_TAG_SIZE;
        rc = head_key(key, s, h->seq);
        if (rc == CCZ_OK)
            rc = ccz_random(nonce, CCZ_AEAD_NONCE_SIZE);
        if (rc == CCZ_OK)
            rc = ccz_aead_seal(s->aead, text, text + size, key, nonce, CCZ_SPAN(frame, frame_size),
                               CCZ_SPAN(text, size));
        ccz_wipe(key, sizeof(key));
    }
    if (rc == CCZ_OK)
        return CCZ_OK;
    out->size = before; /* it was in clear */
    return ccz_fail(err, rc, "kms:head", 0, "cannot seal the end of the audit chain");
}

/* The tree covers every line of the chain; schemas 1 and 2 had heads before there was one. */
static bool get_head(struct cczi_kms_head *out, bool old, struct ccz_span plain)
{
    struct ccz_rd r = ccz_rd_from(plain);
    out->seq = ccz_rd_le64(&r);
    ccz_rd_copy(&r, out->hash, sizeof(out->hash));
    ccz_rd_copy(&r, out->set, sizeof(out->set));
    if (!old) {
        out->generation = ccz_rd_le64(&r);
        ccz_rd_copy(&r, out->first, sizeof(out->first));
    }
    if (!old || r.left)
        cczi_kms_tree_get(&out->tree, &r);
    return ccz_rd_done(&r) && (old || out->tree.size == out->seq);
}

ccz_rc cczi_kms_head_id(uint8_t id[CCZI_KMS_STORE_ID_SIZE], struct ccz_span sealed,
                        struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(sealed);
    ccz_rd_copy(&r, id, CCZI_KMS_STORE_ID_SIZE);
    return !r.bad ? CCZ_OK
                  : ccz_fail(err, CCZ_E_SIG, "kms:head", (int64_t)sealed.size,
                             "the sealed end of the audit chain has %zu bytes", sealed.size);
}

/* It opens under no other id; this says why. */
static ccz_rc same_store(const struct cczi_kms_sealer *s, struct ccz_span sealed,
                         struct ccz_err *err)
{
    uint8_t id[CCZI_KMS_STORE_ID_SIZE];
    ccz_rc rc = cczi_kms_head_id(id, sealed, err);
    if (rc != CCZ_OK || ccz_ct_eq(id, s->id, sizeof(id)))
        return rc;
    (void)ccz_refuse_bytes(err, CCZ_E_SIG, "kms:store-identity", id, sizeof(id), s->id, sizeof(id));
    return cczi_kms_hint(err, CCZ_E_SIG);
}

ccz_rc cczi_kms_head_unseal(struct cczi_kms_head *out, struct cczi_kms_sealer *s,
                            struct ccz_span sealed, struct ccz_err *err)
{
    *out = (struct cczi_kms_head){0};
    size_t id_size = s->has_id ? CCZI_KMS_STORE_ID_SIZE : 0;
    if (sealed.size < id_size + HEAD_FRAME_SIZE || sealed.size > CCZI_KMS_HEAD_SIZE_MAX)
        return ccz_fail(err, CCZ_E_SIG, "kms:head", (int64_t)sealed.size,
                        "the sealed end of the audit chain has %zu bytes", sealed.size);
    ccz_rc rc = s->has_id ? same_store(s, sealed, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(ccz_span_sub(sealed, id_size, sealed.size - id_size));
    uint64_t seq = ccz_rd_le64(&r);
    struct ccz_span nonce = ccz_rd_take(&r, CCZ_AEAD_NONCE_SIZE),
                    text = ccz_rd_take(&r, r.left - CCZ_AEAD_TAG_SIZE);
    uint8_t key[SUBKEY_SIZE], plain[CCZI_KMS_HEAD_SIZE_MAX];
    rc = head_key(key, s, seq);
    if (rc == CCZ_OK)
        rc = ccz_aead_open(s->aead, plain, r.ptr, key, nonce.ptr, CCZ_SPAN(sealed.ptr, id_size + 8),
                           text);
    ccz_wipe(key, sizeof(key));
    struct cczi_kms_head head = {0};
    if (rc == CCZ_OK && !get_head(&head, !s->has_id, CCZ_SPAN(plain, text.size)))
        rc = CCZ_E_SIG; /* genuine, and not of a format that we know */
    ccz_wipe(plain, sizeof(plain));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:head", (int64_t)seq,
                        "the sealed end of the audit chain does not open");
    *out = head;
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------- rows */

/* Every field with its size. @p generation  NULL = of schemas 1 and 2 */
static ccz_rc row_hmac(uint8_t out[32], const struct cczi_kms_sealer *s, const uint8_t *generation,
                       const char *table, const struct ccz_span *fields, size_t len)
{
    if (len > CCZI_KMS_ROW_FIELDS_MAX)
        return CCZ_E_ARG;
    uint8_t sizes[CCZI_KMS_ROW_FIELDS_MAX][8];
    struct ccz_span parts[2 + 2 * CCZI_KMS_ROW_FIELDS_MAX];
    size_t n = 0;
    parts[n++] = CCZ_SPAN(table, strlen(table) + 1); /* the NUL separates it from what follows */
    if (generation)
        parts[n++] = CCZ_SPAN(generation, GENERATION_SIZE);
    for (size_t i = 0; i < len; i++) {
        for (size_t k = 0; k < 8; k++)
            sizes[i][k] = (uint8_t)((uint64_t)fields[i].size >> (8 * k));
        parts[n++] = CCZ_SPAN(sizes[i], 8);
        parts[n++] = fields[i];
    }
    return ccz_hmac(out, CCZ_SHA256, subkey(s, CCZI_KMS_ROW), parts, n);
}

ccz_rc cczi_kms_row_mac(uint8_t out[CCZI_KMS_ROW_MAC_SIZE], const struct cczi_kms_sealer *s,
                        uint64_t generation, const char *table, const struct ccz_span *fields,
                        size_t len)
{
    if (!s->has_id)
        return row_hmac(out, s, NULL, table, fields, len);
    uint8_t full[32];
    for (size_t i = 0; i < GENERATION_SIZE; i++)
        out[i] = (uint8_t)(generation >> (8 * i));
    ccz_rc rc = row_hmac(full, s, out, table, fields, len);
    if (rc == CCZ_OK)
        memcpy(out + GENERATION_SIZE, full, ROW_TAG_SIZE);
    ccz_wipe(full, sizeof(full));
    return rc;
}

uint64_t cczi_kms_row_generation(const uint8_t mac[CCZI_KMS_ROW_MAC_SIZE])
{
    uint64_t v = 0;
    for (size_t i = GENERATION_SIZE; i-- > 0;)
        v = v << 8 | mac[i];
    return v;
}

/*
 * The set of rows as a keyed multiset hash: the sum mod 2^256 of PRF(set key, row MAC), MSet-Add-Hash of Clarke, Devadas, van Dijk,
 * Gassend and Suh, "Incremental Multiset Hash Functions and Their Application to Memory Integrity Checking" (ASIACRYPT 2003).
 * Row MACs lie in the database, so they go through a key of its own, and the sum is stored sealed: with it or with the elements in
 * clear, somebody could look for old rows of the same sum (a generalised birthday attack). So all that is learned of it is whether
 * a guess was right. A set that is not the one of the head differs from it in some element whose coefficient c is not zero, and a
 * uniform c * x hits one value with probability at most 2^(k - 256) for |c| < 2^k. A generation is given out once, so a row is
 * added once for ever: c is at most 1 for what may be there, and what was taken out once more than it was put in stays a
 * difference that no later change makes good.
 */
static ccz_rc set_element(uint8_t out[32], const struct cczi_kms_sealer *s,
                          const uint8_t mac[CCZI_KMS_ROW_MAC_SIZE])
{
    return ccz_hmac(out, CCZ_SHA256, subkey(s, CCZI_KMS_SET), &CCZ_SPAN(mac, CCZI_KMS_ROW_MAC_SIZE),
                    1);
}

ccz_rc cczi_kms_set_add(uint8_t set[32], const struct cczi_kms_sealer *s,
                        const uint8_t mac[CCZI_KMS_ROW_MAC_SIZE])
{
    uint8_t element[32];
    unsigned carry = 0;
    ccz_rc rc = set_element(element, s, mac);
    for (size_t i = 0; rc == CCZ_OK && i < 32; i++) {
        carry += (unsigned)set[i] + element[i];
        set[i] = s->has_id ? (uint8_t)carry : set[i] ^ element[i];
        carry >>= 8;
    }
    ccz_wipe(element, sizeof(element));
    return rc;
}

ccz_rc cczi_kms_set_remove(uint8_t set[32], const struct cczi_kms_sealer *s,
                           const uint8_t mac[CCZI_KMS_ROW_MAC_SIZE])
{
    uint8_t element[32];
    unsigned carry = 1; /* set + ~element + 1 */
    ccz_rc rc = s->has_id ? set_element(element, s, mac) : CCZ_E_ARG;
    for (size_t i = 0; rc == CCZ_OK && i < 32; i++) {
        carry += (unsigned)set[i] + (uint8_t)~element[i];
        set[i] = (uint8_t)carry;
        carry >>= 8;
    }
    ccz_wipe(element, sizeof(element));
    return rc;
}

/* --------------------------------------------------------------------------- cursors */

/*
 * Of its own: random[16] | ciphertext | tag[16], under HMAC(set key, "list cursor" | random | principal), which seals this one
 * alone. No MAC of a row is as long as what is hashed here.
 */
static ccz_rc cursor_key(uint8_t out[SUBKEY_SIZE], const struct cczi_kms_sealer *s,
                         const uint8_t random[16], const uint8_t principal[32])
{
    const struct ccz_span parts[] = {ccz_span_str("list cursor"), CCZ_SPAN(random, 16),
                                     CCZ_SPAN(principal, 32)};
    return ccz_hmac(out, CCZ_SHA256, subkey(s, CCZI_KMS_SET), parts, 3);
}

ccz_rc cczi_kms_cursor_seal(uint8_t out[CCZI_KMS_CURSOR_SIZE], struct cczi_kms_sealer *s,
                            const struct cczi_kms_ref *at, const uint8_t principal[32],
                            struct ccz_err *err)
{
    static const uint8_t zero_nonce[CCZ_AEAD_NONCE_SIZE];
    const struct ccz_span none = {0};
    uint8_t key[SUBKEY_SIZE], text[CURSOR_ROOM] = {(uint8_t)at->kind};
    memcpy(text + 1, at->name, sizeof(at->name));
    ccz_rc rc = ccz_random(out, 16);
    if (rc == CCZ_OK)
        rc = cursor_key(key, s, out, principal);
    if (rc == CCZ_OK)
        rc = ccz_aead_seal(s->aead, out + 16, out + 16 + CURSOR_ROOM, key, zero_nonce, none,
                           CCZ_SPAN(text, sizeof(text)));
    ccz_wipe(key, sizeof(key));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kms:list", 0, "cannot seal a cursor");
}

ccz_rc cczi_kms_cursor_open(struct cczi_kms_ref *at, struct cczi_kms_sealer *s,
                            struct ccz_span cursor, const uint8_t principal[32],
                            struct ccz_err *err)
{
    static const uint8_t zero_nonce[CCZ_AEAD_NONCE_SIZE];
    const struct ccz_span none = {0};
    uint8_t key[SUBKEY_SIZE], text[CURSOR_ROOM];
    *at = (struct cczi_kms_ref){0};
    ccz_rc rc = cursor.size == CCZI_KMS_CURSOR_SIZE ? CCZ_OK : CCZ_E_FORMAT;
    if (rc == CCZ_OK)
        rc = cursor_key(key, s, cursor.ptr, principal);
    if (rc == CCZ_OK)
        rc = ccz_aead_open(s->aead, text, cursor.ptr + 16 + CURSOR_ROOM, key, zero_nonce, none,
                           ccz_span_sub(cursor, 16, CURSOR_ROOM));
    ccz_wipe(key, sizeof(key));
    if (rc != CCZ_OK) {
        ccz_refuse(err, CCZ_E_FORMAT, "kms:list-cursor", "something else",
                   "`next` of the answer before, to the same caller");
        return cczi_kms_hint(err, CCZ_E_FORMAT);
    }
    at->kind = (enum cczi_kms_kind)text[0];
    memcpy(at->name, text + 1, sizeof(at->name));
    return CCZ_OK;
}
