/* SPDX-License-Identifier: Apache-2.0 */
/* Node 0: header, key derivation, metadata block. Also the one way to seal and open a node. */
#include "pf_priv.h"

#include <stdio.h>
#include <string.h>

static const char magic[] = "GRAFS_PF";

/* ------------------------------------------------------------------------------------- errors */

/* The end of a long name tells most. */
struct cczi_pf_name cczi_pf_name(const struct ccz_pf_cfg *cfg)
{
    const char *text = cfg->name ? cfg->name : cfg->path ? cfg->path : "file";
    size_t size = strlen(text), keep = size < PF_NAME_SIZE ? size : PF_NAME_SIZE;
    char plain[4 * PF_NAME_SIZE + 1];
    ccz_escape(plain, sizeof(plain), CCZ_SPAN(text + size - keep, keep));

    struct cczi_pf_name name;
    size_t plain_size = strlen(plain);
    if (size == keep && plain_size < PF_NAME_SIZE)
        memcpy(name.text, plain, plain_size + 1);
    else
        (void)snprintf(name.text, sizeof(name.text), "...%s",
                       plain + plain_size - (PF_NAME_SIZE - 4));
    return name;
}

ccz_rc cczi_pf_refuse(struct ccz_err *err, ccz_rc rc, const char *where,
                      const struct cczi_pf_name *name, uint64_t node, const char *expected,
                      const char *fmt, ...)
{
    if (!err)
        return rc;
    char what[CCZ_ERR_VALUE_SIZE - PF_NAME_SIZE], got[CCZ_ERR_VALUE_SIZE];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    (void)snprintf(got, sizeof(got), "%s %s", name->text, what);
    ccz_refuse(err, rc, where, got, expected);
    err->aux = (int64_t)node;
    return rc;
}

ccz_rc cczi_pf_refuse_type(struct ccz_err *err, const char *path, const char *what,
                           const char *expected)
{
    struct cczi_pf_name name = cczi_pf_name(&(struct ccz_pf_cfg){.name = path});
    return cczi_pf_refuse(err, CCZ_E_UNSUPPORTED, "pf:file-type", &name, 0, expected, "%s", what);
}

ccz_rc cczi_pf_io_fail(struct ccz_err *err, ccz_rc rc, const struct cczi_pf_name *name)
{
    if (err) {
        char said[CCZ_ERR_MSG_SIZE - PF_NAME_SIZE - 2];
        (void)snprintf(said, sizeof(said), "%.*s", (int)sizeof(said) - 1, err->msg);
        (void)snprintf(err->msg, sizeof(err->msg), "%s: %s", name->text, said);
    }
    return rc;
}

/* --------------------------------------------------------------------------------------- keys */

ccz_rc cczi_pf_key_check(const struct ccz_secret *key, struct ccz_err *err)
{
    if (ccz_secret_size(key) != CCZ_PF_KEY_SIZE)
        return ccz_refuse_num(err, CCZ_E_ARG, "pf:key-size", (int64_t)ccz_secret_size(key),
                              CCZ_PF_KEY_SIZE);
    return CCZ_OK;
}

ccz_rc ccz_pf_key_generate(struct ccz_secret **out, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    ccz_rc rc = ccz_secret_new(&key, CCZ_PF_KEY_SIZE);
    if (rc == CCZ_OK)
        rc = ccz_random(ccz_secret_bytes(key), CCZ_PF_KEY_SIZE);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "pf:keygen", 0, "%s", ccz_rc_str(rc));
    *out = ccz_secret_take(&key);
    return CCZ_OK;
}

ccz_rc ccz_pf_key_load(struct ccz_secret **out, const char *path, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    /* room for a key in hex, so that this common mistake is named as a wrong size */
    ccz_rc rc = ccz_file_read_secret(&key, path, 256, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_secret_size(key) != CCZ_PF_KEY_SIZE) {
        ccz_refuse_num(err, CCZ_E_FORMAT, "pf:key-size", (int64_t)ccz_secret_size(key),
                       CCZ_PF_KEY_SIZE);
        return ccz_hint(err, CCZ_E_FORMAT,
                        "a key file is 16 raw bytes, not hex and without a newline");
    }
    *out = ccz_secret_take(&key);
    return CCZ_OK;
}

