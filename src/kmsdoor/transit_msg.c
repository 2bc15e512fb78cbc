/* SPDX-License-Identifier: Apache-2.0 */
/* JSON of Vault's transit engine to and from messages of the KMS. One table per operation says all there is. */
#include "json.h"
#include "transit.h"

#include "kms/kms_keys.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>
#include <cczoo/net.h>

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------- requests */

enum kind {
    BASE64,     /* bytes */
    CIPHERTEXT, /* "vault:v3:..." -> "ccz1:3:..." */
    TEXT,
    KIND, /* "aes256-gcm96" -> "aes-256-gcm" */
    UINT,
    BOOL,
    DURATION, /* seconds, or "720h" */
    NEUTRAL,  /* only as if it were absent: "", 0, false, null, {}, [] */
    IGNORED   /* says nothing about what is done */
};
struct member {
    const char *name;
    enum kind kind;
    uint32_t number; /* of the field in the KMS's message */
    bool required;
};
enum { KEY_FIELD = 1, MEMBERS_MAX = 16 };

/* Of every use of a key. */
#define ASKED_OF_KEYS                                                                              \
    {"context", NEUTRAL, 0, false}, {"nonce", NEUTRAL, 0, false},                                  \
        {"batch_input", NEUTRAL, 0, false},                                                        \
    {                                                                                              \
        "partial_failure_response_code", IGNORED, 0, false                                         \
    }

static const struct member members[CCZI_TRANSIT_OPS][MEMBERS_MAX] = {
    [CCZI_TRANSIT_ENCRYPT] = {{"plaintext", BASE64, 4, true},
                              {"associated_data", BASE64, 3, false},
                              {"key_version", UINT, 2, false},
                              {"type", IGNORED, 0, false}, /* of a key that Vault would make now */
                              {"convergent_encryption", NEUTRAL, 0, false},
                              ASKED_OF_KEYS},
    [CCZI_TRANSIT_DECRYPT] = {{"ciphertext", CIPHERTEXT, 5, true},
                              {"associated_data", BASE64, 3, false},
                              ASKED_OF_KEYS},
    [CCZI_TRANSIT_REWRAP] = {{"ciphertext", CIPHERTEXT, 5, true},
                             {"associated_data", BASE64, 3, false},
                             {"key_version", UINT, 2, false},
                             ASKED_OF_KEYS},
    [CCZI_TRANSIT_CREATE] =
        {{"type", KIND, 2, false},
         {"exportable", BOOL, 5, false},
         {"auto_rotate_period", DURATION, 8, false},
         /* ours: what Vault's clients need, and who has evidence does without */
         {"unattested_insecure", BOOL, 6, false},
         {"policy", TEXT, 4, false},
         {"derived", NEUTRAL, 0, false},
         {"convergent_encryption", NEUTRAL, 0, false},
         {"allow_plaintext_backup", NEUTRAL, 0, false},
         {"key_size", NEUTRAL, 0, false}},
    [CCZI_TRANSIT_ROTATE] = {{"managed_key_name", NEUTRAL, 0, false},
                             {"managed_key_id", NEUTRAL, 0, false}},
};
static const char *const methods[CCZI_TRANSIT_OPS] = {
    [CCZI_TRANSIT_ENCRYPT] = "Encrypt", [CCZI_TRANSIT_DECRYPT] = "Decrypt",
    [CCZI_TRANSIT_REWRAP] = "Rewrap",   [CCZI_TRANSIT_CREATE] = "Generate",
    [CCZI_TRANSIT_ROTATE] = "Rotate",   [CCZI_TRANSIT_READ] = "KeyInfo"};

const char *cczi_transit_method(enum cczi_transit_op op)
{
    return methods[op];
}

