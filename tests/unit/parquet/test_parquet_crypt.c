/* SPDX-License-Identifier: Apache-2.0 */
/* Modular Encryption without files: modules and their AAD, key material, key tools. */
#define _DEFAULT_SOURCE
#include "crypt_kms.h"

#include "refused.h"

static bool same_key(const struct ccz_secret *a, const struct ccz_secret *b)
{
    return ccz_secret_size(a) == ccz_secret_size(b) &&
           ccz_ct_eq(ccz_secret_view(a), ccz_secret_view(b), ccz_secret_size(a));
}

static struct cczi_pq_file_aad file_aad(const char *prefix, const char *unique)
{
    struct cczi_pq_file_aad a = {.prefix_size = strlen(prefix)};
    a.size = a.prefix_size + strlen(unique);
    memcpy(a.bytes, prefix, a.prefix_size);
    memcpy(a.bytes + a.prefix_size, unique, strlen(unique));
    return a;
}

static const char *const wheres[] = {
    "parquet:footer",          "parquet:column-metadata",  "parquet:data-page",
    "parquet:dictionary-page", "parquet:data-page-header", "parquet:dictionary-page-header",
    "parquet:column-index",    "parquet:offset-index",     "parquet:bloom-header",
    "parquet:bloom-bitset",
};

/* Encryption.md 4.4: the AAD of each module, written down here once more. */
static void test_aad(void)
{
    static const struct {
        const char *bytes;
        size_t size;
    } suffix[CCZI_PQ_MODULES_LEN] = {
        {"\x00", 1},
        {"\x01\x02\x01\xff\x7f", 5},
        {"\x02\x02\x01\xff\x7f\x05\x00", 7},
        {"\x03\x02\x01\xff\x7f", 5},
        {"\x04\x02\x01\xff\x7f\x05\x00", 7},
        {"\x05\x02\x01\xff\x7f", 5},
        {"\x06\x02\x01\xff\x7f", 5},
        {"\x07\x02\x01\xff\x7f", 5},
        {"\x08\x02\x01\xff\x7f", 5},
        {"\x09\x02\x01\xff\x7f", 5},
    };
    struct cczi_pq_file_aad file = file_aad("table/7", "12345678");
    CCZ_AUTO(ccz_secret) key = key_from(1, 16);
    CCZ_AUTO(ccz_aead) gcm = NULL;
    CHECK(ccz_aead_new(&gcm, CCZ_AES_128_GCM) == CCZ_OK);
    for (int m = 0; m < CCZI_PQ_MODULES_LEN; m++) {
        struct cczi_pq_at at = at_of(m, 0x102, 0x7fff, 5);
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 100);
        CHECK(cczi_pq_module_seal(&out, key, &file, &at, false, ccz_span_str("plain bytes"),
                                  NULL) == CCZ_OK);
        CHECK(out.size == 4 + 12 + 11 + 16 && memcmp(out.ptr, "\x27\x00\x00\x00", 4) == 0);
        uint8_t aad[32], text[11];
        memcpy(aad, "table/712345678", 15);
        memcpy(aad + 15, suffix[m].bytes, suffix[m].size);
        CHECK(ccz_aead_open(gcm, text, out.ptr + 27, ccz_secret_view(key), out.ptr + 4,
                            CCZ_SPAN(aad, 15 + suffix[m].size),
                            CCZ_SPAN(out.ptr + 16, 11)) == CCZ_OK);
        CHECK(memcmp(text, "plain bytes", 11) == 0);
    }
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 100);
    for (int i = 0; i < 3; i++) {
        int ordinals[3] = {1, 1, 1};
        for (int k = -1; k < 2; k += 2) {
            ordinals[i] = k < 0 ? -1 : 32768;
            struct cczi_pq_at at = at_of(CCZI_PQ_DATA_PAGE, ordinals[0], ordinals[1], ordinals[2]);
            CHECK(is_refused(
                cczi_pq_module_seal(&out, key, &file, &at, false, ccz_span_str("x"), &err),
                CCZ_E_LIMIT, &err, "parquet:ordinal"));
            CHECK(is_refused(
                cczi_pq_module_open(&out, key, &file, &at, false, ccz_span_str("x"), &err),
                CCZ_E_LIMIT, &err, "parquet:ordinal"));
        }
    }
}

