/* SPDX-License-Identifier: Apache-2.0 */
/* Key material and modules of encrypted Parquet files. The first byte of the input chooses:
 * - 0: the rest is key metadata. What is accepted and is not a reference is written and read again, and says the same.
 * - 1: the rest is a file of key material; each key of it is looked up, under master keys that are known.
 * - 2, 3: the rest is a list of changes, three bytes each, to a good module (GCM, CTR). In GCM it opens if and only if the changes left it
 *   as it was; in CTR it opens if its length is still right.
 * - 4: the rest are fields of FileCryptoMetaData and a footer that was never sealed: nothing opens. */
#include "parquet/crypt_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static const struct ccz_secret *fixed_key(void)
{
    static struct ccz_secret *key; /* zeros */
    if (!key)
        must(ccz_secret_new(&key, 16) == CCZ_OK);
    return key;
}

static struct ccz_pq_keytools *tools(void)
{
    static struct ccz_pq_keytools *t;
    static struct ccz_pq_master_key key = {.name = "kf"};
    static const struct ccz_pq_master_keys keys = {&key, 1};
    key.key = fixed_key();
    struct ccz_pq_keytools_cfg cfg = {.kms = ccz_pq_local_kms(&keys)};
    if (!t)
        must(ccz_pq_keytools_new(&t, &cfg, NULL) == CCZ_OK);
    return t;
}

static bool same(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void run_metadata(struct ccz_span in)
{
    struct ccz_pq_key_material m, again;
    struct ccz_secret *key = NULL;
    if (ccz_pq_key_material_read(&m, in, NULL) != CCZ_OK) {
        must(!m.doc);
        return;
    }
    if (!m.external) {
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 8 * CCZ_PQ_KEY_METADATA_SIZE_MAX);
        if (m.is_footer && (!m.instance_id || !m.instance_url))
            m.instance_id = m.instance_url = "DEFAULT"; /* may be missing, and is always written */
        cczi_pq_material_put(&out, &m);
        if (out.size <= CCZ_PQ_KEY_METADATA_SIZE_MAX) {
            must(ccz_pq_key_material_read(&again, ccz_buf_span(&out), NULL) == CCZ_OK);
            must(again.is_footer == m.is_footer && again.double_wrapped == m.double_wrapped);
            must(same(again.master_key, m.master_key) && same(again.kek_id, m.kek_id));
            must(ccz_span_eq(again.wrapped, m.wrapped));
            must(ccz_span_eq(again.wrapped_kek, m.wrapped_kek));
            ccz_pq_key_material_deinit(&again);
        }
        must((cczi_pq_keytools_get(&key, tools(), &m, NULL) == CCZ_OK) == (key != NULL));
        ccz_secret_free(key);
    }
    ccz_pq_key_material_deinit(&m);
}

static void begin(const struct ccz_pq_crypt *c, const struct cczi_pq_file_crypt *said,
                  struct ccz_span sealed)
{
    void *file = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    if (c->begin(&file, c->arg, said, NULL) != CCZ_OK) {
        must(!file);
        return;
    }
    struct cczi_pq_at at = cczi_pq_at_footer();
    must(c->open(&out, file, &at, sealed, NULL) != CCZ_OK && out.size == 0);
    must(c->verify(file, sealed, ccz_span_sub(sealed, 0, CCZI_PQ_SIGNATURE_SIZE), NULL) != CCZ_OK);
    c->end(file);
}

static void run_file(struct ccz_span in)
{
    static const char reference[] = "{\"keyMaterialType\":\"PKMT1\",\"internalStorage\":false,"
                                    "\"keyReference\":\"footerKey\"}";
    struct ccz_pq_decrypt_cfg cfg = {.keytools = tools(), .key_material = in};
    struct cczi_pq_file_crypt said = {.kind = CCZI_PQ_FILE_ENCRYPTED,
                                      .algorithm = CCZI_PQ_GCM_V1,
                                      .aad_file_unique = ccz_span_str("12345678"),
                                      .key_metadata = ccz_span_str(reference)};
    struct ccz_pq_crypt *c = NULL;
    if (ccz_pq_decrypt_new(&c, &cfg, NULL) == CCZ_OK)
        begin(c, &said, in);
    ccz_pq_crypt_free(c);
}

static void run_changes(struct ccz_span in, bool ctr)
{
    static uint8_t text[300];
    struct cczi_pq_file_aad aad = {.bytes = "prefix", .size = 6};
    struct cczi_pq_at at = {.module = CCZI_PQ_DATA_PAGE, .row_group = 1, .column = 2, .page = 3};
    at.key.path = "c";
    CCZ_AUTO_BUF out, back;
    ccz_buf_init(&out, 1000);
    ccz_buf_init(&back, 1000);
    must(cczi_pq_module_seal(&out, fixed_key(), &aad, &at, ctr, CCZ_SPAN(text, sizeof(text)),
                             NULL) == CCZ_OK);
    uint8_t good[400];
    size_t size = out.size;
    memcpy(good, out.ptr, size);
    for (; in.size >= 3; in.ptr += 3, in.size -= 3)
        out.ptr[(in.ptr[0] | (size_t)in.ptr[1] << 8) % size] ^= in.ptr[2];
    bool whole = memcmp(out.ptr, good, size) == 0, framed = memcmp(out.ptr, good, 4) == 0;
    ccz_rc rc = cczi_pq_module_open(&back, fixed_key(), &aad, &at, ctr, ccz_buf_span(&out), NULL);
    must((rc == CCZ_OK) == (ctr ? framed : whole));
    must(back.size == (rc == CCZ_OK ? sizeof(text) : 0));
}

static void run_fields(struct ccz_span in)
{
    struct ccz_rd r = ccz_rd_from(in);
    unsigned flags = ccz_rd_u8(&r);
    struct cczi_pq_file_crypt said = {.kind =
                                          flags & 1 ? CCZI_PQ_FILE_SIGNED : CCZI_PQ_FILE_ENCRYPTED,
                                      .algorithm = (enum cczi_pq_algorithm)(flags >> 1 & 3),
                                      .has_aad_prefix = flags & 8,
                                      .supply_aad_prefix = flags & 16};
    said.aad_prefix = ccz_rd_take(&r, ccz_rd_u8(&r));
    said.aad_file_unique = ccz_rd_take(&r, ccz_rd_u8(&r));
    said.key_metadata = ccz_rd_take(&r, ccz_rd_le16(&r));
    struct ccz_span sealed = ccz_rd_take(&r, r.left);
    struct ccz_pq_decrypt_cfg cfg = {.algorithm =
                                         flags & 128 ? CCZ_PQ_AES_GCM_CTR_V1 : CCZ_PQ_AES_GCM_V1,
                                     .keytools = tools(),
                                     .aad_prefix = ccz_span_str(flags & 32 ? "prefix" : "")};
    if (flags & 64)
        cfg.footer.key = fixed_key();
    struct ccz_pq_crypt *c = NULL;
    must(ccz_pq_decrypt_new(&c, &cfg, NULL) == CCZ_OK);
    begin(c, &said, sealed);
    ccz_pq_crypt_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct ccz_span rest = CCZ_SPAN(data + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        run_metadata(rest);
        break;
    case 1:
        run_file(rest);
        break;
    case 4:
        run_fields(rest);
        break;
    default:
        run_changes(rest, data[0] % 5 == 3);
    }
    return 0;
}
