/* SPDX-License-Identifier: Apache-2.0 */
/* Wire format held to the same schema. No recursion: messages that are open are a stack. */
#include "codec/codec_priv.h"
#include "codec/textpb_priv.h"

#include <stdio.h>
#include <string.h>

struct level {
    const struct ccz_textpb_message *m;
    struct ccz_rd rd;
    const char *name; /* of the field that it is; NULL: the whole message */
    uint64_t seen, oneofs;
};
struct check {
    struct level stack[CCZ_TEXTPB_DEPTH_MAX];
    size_t depth;
    struct ccz_err *err;
};

static ccz_rc refuse(const struct check *c, ccz_rc rc, const char *where, uint32_t number,
                     const char *field, const char *what)
{
    char path[120] = "";
    for (size_t i = 1, n = 0; i < c->depth && n < sizeof(path); i++, n = strlen(path))
        (void)snprintf(path + n, sizeof(path) - n, "%s.", c->stack[i].name);
    return ccz_fail(c->err, rc, where, number, "%s.%s%s: %s", c->stack[0].m->name, path, field,
                    what);
}

static bool is_number(enum ccz_textpb_kind k)
{
    return k != CCZ_TEXTPB_STRING && k != CCZ_TEXTPB_MESSAGE && k != CCZ_TEXTPB_IGNORED;
}

static enum ccz_pb_wire wire_of(enum ccz_textpb_kind k)
{
    if (k == CCZ_TEXTPB_DOUBLE)
        return CCZ_PB_I64;
    return is_number(k) ? CCZ_PB_VARINT : CCZ_PB_LEN;
}

static bool in_range(const struct ccz_textpb_field *d, uint64_t v)
{
    const int64_t i = (int64_t)v;
    switch (d->kind) {
    case CCZ_TEXTPB_BOOL:
        return v <= 1;
    case CCZ_TEXTPB_INT32:
        return i >= INT32_MIN && i <= INT32_MAX;
    case CCZ_TEXTPB_UINT32:
        return v <= UINT32_MAX;
    case CCZ_TEXTPB_ENUM:
        for (const struct ccz_textpb_value *e = d->values; e->name; e++)
            if (e->number == i)
                return true;
        return false;
    default:
        return true;
    }
}

static ccz_rc number(const struct check *c, const struct ccz_textpb_field *d, uint64_t v)
{
    if (in_range(d, v))
        return CCZ_OK;
    char what[64];
    (void)snprintf(what, sizeof(what), "got %lld, which its type has not", (long long)v);
    return refuse(c, CCZ_E_LIMIT, "textpb:range", d->number, d->name, what);
}

/* Numbers one behind the other, without tags. */
static ccz_rc packed(const struct check *c, const struct ccz_textpb_field *d, struct ccz_span bytes)
{
    struct ccz_rd r = ccz_rd_from(bytes);
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && r.left > 0 && !r.bad) {
        const uint64_t v = d->kind == CCZ_TEXTPB_DOUBLE ? ccz_rd_le64(&r) : ccz_pb_varint(&r);
        rc = r.bad ? refuse(c, CCZ_E_FORMAT, "textpb:wire", d->number, d->name, "malformed numbers")
                   : number(c, d, v);
    }
    return rc;
}

static ccz_rc find(const struct ccz_textpb_field **out, const struct check *c, struct level *l,
                   uint32_t field)
{
    char text[32];
    size_t i = 0;
    *out = NULL;
    while (i < l->m->len && l->m->fields[i].number != field)
        i++;
    (void)snprintf(text, sizeof(text), "%u", field);
    if (i == l->m->len) {
        char what[96];
        (void)snprintf(what, sizeof(what), "got an unknown field, expected one of %s", l->m->name);
        return refuse(c, CCZ_E_FORMAT, "textpb:field", field, text, what);
    }
    const struct ccz_textpb_field *d = &l->m->fields[i];
    const uint64_t oneof = d->oneof ? (uint64_t)1 << d->oneof : 0;
    if (!d->repeated && (l->seen >> i & 1))
        return refuse(c, CCZ_E_FORMAT, "textpb:repeated", field, d->name,
                      "got it again, expected it once");
    if (l->oneofs & oneof)
        return refuse(c, CCZ_E_FORMAT, "textpb:oneof", field, d->name,
                      "got a second field of its group, expected one");
    l->seen |= (uint64_t)1 << i;
    l->oneofs |= oneof;
    *out = d;
    return CCZ_OK;
}

static ccz_rc field(struct check *c, struct level *l, const struct ccz_pb_field *f)
{
    const struct ccz_textpb_field *d;
    ccz_rc rc = find(&d, c, l, f->number);
    if (rc != CCZ_OK || d->kind == CCZ_TEXTPB_IGNORED)
        return rc;
    if (d->repeated && is_number(d->kind) && f->wire == CCZ_PB_LEN)
        return packed(c, d, f->bytes);
    if (f->wire != wire_of(d->kind))
        return refuse(c, CCZ_E_FORMAT, "textpb:value", f->number, d->name,
                      "got another wire type than that of its type");
    if (is_number(d->kind))
        return number(c, d, f->num);
    if (d->kind == CCZ_TEXTPB_STRING)
        return ccz_utf8_ok(f->bytes) ? CCZ_OK
                                     : refuse(c, CCZ_E_FORMAT, "textpb:string", f->number, d->name,
                                              "got other bytes, expected UTF-8");
    if (c->depth == CCZ_TEXTPB_DEPTH_MAX)
        return refuse(c, CCZ_E_LIMIT, "textpb:depth", f->number, d->name,
                      "more than 32 messages inside each other");
    c->stack[c->depth++] =
        (struct level){.m = d->message, .rd = ccz_rd_from(f->bytes), .name = d->name};
    return CCZ_OK;
}

ccz_rc ccz_textpb_check(struct ccz_span wire, const struct ccz_textpb_message *schema,
                        struct ccz_err *err)
{
    struct check c = {.stack = {{.m = schema, .rd = ccz_rd_from(wire)}}, .depth = 1, .err = err};
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && c.depth > 0) {
        struct ccz_pb_field f;
        struct level *l = &c.stack[c.depth - 1];
        if (ccz_pb_next(&f, &l->rd))
            rc = field(&c, l, &f);
        else if (l->rd.bad)
            rc = refuse(&c, CCZ_E_FORMAT, "textpb:wire", f.number, "", "malformed field");
        else
            c.depth--;
    }
    return rc;
}