static ccz_rc reopen(struct ccz_span in, const struct ccz_secret *key,
                     const struct cczi_pq_file_aad *file, const struct cczi_pq_at *at, bool ctr,
                     struct ccz_err *err)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    ccz_buf_put_str(&out, "before");
    ccz_rc rc = cczi_pq_module_open(&out, key, file, at, ctr, in, err);
    CHECK(rc == CCZ_OK || out.size == 6); /* nothing is released */
    CHECK(memcmp(out.ptr, "before", 6) == 0);
    CHECK(rc != CCZ_OK || out.size == 6 + 40);
    return rc;
}

/* Each byte changed, each size, each place, each key. */
static void test_module(void)
{
    struct cczi_pq_file_aad file = file_aad("p", "uuuuuuuu"), other = file_aad("q", "uuuuuuuu"),
                            third = file_aad("p", "uuuuuuuv");
    struct ccz_err err = {0};
    uint8_t text[40] = {7};
    for (int m = 0; m < CCZI_PQ_MODULES_LEN; m++) {
        for (size_t k = 0; k < 3; k++) {
            CCZ_AUTO(ccz_secret) key = key_from(2, key_sizes[k]);
            CCZ_AUTO(ccz_secret) wrong = key_from(3, key_sizes[k]);
            struct cczi_pq_at at = at_of(m, 1, 2, 3);
            CCZ_AUTO_BUF out;
            ccz_buf_init(&out, 1000);
            CHECK(cczi_pq_module_seal(&out, key, &file, &at, false, CCZ_SPAN(text, 40), NULL) ==
                  CCZ_OK);
            struct ccz_span in = ccz_buf_span(&out);
            CHECK(reopen(in, key, &file, &at, false, &err) == CCZ_OK);
            for (size_t i = 0; i < in.size; i++) {
                out.ptr[i] ^= 0x40;
                CHECK(is_refused(reopen(in, key, &file, &at, false, &err),
                                 i < 4 ? CCZ_E_FORMAT : CCZ_E_SIG, &err, wheres[m]));
                out.ptr[i] ^= 0x40;
                CHECK(is_refused(reopen(CCZ_SPAN(in.ptr, i), key, &file, &at, false, &err),
                                 CCZ_E_FORMAT, &err, wheres[m]));
            }
            CHECK(
                is_refused(reopen(in, wrong, &file, &at, false, &err), CCZ_E_SIG, &err, wheres[m]));
            CHECK(
                is_refused(reopen(in, key, &other, &at, false, &err), CCZ_E_SIG, &err, wheres[m]));
            CHECK(
                is_refused(reopen(in, key, &third, &at, false, &err), CCZ_E_SIG, &err, wheres[m]));
            for (int n = 0; n < CCZI_PQ_MODULES_LEN; n++) {
                struct cczi_pq_at moved = at_of(n, 1, 2, 3);
                CHECK((reopen(in, key, &file, &moved, false, &err) == CCZ_OK) == (n == m));
            }
            for (int i = 0; i < 3 && m != CCZI_PQ_FOOTER; i++) {
                struct cczi_pq_at moved = at_of(m, 1 + (i == 0), 2 + (i == 1), 3 + (i == 2));
                bool has_page = m == CCZI_PQ_DATA_PAGE || m == CCZI_PQ_DATA_PAGE_HEADER;
                ccz_rc rc = reopen(in, key, &file, &moved, false, &err);
                CHECK(rc == (i == 2 && !has_page ? CCZ_OK : CCZ_E_SIG));
            }
        }
    }
}

