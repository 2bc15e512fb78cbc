/* SPDX-License-Identifier: Apache-2.0 */
/* A FileDescriptorSet into a pool that knows the standard services: all of it or nothing, and everything in the
 * index is found and points into a file. */
#include "rpc/desc.h"

#include <stdlib.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void check(const struct cczi_desc_pool *p)
{
    size_t files = cczi_desc_files_len(p);
    for (size_t i = 0; i < CCZI_DESC_LEN(p->symbols, struct cczi_desc_symbol); i++) {
        const struct cczi_desc_symbol *s = &CCZI_DESC_AT(p->symbols, struct cczi_desc_symbol)[i];
        expect(s->file < files && cczi_desc_by_symbol(p, s->name) == s);
    }
    for (size_t i = 0; i < CCZI_DESC_LEN(p->exts, struct cczi_desc_ext); i++) {
        const struct cczi_desc_ext *x = &CCZI_DESC_AT(p->exts, struct cczi_desc_ext)[i];
        expect(cczi_desc_by_extension(p, x->type, x->number) == (ptrdiff_t)x->file &&
               x->file < files);
    }
    for (size_t i = 0; i < files; i++) {
        const struct cczi_desc_file *f = cczi_desc_file(p, i);
        expect(cczi_desc_by_file(p, f->name) == (ptrdiff_t)i);
        for (size_t k = 0; k < f->imports_len; k++)
            expect(CCZI_DESC_AT(p->imports, size_t)[f->imports_at + k] < i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cczi_desc_pool p;
    cczi_desc_init(&p, 1 << 20);
    expect(cczi_desc_add(&p, CCZ_SPAN(cczi_services_desc, cczi_services_desc_size), NULL) ==
           CCZ_OK);
    size_t symbols = p.symbols.size, before = p.size;
    if (cczi_desc_add(&p, CCZ_SPAN(data, size), NULL) != CCZ_OK)
        expect(cczi_desc_files_len(&p) == 3 && p.symbols.size == symbols && p.size == before);
    check(&p);
    cczi_desc_deinit(&p);
    return 0;
}
