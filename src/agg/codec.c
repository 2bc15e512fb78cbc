/* SPDX-License-Identifier: Apache-2.0 */
/* What encodings look like: names, parameters, sizes. */
#include "agg_priv.h"

static const char *const names[CCZ_AGG_CODECS] = {"f32", "f16", "bf16", "int8", "topk"};

const char *ccz_agg_codec_name(enum ccz_agg_codec_kind kind)
{
    return names[kind];
}

enum ccz_agg_codec_kind ccz_agg_codec_from(const char *name)
{
    int i = 0;
    while (i < CCZ_AGG_CODECS && strcmp(name, names[i]) != 0)
        i++;
    return (enum ccz_agg_codec_kind)i;
}

size_t cczi_agg_elem_size(enum ccz_agg_codec_kind kind)
{
    static const uint8_t sizes[CCZ_AGG_CODECS] = {4, 2, 2, 1, 0};
    return sizes[kind];
}

ccz_rc ccz_agg_codec_size(uint64_t *size, const struct ccz_agg_codec *c, size_t len,
                          struct ccz_err *err)
{
    *size = 0;
    if ((unsigned)c->kind >= CCZ_AGG_CODECS)
        return ccz_refuse_num(err, CCZ_E_ARG, "agg:codec-kind", c->kind, CCZ_AGG_CODECS - 1);
    if (len > CCZ_AGG_LEN_MAX)
        return cczi_agg_refuse_len(err, len);
    uint64_t n = len, block = c->block ? c->block : CCZ_AGG_BLOCK_DEFAULT;
    if (c->kind == CCZ_AGG_INT8 && (block % 32 != 0 || block > CCZ_AGG_BLOCK_MAX))
        return ccz_refuse_num(err, CCZ_E_ARG, "agg:codec-block", (int64_t)block, CCZ_AGG_BLOCK_MAX);
    if (c->kind == CCZ_AGG_TOPK && (c->topk < 1 || c->topk > n))
        return ccz_refuse_num(err, CCZ_E_ARG, "agg:codec-topk", (int64_t)c->topk, (int64_t)n);
    if (c->kind == CCZ_AGG_TOPK)
        *size = (n + CCZI_AGG_TOPK_BLOCK - 1) / CCZI_AGG_TOPK_BLOCK * CCZI_AGG_TOPK_HEAD +
                c->topk * CCZI_AGG_TOPK_ENTRY;
    else
        *size = n * cczi_agg_elem_size(c->kind) +
                (c->kind == CCZ_AGG_INT8 ? (n + block - 1) / block * 4 : 0);
    return CCZ_OK;
}