/* Counter mode: pages only, first counter 1; what it does not protect. */
static void test_ctr(void)
{
    struct cczi_pq_file_aad file = file_aad("", "uuuuuuuu");
    struct ccz_err err = {0};
    uint8_t text[40] = {1, 2, 3}, back[40];
    for (int m = 0; m < CCZI_PQ_MODULES_LEN; m++) {
        bool page = m == CCZI_PQ_DATA_PAGE || m == CCZI_PQ_DICT_PAGE;
        CCZ_AUTO(ccz_secret) key = key_from(4, 24);
        struct cczi_pq_at at = at_of(m, 0, 0, 0);
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 1000);
        CHECK(cczi_pq_module_seal(&out, key, &file, &at, true, CCZ_SPAN(text, 40), NULL) == CCZ_OK);
        CHECK(out.size == 4 + 12 + 40 + (page ? 0 : 16));
        struct ccz_span in = ccz_buf_span(&out);
        CHECK(reopen(in, key, &file, &at, true, &err) == CCZ_OK);
        if (page) {
            uint8_t iv[16] = {[15] = 1};
            memcpy(iv, out.ptr + 4, 12);
            CCZ_AUTO(ccz_ctr) ctr = NULL;
            CHECK(ccz_ctr_new(&ctr, 24) == CCZ_OK);
            CHECK(ccz_ctr_apply(ctr, back, ccz_secret_view(key), iv, CCZ_SPAN(out.ptr + 16, 40)) ==
                  CCZ_OK);
            CHECK(memcmp(back, text, 40) == 0);
            CHECK(is_refused(reopen(CCZ_SPAN(in.ptr, 15), key, &file, &at, true, &err),
                             CCZ_E_FORMAT, &err, wheres[m]));
        }
        out.ptr[20] ^= 1;
        CHECK(reopen(in, key, &file, &at, true, &err) == (page ? CCZ_OK : CCZ_E_SIG));
    }
    /* empty pages have room enough in both modes */
    for (int ctr = 0; ctr < 2; ctr++) {
        CCZ_AUTO(ccz_secret) key = key_from(4, 16);
        struct cczi_pq_at at = at_of(CCZI_PQ_DATA_PAGE, 0, 0, 0);
        CCZ_AUTO_BUF out, again;
        ccz_buf_init(&out, 100);
        ccz_buf_init(&again, 100);
        CHECK(cczi_pq_module_seal(&out, key, &file, &at, ctr, CCZ_SPAN(NULL, 0), NULL) == CCZ_OK);
        CHECK(out.size == (ctr ? 16u : 32u));
        CHECK(cczi_pq_module_open(&again, key, &file, &at, ctr, ccz_buf_span(&out), NULL) ==
              CCZ_OK);
        CHECK(again.size == 0);
    }
}

static void test_signature(void)
{
    struct cczi_pq_file_aad file = file_aad("p", "u"), other = file_aad("p", "v");
    CCZ_AUTO(ccz_secret) key = key_from(5, 32);
    CCZ_AUTO(ccz_secret) wrong = key_from(6, 32);
    uint8_t footer[50] = {9}, sig[CCZI_PQ_SIGNATURE_SIZE];
    struct ccz_span text = CCZ_SPAN(footer, 50), s = CCZ_SPAN(sig, sizeof(sig));
    struct ccz_err err = {0};
    CHECK(cczi_pq_module_sign(sig, key, &file, text, NULL) == CCZ_OK);
    CHECK(cczi_pq_module_verify(key, &file, text, s, NULL) == CCZ_OK);
    for (size_t i = 0; i < sizeof(sig) + 50; i++) {
        uint8_t *p = i < sizeof(sig) ? &sig[i] : &footer[i - sizeof(sig)];
        *p ^= 4;
        CHECK(is_refused(cczi_pq_module_verify(key, &file, text, s, &err), CCZ_E_SIG, &err,
                         "parquet:footer"));
        *p ^= 4;
    }
    CHECK(cczi_pq_module_verify(wrong, &file, text, s, &err) == CCZ_E_SIG);
    CHECK(cczi_pq_module_verify(key, &other, text, s, &err) == CCZ_E_SIG);
    CHECK(cczi_pq_module_verify(key, &file, CCZ_SPAN(footer, 49), s, &err) == CCZ_E_SIG);
    CHECK(cczi_pq_module_verify(key, &file, text, CCZ_SPAN(sig, 27), &err) == CCZ_E_FORMAT);
    /* it is the tag of the footer as an encrypted module */
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 100);
    struct cczi_pq_at at = cczi_pq_at_footer();
    CHECK(cczi_pq_module_seal(&out, key, &file, &at, false, text, NULL) == CCZ_OK);
    memcpy(sig, out.ptr + 4, 12);
    memcpy(sig + 12, out.ptr + out.size - 16, 16);
    CHECK(cczi_pq_module_verify(key, &file, text, s, NULL) == CCZ_OK);
}

