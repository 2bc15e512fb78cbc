/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key material of type PKMT1 as JSON: what parquet-java and parquet-cpp write into key metadata, or into a file beside.
 * Members that are not known are passed over, as theirs do: nothing of it is authentic before the module opens.
 */
#include "parquet/crypt_priv.h"

#include <string.h>

static ccz_rc bad(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "parquet:key-material", 0, "%s", what);
}

void ccz_pq_key_material_deinit(struct ccz_pq_key_material *m)
{
    ccz_json_free(m->doc);
    *m = (struct ccz_pq_key_material){0};
}

/* A string of 1 .. max bytes without NUL; NULL if it is not that. */
static const char *text_of(const struct ccz_json *j, const char *name, size_t max)
{
    const char *s = ccz_json_str(ccz_json_get(j, name));
    size_t size = s ? strlen(s) : 0;
    return size && size <= max ? s : NULL;
}

static ccz_rc read_kms(struct ccz_pq_key_material *m, const struct ccz_json *j, struct ccz_err *err)
{
    if (!ccz_json_bool(&m->is_footer, ccz_json_get(j, "isFooterKey")))
        return bad(err, "isFooterKey is missing");
    if (!m->is_footer)
        return CCZ_OK;
    m->instance_id = text_of(j, "kmsInstanceID", CCZ_PQ_MASTER_KEY_SIZE_MAX);
    m->instance_url = text_of(j, "kmsInstanceURL", CCZ_PQ_WRAPPED_SIZE_MAX);
    return CCZ_OK;
}

static ccz_rc read_keys(struct ccz_pq_key_material *m, const struct ccz_json *j,
                        struct ccz_err *err)
{
    m->master_key = text_of(j, "masterKeyID", CCZ_PQ_MASTER_KEY_SIZE_MAX);
    const char *dek = text_of(j, "wrappedDEK", CCZ_PQ_WRAPPED_SIZE_MAX);
    if (!m->master_key || !dek)
        return bad(err, "masterKeyID or wrappedDEK is missing, empty or too long");
    m->wrapped = ccz_span_str(dek);
    if (!ccz_json_bool(&m->double_wrapped, ccz_json_get(j, "doubleWrapping")))
        return bad(err, "doubleWrapping is missing");
    if (!m->double_wrapped)
        return CCZ_OK;
    m->kek_id = text_of(j, "keyEncryptionKeyID", CCZ_PQ_MASTER_KEY_SIZE_MAX);
    const char *kek = text_of(j, "wrappedKEK", CCZ_PQ_WRAPPED_SIZE_MAX);
    if (!m->kek_id || !kek)
        return bad(err, "keyEncryptionKeyID or wrappedKEK is missing, empty or too long");
    m->wrapped_kek = ccz_span_str(kek);
    return CCZ_OK;
}

static ccz_rc read_fields(struct ccz_pq_key_material *m, bool in_file, struct ccz_err *err)
{
    const struct ccz_json *j = m->doc;
    const char *type = ccz_json_str(ccz_json_get(j, "keyMaterialType"));
    if (!type)
        return bad(err, "keyMaterialType is missing: not key material of a KMS");
    if (strcmp(type, "PKMT1") != 0)
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "parquet:key-material", "another type", "PKMT1");
    bool internal = true;
    if (in_file && !ccz_json_bool(&internal, ccz_json_get(j, "internalStorage")))
        return bad(err, "internalStorage is missing");
    if (!internal) {
        m->external = true;
        m->reference = text_of(j, "keyReference", CCZ_PQ_MASTER_KEY_SIZE_MAX);
        return m->reference ? CCZ_OK : bad(err, "keyReference is missing, empty or too long");
    }
    ccz_rc rc = read_kms(m, j, err);
    return rc == CCZ_OK ? read_keys(m, j, err) : rc;
}

static ccz_rc material_read(struct ccz_pq_key_material *out, struct ccz_span text, bool in_file,
                            struct ccz_err *err)
{
    struct ccz_pq_key_material m = {0};
    *out = m;
    if (text.size > CCZ_PQ_KEY_METADATA_SIZE_MAX)
        return bad(err, "too long");
    ccz_rc rc = ccz_json_parse(&m.doc, text, NULL);
    if (rc != CCZ_OK)
        return rc == CCZ_E_NOMEM ? ccz_fail(err, rc, "parquet:key-material", 0, "out of memory")
                                 : bad(err, "no JSON: not key material of a KMS");
    rc = read_fields(&m, in_file, err);
    if (rc != CCZ_OK) {
        ccz_pq_key_material_deinit(&m);
        return rc;
    }
    *out = m;
    return CCZ_OK;
}

ccz_rc ccz_pq_key_material_read(struct ccz_pq_key_material *out, struct ccz_span metadata,
                                struct ccz_err *err)
{
    return material_read(out, metadata, true, err);
}

ccz_rc cczi_pq_material_read_external(struct ccz_pq_key_material *out, struct ccz_span text,
                                      struct ccz_err *err)
{
    return material_read(out, text, false, err);
}

static void put_text(struct ccz_buf *out, const char *name, struct ccz_span value)
{
    ccz_buf_printf(out, ",\"%s\":", name);
    ccz_json_put_str(out, value);
}

void cczi_pq_material_put(struct ccz_buf *out, const struct ccz_pq_key_material *m)
{
    ccz_buf_printf(out,
                   "{\"keyMaterialType\":\"PKMT1\",\"internalStorage\":true,\"isFooterKey\":%s",
                   m->is_footer ? "true" : "false");
    if (m->is_footer) {
        put_text(out, "kmsInstanceID", ccz_span_str(m->instance_id));
        put_text(out, "kmsInstanceURL", ccz_span_str(m->instance_url));
    }
    put_text(out, "masterKeyID", ccz_span_str(m->master_key));
    put_text(out, "wrappedDEK", m->wrapped);
    ccz_buf_printf(out, ",\"doubleWrapping\":%s", m->double_wrapped ? "true" : "false");
    if (m->double_wrapped) {
        put_text(out, "keyEncryptionKeyID", ccz_span_str(m->kek_id));
        put_text(out, "wrappedKEK", m->wrapped_kek);
    }
    ccz_buf_put_str(out, "}");
}

void ccz_pq_key_material_path(struct ccz_buf *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t dir = slash ? (size_t)(slash - path) + 1 : 0;
    ccz_buf_put(out, path, dir);
    ccz_buf_printf(out, "_KEY_MATERIAL_FOR_%s.json", path + dir);
}
