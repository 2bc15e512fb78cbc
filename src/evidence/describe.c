/* SPDX-License-Identifier: Apache-2.0 */
/* The order of the groups, and the ways to put out a field. */
#include "evidence_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

static void put(const struct cczi_out *o, struct ccz_field f)
{
    f.group = o->group;
    o->fn(o->arg, &f);
}

void cczi_put_bytes(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    put(o, (struct ccz_field){.name = name, .kind = CCZ_FIELD_BYTES, .bytes = v});
}

void cczi_put_number(const struct cczi_out *o, const char *name, uint64_t v, const char *meaning)
{
    put(o, (struct ccz_field){
               .name = name, .kind = CCZ_FIELD_NUMBER, .number = (int64_t)v, .text = meaning});
}

void cczi_put_text(const struct cczi_out *o, const char *name, const char *v)
{
    put(o, (struct ccz_field){.name = name, .kind = CCZ_FIELD_TEXT, .text = v});
}

void cczi_put_bool(const struct cczi_out *o, const char *name, bool v)
{
    put(o, (struct ccz_field){.name = name, .kind = CCZ_FIELD_BOOL, .number = v});
}

void cczi_put_time(const struct cczi_out *o, const char *name, int64_t v)
{
    put(o, (struct ccz_field){.name = name, .kind = CCZ_FIELD_TIME, .number = v});
}

void cczi_put_bits(const struct cczi_out *o, const char *name, uint64_t v,
                   const struct cczi_bit *bits)
{
    const char *names[64];
    char unnamed[64][8];
    size_t len = 0;
    for (unsigned i = 0; i < 64; i++) {
        if (!(v >> i & 1))
            continue;
        const struct cczi_bit *b = bits;
        while (b->name && b->bit != i)
            b++;
        if (!b->name)
            (void)snprintf(unnamed[i], sizeof(unnamed[i]), "bit %u", i);
        names[len++] = b->name ? b->name : unnamed[i];
    }
    put(o, (struct ccz_field){
               .name = name, .kind = CCZ_FIELD_NAMES, .names = names, .names_len = len});
}

void cczi_put_le(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    uint64_t n = 0;
    for (size_t i = v.size; i > 0; i--)
        n = n << 8 | v.ptr[i - 1];
    cczi_put_number(o, name, n, NULL);
}

void cczi_put_reserved(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    for (size_t i = 0; i < v.size; i++) {
        if (v.ptr[i] != 0) {
            cczi_put_bytes(o, name, v);
            return;
        }
    }
}

void cczi_put_rows(const struct cczi_out *o, struct ccz_rd *r, const struct cczi_row *rows,
                   size_t len)
{
    for (size_t i = 0; i < len; i++) {
        struct ccz_span v = ccz_rd_take(r, rows[i].size);
        if (r->bad)
            return;
        if (rows[i].put)
            rows[i].put(o, rows[i].name, v);
    }
}

ccz_rc ccz_evidence_describe(const struct ccz_evidence *e, ccz_field_fn fn, void *arg,
                             struct ccz_err *err)
{
    struct cczi_out o = {.fn = fn, .arg = arg, .group = "file"};
    struct ccz_span bytes = ccz_evidence_bytes(e);
    enum ccz_evidence_kind kind = ccz_evidence_kind(e);
    cczi_put_text(&o, "encoding", e->encoding);
    cczi_put_text(&o, "container", e->cert ? "certificate" : "none");
    cczi_put_text(&o, "evidence", ccz_evidence_kind_name(kind));
    cczi_put_number(&o, "evidence_size", bytes.size, NULL);
    ccz_rc rc = e->cert ? cczi_describe_ratls(&o, e, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    switch (kind) {
    case CCZ_EVIDENCE_QUOTE:
        return cczi_describe_quote(&o, bytes, err);
    case CCZ_EVIDENCE_SNP_REPORT:
        return cczi_describe_snp(&o, bytes, err);
    case CCZ_EVIDENCE_NONE:
        break;
    }
    return ccz_refuse_bytes(err, CCZ_E_UNSUPPORTED, "evidence:kind", bytes.ptr,
                            bytes.size < 4 ? bytes.size : 4, NULL, 0);
}