/* --------------------------------------------------------------------------------- key material */

/* As pyarrow 26 writes them. */
static const char double_json[] =
    "{\"keyMaterialType\":\"PKMT1\",\"internalStorage\":true,\"isFooterKey\":true,"
    "\"kmsInstanceID\":\"DEFAULT\",\"kmsInstanceURL\":\"DEFAULT\",\"masterKeyID\":\"kf\","
    "\"wrappedDEK\":\"K8e22YfXQgv1rbWMTfuvVVS2PgncjtWFdpc+Akn6+EVMkP8RkjT1IjsjVYA=\","
    "\"doubleWrapping\":true,\"keyEncryptionKeyID\":\"maf6oxIp6zpK37FK9qlWIQ==\","
    "\"wrappedKEK\":\"a2Z8OfD8N8m1V3IqGftq/aio/Q==\"}";
static const char single_json[] =
    "{\"keyMaterialType\":\"PKMT1\",\"internalStorage\":true,\"isFooterKey\":false,"
    "\"masterKeyID\":\"k1\",\"wrappedDEK\":\"a2Z80Q/F4e1sn/7Gh8krp/"
    "bbHA==\",\"doubleWrapping\":false}";
static const char reference_json[] =
    "{\"keyMaterialType\":\"PKMT1\",\"internalStorage\":false,\"keyReference\":\"footerKey\"}";

static ccz_rc read_json(struct ccz_pq_key_material *m, const char *json, struct ccz_err *err)
{
    return ccz_pq_key_material_read(m, ccz_span_str(json), err);
}

/* Removes `"name":...,` or the value's quotes; the text that is left. */
static void without(char *out, const char *json, const char *name)
{
    char key[40];
    snprintf(key, sizeof(key), "\"%s\":", name);
    strcpy(out, json);
    char *at = strstr(out, key);
    CHECK(at);
    at[1] = '_'; /* a member of another name */
}

static void test_material(void)
{
    struct ccz_pq_key_material m;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF again;
    ccz_buf_init(&again, 1000);
    CHECK(read_json(&m, double_json, NULL) == CCZ_OK && m.is_footer && !m.external);
    CHECK(m.double_wrapped && strcmp(m.master_key, "kf") == 0);
    CHECK(strcmp(m.kek_id, "maf6oxIp6zpK37FK9qlWIQ==") == 0 && m.wrapped_kek.size == 28);
    CHECK(strcmp(m.instance_id, "DEFAULT") == 0 && strcmp(m.instance_url, "DEFAULT") == 0);
    cczi_pq_material_put(&again, &m); /* what is written is what they write */
    CHECK(strcmp(ccz_buf_str(&again), double_json) == 0);
    ccz_pq_key_material_deinit(&m);

    ccz_buf_clear(&again);
    CHECK(read_json(&m, single_json, NULL) == CCZ_OK && !m.is_footer && !m.double_wrapped);
    CHECK(!m.instance_id && !m.kek_id && m.wrapped.size == 28);
    cczi_pq_material_put(&again, &m);
    CHECK(strcmp(ccz_buf_str(&again), single_json) == 0);
    ccz_pq_key_material_deinit(&m);

    CHECK(read_json(&m, reference_json, NULL) == CCZ_OK && m.external);
    CHECK(strcmp(m.reference, "footerKey") == 0 && !m.master_key);
    ccz_pq_key_material_deinit(&m);

    static const char *const all[] = {double_json, single_json, reference_json};
    for (size_t i = 0; i < 3; i++) {
        for (size_t n = 0; n < strlen(all[i]); n++) {
            CHECK(is_refused(ccz_pq_key_material_read(&m, CCZ_SPAN(all[i], n), &err), CCZ_E_FORMAT,
                             &err, "parquet:key-material"));
            CHECK(!m.doc && !m.master_key);
        }
    }
    static const char *const needed[] = {"keyMaterialType",    "internalStorage", "isFooterKey",
                                         "masterKeyID",        "wrappedDEK",      "doubleWrapping",
                                         "keyEncryptionKeyID", "wrappedKEK"};
    char json[600];
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        without(json, double_json, needed[i]);
        CHECK(is_refused(read_json(&m, json, &err), CCZ_E_FORMAT, &err, "parquet:key-material"));
    }
    without(json, reference_json, "keyReference");
    CHECK(is_refused(read_json(&m, json, &err), CCZ_E_FORMAT, &err, "parquet:key-material"));
    strcpy(json, double_json);
    strstr(json, "PKMT1")[4] = '2';
    CHECK(is_refused(read_json(&m, json, &err), CCZ_E_UNSUPPORTED, &err, "parquet:key-material"));
    CHECK(is_refused(read_json(&m, "kf", &err), CCZ_E_FORMAT, &err, "parquet:key-material"));
    CHECK(is_refused(read_json(&m, "[1]", &err), CCZ_E_FORMAT, &err, "parquet:key-material"));
    strcpy(json, single_json);
    memcpy(strstr(json, "\"k1\""), "\"\" ,", 4); /* an empty name (and a broken document) */
    CHECK(read_json(&m, json, &err) == CCZ_E_FORMAT);
}

