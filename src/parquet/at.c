/* SPDX-License-Identifier: Apache-2.0 */
/* How modules are called in errors; memory that is wiped. */
#include "parquet/format_priv.h"

#include <stdio.h>
#include <stdlib.h>

void cczi_pq_free(void *p, size_t size, bool wipe)
{
    if (p && wipe)
        ccz_wipe(p, size);
    free(p);
}

void *cczi_pq_resize(void *p, size_t from, size_t to, bool wipe)
{
    if (!wipe)
        return realloc(p, to);
    void *more = malloc(to);
    if (more && from > 0)
        memcpy(more, p, from < to ? from : to);
    if (more)
        cczi_pq_free(p, from, true);
    return more;
}

const char *cczi_pq_where(enum cczi_pq_module module)
{
    static const char *const where[CCZI_PQ_MODULES_LEN] = {
        [CCZI_PQ_FOOTER] = "parquet:footer",
        [CCZI_PQ_COLUMN_META] = "parquet:column-metadata",
        [CCZI_PQ_DATA_PAGE] = "parquet:data-page",
        [CCZI_PQ_DICT_PAGE] = "parquet:dictionary-page",
        [CCZI_PQ_DATA_PAGE_HEADER] = "parquet:data-page-header",
        [CCZI_PQ_DICT_PAGE_HEADER] = "parquet:dictionary-page-header",
        [CCZI_PQ_COLUMN_INDEX] = "parquet:column-index",
        [CCZI_PQ_OFFSET_INDEX] = "parquet:offset-index",
        [CCZI_PQ_BLOOM_HEADER] = "parquet:bloom-header",
        [CCZI_PQ_BLOOM_BITSET] = "parquet:bloom-bitset",
    };
    return where[module];
}

struct cczi_pq_at cczi_pq_at_footer(void)
{
    return (struct cczi_pq_at){.module = CCZI_PQ_FOOTER,
                               .row_group = -1,
                               .column = -1,
                               .page = -1,
                               .key = {.kind = CCZ_PQ_KEY_FOOTER, .path = ""}};
}

const char *cczi_pq_at_text(char out[CCZI_PQ_AT_SIZE], const struct cczi_pq_at *at)
{
    char path[64];
    size_t size = strlen(at->key.path);
    /* The tail of a long path tells more than its head. */
    const char *tail = size > 48 ? at->key.path + (size - 48) : at->key.path;
    ccz_escape(path, sizeof(path), ccz_span_str(tail));
    if (at->row_group < 0)
        snprintf(out, CCZI_PQ_AT_SIZE, "footer");
    else if (at->page < 0)
        snprintf(out, CCZI_PQ_AT_SIZE, "row group %d, column %s", (int)at->row_group, path);
    else
        snprintf(out, CCZI_PQ_AT_SIZE, "row group %d, column %s, page %d", (int)at->row_group, path,
                 (int)at->page);
    return out;
}

ccz_rc cczi_pq_fail(struct ccz_err *err, ccz_rc rc, const struct cczi_pq_at *at, const char *what)
{
    char place[CCZI_PQ_AT_SIZE];
    int64_t aux = at->page >= 0 ? at->page : at->row_group;
    return ccz_fail(err, rc, cczi_pq_where(at->module), aux, "%s: %s", cczi_pq_at_text(place, at),
                    what);
}