ccz_rc ccz_pf_key_save(const struct ccz_secret *key, const char *path, struct ccz_err *err)
{
    ccz_rc rc = cczi_pf_key_check(key, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span bytes = CCZ_SPAN(ccz_secret_view(key), CCZ_PF_KEY_SIZE);
    return ccz_file_write(path, bytes, 0600, CCZ_FILE_CREATE_ONLY, err);
}

/* Key of the metadata block: NIST SP 800-108, counter mode, one block of AES-128-CMAC(KDK, .) over
 * le32 counter | label, zero padded to 64 bytes | nonce | le32 output bits. */
static ccz_rc derive(uint8_t out[16], const uint8_t key[CCZ_PF_KEY_SIZE],
                     const uint8_t nonce[PF_NONCE_SIZE])
{
    static const char label[64] = "SGX-PROTECTED-FS-METADATA-KEY";
    uint8_t m[4 + sizeof(label) + PF_NONCE_SIZE + 4] = {1};
    memcpy(m + 4, label, sizeof(label));
    memcpy(m + 4 + sizeof(label), nonce, PF_NONCE_SIZE);
    m[sizeof(m) - 4] = 128;
    return ccz_aes_cmac(out, key, CCZ_SPAN(m, sizeof(m)));
}

/* --------------------------------------------------------------------------------------- nodes */

static const uint8_t zero_nonce[CCZ_AEAD_NONCE_SIZE];

ccz_rc cczi_pf_node_seal(struct ccz_aead *aead, uint8_t out[PF_NODE_SIZE],
                         struct cczi_pf_entry *entry, const uint8_t in[PF_NODE_SIZE])
{
    return ccz_aead_seal(aead, out, entry->tag, entry->key, zero_nonce, (struct ccz_span){0},
                         CCZ_SPAN(in, PF_NODE_SIZE));
}

ccz_rc cczi_pf_node_open(struct ccz_aead *aead, uint8_t node[PF_NODE_SIZE],
                         const struct cczi_pf_entry *entry)
{
    return ccz_aead_open(aead, node, entry->tag, entry->key, zero_nonce, (struct ccz_span){0},
                         CCZ_SPAN(node, PF_NODE_SIZE));
}

/* ------------------------------------------------------------------------------------- opening */

struct header {
    uint8_t major, minor, flags;
    struct ccz_span magic, nonce, tag, body, padding;
};

static struct header parse_header(const uint8_t node[PF_NODE_SIZE])
{
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(node, PF_NODE_SIZE));
    struct header h = {0};
    h.magic = ccz_rd_take(&r, sizeof(magic) - 1);
    h.major = ccz_rd_u8(&r);
    h.minor = ccz_rd_u8(&r);
    h.nonce = ccz_rd_take(&r, PF_NONCE_SIZE);
    h.tag = ccz_rd_take(&r, PF_TAG_SIZE);
    h.flags = h.major >= 2 ? ccz_rd_u8(&r) : 0;
    h.body = ccz_rd_take(&r, PF_META_SIZE);
    h.padding = ccz_rd_take(&r, r.left);
    return h;
}

/* Judges the fields that no tag covers: each has one good value, and anything else is a change. */
static ccz_rc check_header(const struct header *h, const struct cczi_pf_name *name,
                           struct ccz_err *err)
{
    if (!ccz_span_eq(h->magic, ccz_span_str(magic))) {
        char got[2 * sizeof(magic)];
        ccz_hex(got, h->magic.ptr, h->magic.size);
        cczi_pf_refuse(err, CCZ_E_FORMAT, "pf:magic", name, 0, "GRAFS_PF (47524146535f5046)",
                       "starts with %s", got);
        return ccz_hint(err, CCZ_E_FORMAT, "this is not a protected file");
    }
    if (h->major != 1 && h->major != 2)
        return cczi_pf_refuse(err, CCZ_E_UNSUPPORTED, "pf:version", name, 0, "version 1 or 2",
                              "version %u", h->major);
    if (h->minor != 0)
        return cczi_pf_refuse(err, CCZ_E_UNSUPPORTED, "pf:minor", name, 0, "minor version 0",
                              "minor version %u", h->minor);
    if (h->flags == 1) {
        cczi_pf_refuse(err, CCZ_E_FORMAT, "pf:pending-write", name, 0, "a file written to its end",
                       "is marked as caught inside a write");
        return ccz_hint(err, CCZ_E_FORMAT,
                        "restore a copy, or let Gramine (enable_recovery) recover it");
    }
    if (h->flags != 0)
        return cczi_pf_refuse(err, CCZ_E_UNSUPPORTED, "pf:feature-flags", name, 0,
                              "feature flags 0", "feature flags 0x%02x", h->flags);
    return CCZ_OK;
}

/* After the tag, which judges better what kind of change it was. */
static ccz_rc check_padding(const struct header *h, const struct cczi_pf_name *name,
                            struct ccz_err *err)
{
    for (size_t i = 0; i < h->padding.size; i++) {
        if (h->padding.ptr[i] != 0)
            return cczi_pf_refuse(err, CCZ_E_FORMAT, "pf:padding", name, 0,
                                  "zeros behind the metadata", "node 0 byte %zu is 0x%02x",
                                  PF_NODE_SIZE - h->padding.size + i, h->padding.ptr[i]);
    }
    return CCZ_OK;
}