static void test_material_elsewhere(void)
{
    struct ccz_pq_key_material m;
    struct ccz_err err = {0};
    static const char ext[] =
        "{\"keyMaterialType\":\"PKMT1\",\"isFooterKey\":false,\"masterKeyID\":"
        "\"k\",\"wrappedDEK\":\"x\",\"doubleWrapping\":false}";
    CHECK(cczi_pq_material_read_external(&m, ccz_span_str(ext), NULL) == CCZ_OK);
    ccz_pq_key_material_deinit(&m);
    CHECK(read_json(&m, ext, &err) == CCZ_E_FORMAT);

    CCZ_AUTO_BUF path;
    ccz_buf_init(&path, 100);
    ccz_pq_key_material_path(&path, "a/b.parquet");
    CHECK(strcmp(ccz_buf_str(&path), "a/_KEY_MATERIAL_FOR_b.parquet.json") == 0);
    ccz_buf_clear(&path);
    ccz_pq_key_material_path(&path, "b");
    CHECK(strcmp(ccz_buf_str(&path), "_KEY_MATERIAL_FOR_b.json") == 0);
}

/* ------------------------------------------------------------------------------------ key tools */

static ccz_rc get(struct ccz_secret **key, struct ccz_pq_keytools *t, struct ccz_span metadata,
                  struct ccz_err *err)
{
    struct ccz_pq_key_material m;
    CHECK(ccz_pq_key_material_read(&m, metadata, NULL) == CCZ_OK);
    ccz_rc rc = cczi_pq_keytools_get(key, t, &m, err);
    ccz_pq_key_material_deinit(&m);
    return rc;
}

static void test_keytools(void)
{
    for (int single_wrapping = 0; single_wrapping < 2; single_wrapping++) {
        for (size_t i = 0; i < 3; i++) {
            struct kms *k = kms_new();
            CCZ_AUTO(ccz_pq_keytools) write = tools_of(k, single_wrapping, key_sizes[i]);
            CCZ_AUTO(ccz_pq_keytools) read = tools_of(k, !single_wrapping, 0);
            CCZ_AUTO(ccz_secret) last = NULL;
            for (int file = 0; file < 5; file++) {
                CCZ_AUTO(ccz_secret) made = NULL;
                CCZ_AUTO(ccz_secret) got = NULL;
                CCZ_AUTO_BUF metadata;
                ccz_buf_init(&metadata, 10000);
                CHECK(cczi_pq_keytools_make(&made, &metadata, write, "k2", file & 1, NULL) ==
                      CCZ_OK);
                CHECK(ccz_secret_size(made) == key_sizes[i]);
                CHECK(get(&got, read, ccz_buf_span(&metadata), NULL) == CCZ_OK);
                CHECK(same_key(made, got) && (!last || !same_key(made, last)));
                ccz_secret_free(last);
                last = ccz_secret_take(&got);
            }
            /* double wrapping asks once, single wrapping each time */
            CHECK(k->wraps == (single_wrapping ? 5 : 1) && k->unwraps == k->wraps);
            kms_free(k);
        }
    }
}