static const struct {
    const char *vault, *ours;
} kinds[] = {
    {"aes256-gcm96", "aes-256-gcm"},
    {"aes128-gcm96", "aes-128-gcm"},
    {"chacha20-poly1305", "chacha20-poly1305"},
    {"hmac", "hmac-sha256"},
    {"ed25519", "ed25519"},
    {"ecdsa-p256", "ecdsa-p256"},
    {"ecdsa-p384", "ecdsa-p384"},
    {"rsa-2048", "rsa-2048"},
    {"rsa-3072", "rsa-3072"},
    {"rsa-4096", "rsa-4096"},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static ccz_rc refuse_type(struct ccz_err *err, const struct member *m, const char *want)
{
    return ccz_refuse(err, CCZ_E_FORMAT, "transit:type", m->name, want);
}

/* @param[out] room  as of cczi_json_str() */
static ccz_rc take_text(struct ccz_span *out, struct ccz_buf *room, const struct member *m,
                        const struct ccz_jnode *v, struct ccz_err *err)
{
    ccz_rc rc = cczi_json_str(out, room, v);
    if (rc == CCZ_E_NOMEM)
        return ccz_fail(err, rc, "transit:size", 0, "out of memory");
    return rc == CCZ_OK ? rc : refuse_type(err, m, "a string");
}

static ccz_rc put_base64(struct ccz_buf *out, const struct member *m, const struct ccz_jnode *v,
                         struct ccz_err *err)
{
    struct ccz_span text;
    CCZ_AUTO_BUF room;
    ccz_rc rc = take_text(&text, &room, m, v, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF bytes;
    ccz_buf_init(&bytes, text.size + 1);
    bytes.wipe = true;
    if (ccz_base64_get(&bytes, text, CCZ_BASE64_STD, NULL) != CCZ_OK)
        return ccz_refuse(err, CCZ_E_FORMAT, "transit:base64", m->name, "base64 with padding");
    ccz_pb_put_bytes(out, m->number, ccz_buf_span(&bytes));
    return CCZ_OK;
}

/* Digits to a number without sign and leading zero; the rest is left in *s. false = none, or too large */
static bool take_digits(uint64_t *v, struct ccz_span *s)
{
    size_t n = 0;
    for (*v = 0; n < s->size && s->ptr[n] >= '0' && s->ptr[n] <= '9' && *v <= UINT32_MAX; n++)
        *v = 10 * *v + (uint64_t)(s->ptr[n] - '0');
    bool ok = n > 0 && *v <= UINT32_MAX && (n == 1 || s->ptr[0] != '0');
    *s = ccz_span_sub(*s, n, s->size - n);
    return ok;
}

static ccz_rc put_ciphertext(struct ccz_buf *out, const struct member *m, const struct ccz_jnode *v,
                             struct ccz_err *err)
{
    static const char prefix[] = "vault:v";
    struct ccz_span text;
    CCZ_AUTO_BUF room;
    ccz_rc rc = take_text(&text, &room, m, v, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t version = 0;
    size_t n = sizeof(prefix) - 1;
    bool ok = ccz_span_eq(ccz_span_sub(text, 0, n), ccz_span_str(prefix));
    struct ccz_span rest = ccz_span_sub(text, n, text.size - (ok ? n : text.size));
    ok = ok && take_digits(&version, &rest) && version >= 1 && version <= CCZ_KMS_VERSIONS_MAX &&
         rest.size > 1 && rest.ptr[0] == ':';
    CCZ_AUTO_BUF bytes, ours;
    ccz_buf_init(&bytes, text.size + 1);
    ccz_buf_init(&ours, 2 * text.size + 32);
    if (!ok || ccz_base64_get(&bytes, ccz_span_sub(rest, 1, rest.size - 1), CCZ_BASE64_STD, NULL) !=
                   CCZ_OK)
        return ccz_refuse(err, CCZ_E_FORMAT, "transit:ciphertext", "something else",
                          "vault:v<version>:<base64>");
    cczi_kms_key_text_put(&ours, (uint32_t)version, ccz_buf_span(&bytes));
    ccz_pb_put_bytes(out, m->number, ccz_buf_span(&ours));
    return ours.bad ? ccz_fail(err, CCZ_E_NOMEM, "transit:size", 0, "out of memory") : CCZ_OK;
}

static ccz_rc put_uint(struct ccz_buf *out, const struct member *m, const struct ccz_jnode *v,
                       struct ccz_err *err)
{
    int64_t num;
    uint64_t n;
    struct ccz_span text = ccz_jnode_str(v);
    if (ccz_jnode_int(&num, v) && num >= 0 && num <= UINT32_MAX)
        n = (uint64_t)num;
    else if (!text.ptr || !take_digits(&n, &text) || text.size > 0)
        return refuse_type(err, m, "a number from 0 to 4294967295");
    if (n > 0)
        ccz_pb_put_uint(out, m->number, n);
    return CCZ_OK;
}

static ccz_rc put_bool(struct ccz_buf *out, const struct member *m, const struct ccz_jnode *v,
                       struct ccz_err *err)
{
    struct ccz_span text = ccz_jnode_str(v);
    if (!text.ptr)
        text = ccz_jnode_raw(v);
    bool yes = ccz_span_eq(text, ccz_span_str("true"));
    if (!yes && !ccz_span_eq(text, ccz_span_str("false")))
        return refuse_type(err, m, "true or false");
    if (yes)
        ccz_pb_put_uint(out, m->number, 1);
    return CCZ_OK;
}

static ccz_rc put_kind(struct ccz_buf *out, const struct member *m, const struct ccz_jnode *v,
                       struct ccz_err *err)
{
    struct ccz_span text;
    CCZ_AUTO_BUF room;
    ccz_rc rc = take_text(&text, &room, m, v, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < KINDS; i++) {
        if (ccz_span_eq(text, ccz_span_str(kinds[i].vault))) {
            ccz_pb_put_str(out, m->number, kinds[i].ours);
            return CCZ_OK;
        }
    }
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), text);
    return ccz_refuse(err, CCZ_E_UNSUPPORTED, "transit:kind", got, "aes256-gcm96, ...");
}

/* "720h", "3600", 3600: whole units, one of them. */
static ccz_rc put_duration(struct ccz_buf *out, const struct member *m, const struct ccz_jnode *v,
                           struct ccz_err *err)
{
    static const struct {
        const char *unit;
        uint64_t s;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    struct ccz_span text = ccz_jnode_str(v);
    if (!text.ptr && ccz_jnode_type(v) == CCZ_JSON_INT)
        text = ccz_jnode_raw(v);
    uint64_t n = 0;
    bool ok = text.ptr && take_digits(&n, &text);
    for (size_t i = 0; ok && i < sizeof(units) / sizeof(units[0]); i++) {
        if (!ccz_span_eq(text, ccz_span_str(units[i].unit)))
            continue;
        if (n > 0)
            ccz_pb_put_uint(out, m->number, n * units[i].s);
        return CCZ_OK;
    }
    return ccz_refuse(err, CCZ_E_FORMAT, "transit:duration", m->name,
                      "seconds, or a number and one of s, m, h, d");
}

static ccz_rc check_neutral(const struct member *m, const struct ccz_jnode *v, struct ccz_err *err)
{
    static const char *const nothing[] = {"\"\"", "0", "\"0\"", "false", "\"false\"", "{}", "[]"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
        if (ccz_span_eq(ccz_jnode_raw(v), ccz_span_str(nothing[i])))
            return CCZ_OK;
    ccz_fail(err, CCZ_E_UNSUPPORTED, "transit:unsupported", 0, "\"%s\" is not done here", m->name);
    return ccz_hint(err, CCZ_E_UNSUPPORTED,
                    "one text at a time, under keys that are neither derived nor convergent");
}

static ccz_rc put_text(struct ccz_buf *out, const struct member *m, const struct ccz_jnode *v,
                       struct ccz_err *err)
{
    struct ccz_span text;
    CCZ_AUTO_BUF room;
    ccz_rc rc = take_text(&text, &room, m, v, err);
    if (rc == CCZ_OK && text.size > 0)
        ccz_pb_put_bytes(out, m->number, text);
    return rc;
}

static ccz_rc put_member(struct ccz_buf *out, const struct member *m, const struct ccz_jnode *v,
                         struct ccz_err *err)
{
    switch (m->kind) {
    case BASE64:
        return put_base64(out, m, v, err);
    case CIPHERTEXT:
        return put_ciphertext(out, m, v, err);
    case UINT:
        return put_uint(out, m, v, err);
    case BOOL:
        return put_bool(out, m, v, err);
    case KIND:
        return put_kind(out, m, v, err);
    case DURATION:
        return put_duration(out, m, v, err);
    case NEUTRAL:
        return check_neutral(m, v, err);
    case TEXT:
        return put_text(out, m, v, err);
    case IGNORED:
        break;
    }
    return CCZ_OK;
}

static const struct member *find_member(enum cczi_transit_op op, struct ccz_span key)
{
    for (size_t i = 0; i < MEMBERS_MAX && members[op][i].name; i++)
        if (ccz_span_eq(key, ccz_span_str(members[op][i].name)))
            return &members[op][i];
    return NULL;
}

/* @param[out] seen  one bit per member */
static ccz_rc put_members(struct ccz_buf *out, uint32_t *seen, enum cczi_transit_op op,
                          const struct ccz_jnode *root, struct ccz_err *err)
{
    for (const struct ccz_jnode *v = ccz_jnode_first(root); v; v = ccz_jnode_next(v)) {
        const struct member *m = find_member(op, ccz_jnode_key(v));
        char got[CCZ_ERR_VALUE_SIZE];
        ccz_escape(got, sizeof(got), ccz_jnode_key(v));
        if (!m)
            return ccz_refuse(err, CCZ_E_FORMAT, "transit:member", got, "a member that is known");
        if (ccz_jnode_type(v) == CCZ_JSON_NULL)
            continue;
        *seen |= 1u << (m - members[op]);
        ccz_rc rc = put_member(out, m, v, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

static ccz_rc put_request(struct ccz_buf *out, enum cczi_transit_op op, const char *key,
                          const struct ccz_jnode *root, struct ccz_err *err)
{
    uint32_t seen = 0;
    ccz_pb_put_str(out, KEY_FIELD, key);
    ccz_rc rc = root ? put_members(out, &seen, op, root, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < MEMBERS_MAX && members[op][i].name; i++)
        if (members[op][i].required && !(seen & 1u << i))
            return ccz_refuse(err, CCZ_E_FORMAT, "transit:missing", "nothing", members[op][i].name);
    if (op == CCZI_TRANSIT_CREATE) { /* Vault's default, where "type" is the first member */
        if (!(seen & 1u))
            ccz_pb_put_str(out, members[op][0].number, kinds[0].ours);
    }
    return out->bad ? ccz_fail(err, CCZ_E_LIMIT, "transit:size", (int64_t)out->max_size,
                               "the request is too large")
                    : CCZ_OK;
}

ccz_rc cczi_transit_get(struct ccz_buf *out, enum cczi_transit_op op, const char *key,
                        struct ccz_span json, struct ccz_err *err)
{
    CCZ_AUTO(ccz_jdoc) doc = NULL;
    struct ccz_err why = {0};
    const struct ccz_jnode *root = NULL;
    size_t before = out->size;
    if (json.size > 0) {
        if (ccz_jdoc_parse(&doc, json, &why) != CCZ_OK)
            return ccz_fail(err, CCZ_E_FORMAT, "transit:json", why.aux, "%.150s", why.msg);
        root = ccz_jdoc_root(doc);
        if (ccz_jnode_type(root) != CCZ_JSON_OBJECT)
            return ccz_fail(err, CCZ_E_FORMAT, "transit:json", 0, "the body has to be an object");
    }
    ccz_rc rc = put_request(out, op, key, root, err);
    if (rc != CCZ_OK) {
        out->size = before;
        out->bad = false;
    }
    return rc;
}

/* ----------------------------------------------------------------------------------- keys */

ccz_rc cczi_transit_key(char out[CCZ_KMS_NAME_SIZE], const char *ns, const char *segment,
                        struct ccz_err *err)
{
    CCZ_AUTO_BUF name;
    ccz_buf_init(&name, CCZ_KMS_NAME_SIZE - 1);
    struct ccz_span s = ccz_span_str(ns ? ns : "");
    while (s.size > 0 && s.ptr[0] == '/')
        s = ccz_span_sub(s, 1, s.size - 1);
    while (s.size > 0 && s.ptr[s.size - 1] == '/')
        s = ccz_span_sub(s, 0, s.size - 1);
    for (size_t i = 0; i < s.size; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f)
            return ccz_fail(err, CCZ_E_FORMAT, "transit:namespace", (int64_t)i,
                            "a namespace is a name or a path of names");
    ccz_buf_put_span(&name, s);
    if (s.size > 0)
        ccz_buf_u8(&name, '/');
    size_t head = name.size;
    ccz_rc rc = name.bad ? CCZ_E_LIMIT : ccz_http_decode(&name, ccz_span_str(segment), NULL);
    bool one = rc == CCZ_OK && name.size > head;
    for (size_t i = head; one && i < name.size; i++)
        one = name.ptr[i] > ' ' && name.ptr[i] < 0x7f && name.ptr[i] != '/';
    if (!one)
        return ccz_fail(err, CCZ_E_FORMAT, "transit:key", (int64_t)name.size,
                        "the path has to end with the name of one key");
    memcpy(out, name.ptr, name.size);
    out[name.size] = 0;
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- answers */

static ccz_rc bad_response(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_INTERNAL, "transit:response", 0, "the KMS gave another answer");
}

ccz_rc cczi_transit_put_use(struct ccz_buf *json, enum cczi_transit_op op, struct ccz_span response,
                            struct ccz_err *err)
{
    enum { VALUE = 1, TEXT_OF_KMS = 2 };
    struct ccz_rd r = ccz_rd_from(response);
    struct ccz_pb_field f;
    struct ccz_span value = {0}, text = {0};
    while (ccz_pb_next(&f, &r)) {
        if (f.number == VALUE && f.wire == CCZ_PB_LEN)
            value = f.bytes;
        else if (f.number == TEXT_OF_KMS && f.wire == CCZ_PB_LEN)
            text = f.bytes;
    }
    if (r.bad)
        return bad_response(err);
    if (op == CCZI_TRANSIT_DECRYPT) { /* an empty text is one, too */
        ccz_buf_put_str(json, "{\"plaintext\":\"");
        ccz_base64_put(json, value, CCZ_BASE64_STD);
        ccz_buf_put_str(json, "\"}");
    } else {
        uint32_t version;
        CCZ_AUTO_BUF bytes;
        ccz_buf_init(&bytes, text.size + 1);
        if (cczi_kms_key_text_get(&version, &bytes, text, NULL) != CCZ_OK)
            return bad_response(err);
        ccz_buf_printf(json, "{\"ciphertext\":\"vault:v%u:", (unsigned)version);
        ccz_base64_put(json, ccz_buf_span(&bytes), CCZ_BASE64_STD);
        ccz_buf_printf(json, "\",\"key_version\":%u}", (unsigned)version);
    }
    return json->bad ? ccz_fail(err, CCZ_E_LIMIT, "transit:size", (int64_t)json->max_size,
                                "the answer is too large")
                     : CCZ_OK;
}

/* KeyInfoResponse of proto/kms.proto. */
enum {
    INFO_KIND = 2,
    INFO_OPS = 3,
    INFO_LATEST = 4,
    INFO_MIN_DECRYPT = 5,
    INFO_MIN_ENCRYPT = 6,
    INFO_EXPORTABLE = 7,
    INFO_IMPORTED = 8,
    INFO_PERIOD = 14,
    INFO_FIELDS = 16
};
struct info {
    uint64_t num[INFO_FIELDS];
    struct ccz_span kind, ops;
};

static bool take_info(struct info *out, struct ccz_span message)
{
    *out = (struct info){0};
    struct ccz_rd r = ccz_rd_from(message);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.wire == CCZ_PB_VARINT && f.number < INFO_FIELDS)
            out->num[f.number] = f.num;
        else if (f.wire == CCZ_PB_LEN && f.number == INFO_KIND)
            out->kind = f.bytes;
        else if (f.wire == CCZ_PB_LEN && f.number == INFO_OPS)
            out->ops = f.bytes;
    }
    return !r.bad && out->num[INFO_LATEST] > 0;
}

static bool has_op(const struct info *k, const char *op)
{
    size_t n = strlen(op);
    for (size_t i = 0; i + n <= k->ops.size; i++)
        if (memcmp(k->ops.ptr + i, op, n) == 0 && (i == 0 || k->ops.ptr[i - 1] == ',') &&
            (i + n == k->ops.size || k->ops.ptr[i + n] == ','))
            return true;
    return false;
}

/* One version of ListResponse.items: its number and time. */
static bool take_version(uint64_t *version, int64_t *created_s, struct ccz_span item)
{
    enum { ITEM_VERSION = 3, ITEM_CREATED = 4 };
    struct ccz_rd r = ccz_rd_from(item);
    struct ccz_pb_field f;
    *version = 0;
    *created_s = 0;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == ITEM_VERSION && f.wire == CCZ_PB_VARINT)
            *version = f.num;
        else if (f.number == ITEM_CREATED && f.wire == CCZ_PB_VARINT)
            *created_s = (int64_t)f.num;
    }
    return !r.bad && *version > 0;
}

/* Of symmetric keys the time of each version, of pairs an object with it. */
static bool put_versions(struct ccz_buf *json, struct ccz_span list, struct ccz_span kind,
                         bool pair)
{
    enum { LIST_ITEMS = 1 };
    struct ccz_rd r = ccz_rd_from(list);
    struct ccz_pb_field f;
    bool ok = true;
    uint64_t last = 0;
    ccz_buf_put_str(json, "\"keys\":{");
    while (ccz_pb_next(&f, &r)) {
        uint64_t version;
        int64_t created_s;
        char time[21];
        if (f.number != LIST_ITEMS || f.wire != CCZ_PB_LEN)
            continue;
        ok = take_version(&version, &created_s, f.bytes) && version > last;
        if (!ok) /* also one that is there twice, which would be two members of a name */
            break;
        ccz_buf_printf(json, "%s\"%llu\":", last ? "," : "", (unsigned long long)version);
        last = version;
        if (!pair) {
            ccz_buf_printf(json, "%lld", (long long)created_s);
            continue;
        }
        ccz_time_format(time, created_s);
        ccz_buf_printf(json, "{\"creation_time\":\"%s\",\"name\":", time);
        ccz_json_put_str(json, kind);
        ccz_buf_put_str(json, "}");
    }
    ccz_buf_put_str(json, "},");
    return ok && !r.bad;
}

static const char *truth(bool yes)
{
    return yes ? "true" : "false";
}

ccz_rc cczi_transit_put_key(struct ccz_buf *json, const struct cczi_transit_key_info *k,
                            struct ccz_err *err)
{
    struct info i;
    if (!take_info(&i, k->info))
        return bad_response(err);
    const char *type = NULL;
    for (size_t n = 0; n < KINDS; n++)
        if (ccz_span_eq(i.kind, ccz_span_str(kinds[n].ours)))
            type = kinds[n].vault;
    if (!type)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "transit:kind", 0,
                        "this key does nothing inside the KMS: it is released to workloads");
    bool pair = has_op(&i, "public-key");
    ccz_buf_put_str(json, "{\"name\":");
    ccz_json_put_str(json, ccz_span_str(k->name));
    ccz_buf_printf(json, ",\"type\":\"%s\",", type);
    if (!put_versions(json, k->versions, ccz_span_str(type), pair))
        return bad_response(err);
    ccz_buf_printf(
        json,
        "\"latest_version\":%llu,\"min_available_version\":0,\"min_decryption_version\":%llu,"
        "\"min_encryption_version\":%llu,\"auto_rotate_period\":%llu,\"exportable\":%s,"
        "\"imported_key\":%s,\"supports_encryption\":%s,\"supports_decryption\":%s,"
        "\"supports_signing\":%s,\"supports_derivation\":false,\"derived\":false,"
        "\"deletion_allowed\":false,\"allow_plaintext_backup\":false}",
        (unsigned long long)i.num[INFO_LATEST], (unsigned long long)i.num[INFO_MIN_DECRYPT],
        (unsigned long long)i.num[INFO_MIN_ENCRYPT], (unsigned long long)i.num[INFO_PERIOD],
        truth(i.num[INFO_EXPORTABLE]), truth(i.num[INFO_IMPORTED]), truth(has_op(&i, "encrypt")),
        truth(has_op(&i, "decrypt")), truth(has_op(&i, "sign")));
    return json->bad ? ccz_fail(err, CCZ_E_LIMIT, "transit:size", (int64_t)json->max_size,
                                "the answer is too large")
                     : CCZ_OK;
}

ccz_rc cczi_transit_put_envelope(struct ccz_buf *json, struct ccz_span data, struct ccz_err *err)
{
    uint8_t id[16];
    char hex[33];
    if (ccz_random(id, sizeof(id)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "transit:response", 0, "no random bytes");
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* RFC 9562, 5.4 */
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    ccz_hex(hex, id, sizeof(id));
    ccz_buf_printf(json,
                   "{\"request_id\":\"%.8s-%.4s-%.4s-%.4s-%.12s\",\"lease_id\":\"\","
                   "\"renewable\":false,\"lease_duration\":0,\"data\":",
                   hex, hex + 8, hex + 12, hex + 16, hex + 20);
    ccz_buf_put_span(json, data);
    ccz_buf_put_str(json, ",\"wrap_info\":null,\"warnings\":null,\"auth\":null}\n");
    return json->bad ? ccz_fail(err, CCZ_E_LIMIT, "transit:size", (int64_t)json->max_size,
                                "the answer is too large")
                     : CCZ_OK;
}

/* What Vault's clients know of: 403 for whoever may not, known or not; 400 for what the request brought along. */
unsigned cczi_transit_put_err_keys(struct ccz_buf *out, unsigned status, const struct ccz_err *err)
{
    static const char *const brought[] = {"kms:key-decrypt", "kms:key-text", "kms:exists",
                                          "kms:key-version"};
    if (status == 401)
        status = 403;
    for (size_t i = 0; i < sizeof(brought) / sizeof(brought[0]); i++)
        if (strcmp(err->where, brought[i]) == 0)
            status = 400;
    char text[CCZ_ERR_MSG_SIZE + 64];
    (void)snprintf(text, sizeof(text), "%s: %s", err->where, err->msg);
    ccz_buf_put_str(out, "{\"errors\":[");
    ccz_json_put_str(out, ccz_span_str(text));
    if (err->hint[0]) {
        (void)snprintf(text, sizeof(text), "hint: %s", err->hint);
        ccz_buf_put_str(out, ",");
        ccz_json_put_str(out, ccz_span_str(text));
    }
    ccz_buf_put_str(out, "]}\n");
    return status;
}

/* To Vault's clients a write that ends with 404 is one that went well and said nothing. */
unsigned cczi_transit_put_err(struct ccz_buf *out, unsigned status, const struct ccz_err *err)
{
    status = cczi_transit_put_err_keys(out, status, err);
    return status == 404 ? 400 : status;
}