/* The plaintext of the metadata block is authentic: only who has the key can have written it. */
static ccz_rc parse_meta(struct cczi_pf_meta *out, struct ccz_span plain,
                         const struct cczi_pf_name *name, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(plain);
    ccz_rd_copy(&r, out->path, PF_PATH_FIELD_SIZE);
    out->plain_size = ccz_rd_le64(&r);
    ccz_rd_copy(&r, out->root.key, sizeof(out->root.key));
    ccz_rd_copy(&r, out->root.tag, sizeof(out->root.tag));
    ccz_rd_copy(&r, out->head, PF_HEAD_SIZE);
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_INTERNAL, "pf:metadata", 0, "metadata layout");
    if (!memchr(out->path, 0, PF_PATH_FIELD_SIZE))
        return cczi_pf_refuse(err, CCZ_E_FORMAT, "pf:path-field", name, 0,
                              "a path that ends in NUL", "bound path does not end");
    if (out->plain_size > CCZ_PF_SIZE_MAX)
        return cczi_pf_refuse(err, CCZ_E_LIMIT, "pf:plain-size", name, 0, "at most 2^60 bytes",
                              "has %llu bytes", (unsigned long long)out->plain_size);
    return CCZ_OK;
}

static ccz_rc open_body(uint8_t plain[PF_META_SIZE], struct ccz_aead *aead, const struct header *h,
                        const struct ccz_secret *key, const struct cczi_pf_name *name,
                        struct ccz_err *err)
{
    uint8_t meta_key[16];
    ccz_rc rc = derive(meta_key, ccz_secret_view(key), h->nonce.ptr);
    if (rc == CCZ_OK)
        rc = ccz_aead_open(aead, plain, h->tag.ptr, meta_key, zero_nonce, (struct ccz_span){0},
                           h->body);
    ccz_wipe(meta_key, sizeof(meta_key));
    if (rc == CCZ_E_SIG) {
        cczi_pf_refuse(err, rc, "pf:metadata", name, 0, "the tag made with this key",
                       "node 0 (metadata): tag mismatch");
        return ccz_hint(err, rc, "the key is not the one of this file, or node 0 was changed");
    }
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "pf:crypto", 0, "%s", ccz_rc_str(rc));
    return CCZ_OK;
}

ccz_rc cczi_pf_meta_open(struct cczi_pf_meta *out, struct ccz_aead *aead,
                         const uint8_t node[PF_NODE_SIZE], const struct ccz_secret *key,
                         const struct cczi_pf_name *name, struct ccz_err *err)
{
    memset(out, 0, sizeof(*out));
    struct header h = parse_header(node);
    ccz_rc rc = check_header(&h, name, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t plain[PF_META_SIZE];
    rc = open_body(plain, aead, &h, key, name, err);
    if (rc == CCZ_OK)
        rc = check_padding(&h, name, err);
    if (rc == CCZ_OK)
        rc = parse_meta(out, CCZ_SPAN(plain, sizeof(plain)), name, err);
    ccz_wipe(plain, sizeof(plain));
    if (rc == CCZ_OK)
        out->version = h.major;
    else
        ccz_wipe(out, sizeof(*out));
    return rc;
}

/* ------------------------------------------------------------------------------------- sealing */

ccz_rc cczi_pf_meta_seal(uint8_t node[PF_NODE_SIZE], struct ccz_aead *aead,
                         const struct cczi_pf_meta *meta, const uint8_t key[CCZ_PF_KEY_SIZE])
{
    uint8_t plain[PF_META_SIZE], meta_key[16];
    uint8_t *p = plain;
    memcpy(p, meta->path, PF_PATH_FIELD_SIZE);
    p += PF_PATH_FIELD_SIZE;
    for (int i = 0; i < 8; i++)
        *p++ = (uint8_t)(meta->plain_size >> 8 * i);
    memcpy(p, meta->root.key, sizeof(meta->root.key));
    p += sizeof(meta->root.key);
    memcpy(p, meta->root.tag, sizeof(meta->root.tag));
    p += sizeof(meta->root.tag);
    memcpy(p, meta->head, PF_HEAD_SIZE);

    memset(node, 0, PF_NODE_SIZE);
    uint8_t *nonce = node + 10, *tag = nonce + PF_NONCE_SIZE;
    uint8_t *body = tag + PF_TAG_SIZE + (meta->version >= 2); /* flags in between */
    memcpy(node, magic, sizeof(magic) - 1);
    node[8] = meta->version;
    ccz_rc rc = ccz_random(nonce, PF_NONCE_SIZE);
    if (rc == CCZ_OK)
        rc = derive(meta_key, key, nonce);
    if (rc == CCZ_OK)
        rc = ccz_aead_seal(aead, body, tag, meta_key, zero_nonce, (struct ccz_span){0},
                           CCZ_SPAN(plain, sizeof(plain)));
    ccz_wipe(plain, sizeof(plain));
    ccz_wipe(meta_key, sizeof(meta_key));
    return rc;
}