static void test_keytools_refused(void)
{
    struct kms *k = kms_new();
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_pq_keytools) t = tools_of(k, false, 0);
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO_BUF metadata;
    ccz_buf_init(&metadata, 10000);
    CHECK(is_refused(cczi_pq_keytools_make(&key, &metadata, t, "none", true, &err), CCZ_E_NOT_FOUND,
                     &err, "parquet:master-key"));
    k->odd = true;
    CHECK(is_refused(cczi_pq_keytools_make(&key, &metadata, t, "k1", true, &err), CCZ_E_PEER, &err,
                     "parquet:wrapped-key"));
    k->odd = false;
    CHECK(metadata.size == 0 && !key);
    CHECK(cczi_pq_keytools_make(&key, &metadata, t, "k1", true, NULL) == CCZ_OK);
    ccz_secret_free(ccz_secret_take(&key));

    /* revoked: what is remembered still serves, and forgetting ends that */
    k->refuses = "k1";
    CHECK(get(&key, t, ccz_buf_span(&metadata), NULL) == CCZ_OK);
    ccz_secret_free(ccz_secret_take(&key));
    ccz_pq_keytools_forget(t);
    CHECK(
        is_refused(get(&key, t, ccz_buf_span(&metadata), &err), CCZ_E_DENIED, &err, "kms:revoked"));
    CHECK(!key);
    k->refuses = NULL;
    k->odd = true;
    CHECK(is_refused(get(&key, t, ccz_buf_span(&metadata), &err), CCZ_E_PEER, &err,
                     "parquet:key-size"));
    k->odd = false;
    CHECK(get(&key, t, ccz_buf_span(&metadata), NULL) == CCZ_OK);
    ccz_secret_free(ccz_secret_take(&key));

    /* each field changed: another KEK under a known identity is not taken from memory */
    static const char *const fields[] = {"wrappedDEK\":\"", "keyEncryptionKeyID\":\"",
                                         "wrappedKEK\":\"", "masterKeyID\":\""};
    for (size_t i = 0; i < 4; i++) {
        CCZ_AUTO_BUF other;
        ccz_buf_init(&other, 10000);
        ccz_buf_put_span(&other, ccz_buf_span(&metadata));
        char *at = strstr((char *)(uintptr_t)ccz_buf_str(&other), fields[i]);
        CHECK(at);
        at += strlen(fields[i]) + (i == 3);
        *at = i == 3 ? '2' : *at == 'A' ? 'B' : 'A';
        CHECK(is_refused(get(&key, t, ccz_buf_span(&other), &err), CCZ_E_SIG, &err,
                         "parquet:wrapped-key"));
        CHECK(!key);
    }
    struct ccz_pq_keytools *none = NULL;
    struct ccz_pq_keytools_cfg cfg = {.kms = k->local, .key_size = 20};
    CHECK(is_refused(ccz_pq_keytools_new(&none, &cfg, &err), CCZ_E_ARG, &err, "parquet:key-size"));
    cfg = (struct ccz_pq_keytools_cfg){0};
    CHECK(is_refused(ccz_pq_keytools_new(&none, &cfg, &err), CCZ_E_ARG, &err, "parquet:keytools"));
    kms_free(k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"parquet.crypt_aad", test_aad},
        {"parquet.crypt_module", test_module},
        {"parquet.crypt_ctr", test_ctr},
        {"parquet.crypt_signature", test_signature},
        {"parquet.crypt_material", test_material},
        {"parquet.crypt_material_elsewhere", test_material_elsewhere},
        {"parquet.crypt_keytools", test_keytools},
        {"parquet.crypt_keytools_refused", test_keytools_refused},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
