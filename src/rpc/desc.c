/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads descriptors: google/protobuf/descriptor.proto, of which only names, imports and extensions matter here.
 * Messages nest; the nesting is walked with a stack of its own.
 */
#include "desc.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

struct cczi_desc_set {
    struct cczi_desc_set *next;
    struct ccz_buf bytes; /* as given */
    struct ccz_buf text;  /* full names */
};

/* ---------------------------------------------------------------------------------------- lookup */

static int compare(struct ccz_span a, struct ccz_span b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int by_name(const void *a, const void *b)
{
    const struct cczi_desc_symbol *x = a, *y = b;
    return compare(x->name, y->name);
}

static int by_type(const void *a, const void *b)
{
    const struct cczi_desc_ext *x = a, *y = b;
    int order = compare(x->type, y->type);
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

size_t cczi_desc_files_len(const struct cczi_desc_pool *p)
{
    return CCZI_DESC_LEN(p->files, struct cczi_desc_file);
}

const struct cczi_desc_file *cczi_desc_file(const struct cczi_desc_pool *p, size_t i)
{
    return &CCZI_DESC_AT(p->files, const struct cczi_desc_file)[i];
}

ptrdiff_t cczi_desc_by_file(const struct cczi_desc_pool *p, struct ccz_span name)
{
    for (size_t i = 0; i < cczi_desc_files_len(p); i++)
        if (ccz_span_eq(cczi_desc_file(p, i)->name, name))
            return (ptrdiff_t)i;
    return -1;
}

const struct cczi_desc_symbol *cczi_desc_by_symbol(const struct cczi_desc_pool *p,
                                                   struct ccz_span name)
{
    struct cczi_desc_symbol key = {.name = name};
    size_t len = CCZI_DESC_LEN(p->symbols, struct cczi_desc_symbol);
    return len ? bsearch(&key, p->symbols.ptr, len, sizeof(key), by_name) : NULL;
}

ptrdiff_t cczi_desc_by_extension(const struct cczi_desc_pool *p, struct ccz_span type,
                                 uint32_t number)
{
    struct cczi_desc_ext key = {.type = type, .number = number};
    size_t len = CCZI_DESC_LEN(p->exts, struct cczi_desc_ext);
    const struct cczi_desc_ext *x =
        len ? bsearch(&key, p->exts.ptr, len, sizeof(key), by_type) : NULL;
    return x ? (ptrdiff_t)x->file : -1;
}

const struct cczi_desc_ext *cczi_desc_extensions(size_t *len, const struct cczi_desc_pool *p,
                                                 struct ccz_span type)
{
    const struct cczi_desc_ext *all = CCZI_DESC_AT(p->exts, const struct cczi_desc_ext);
    size_t all_len = CCZI_DESC_LEN(p->exts, struct cczi_desc_ext), from = 0;
    while (from < all_len && !ccz_span_eq(all[from].type, type))
        from++;
    size_t to = from;
    while (to < all_len && ccz_span_eq(all[to].type, type))
        to++;
    *len = to - from;
    return *len ? all + from : NULL;
}

/* --------------------------------------------------------------------------------------- parsing */

enum kind { K_FILE, K_MESSAGE, K_ENUM, K_SERVICE, K_NAMED, K_EXTENSION, K_NONE };

/* What the fields of each kind hold; "named" things only have a name that matters. */
static const struct child {
    enum kind in;
    uint32_t number;
    enum kind is;
} children[] = {
    {K_FILE, 4, K_MESSAGE},   {K_FILE, 5, K_ENUM},     {K_FILE, 6, K_SERVICE},
    {K_FILE, 7, K_EXTENSION}, {K_MESSAGE, 2, K_NAMED}, {K_MESSAGE, 3, K_MESSAGE},
    {K_MESSAGE, 4, K_ENUM},   {K_MESSAGE, 8, K_NAMED}, {K_MESSAGE, 6, K_EXTENSION},
    {K_ENUM, 2, K_NAMED},     {K_SERVICE, 2, K_NAMED},
};

static enum kind child_of(enum kind in, uint32_t number)
{
    for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++)
        if (children[i].in == in && children[i].number == number)
            return children[i].is;
    return K_NONE;
}

/* One file on its way into the pool. */
struct walk {
    struct cczi_desc_pool *pool;
    struct cczi_desc_set *set;
    size_t file;
    char scope[CCZI_DESC_NAME_SIZE_MAX +
               1]; /* package and the messages around; ends with a dot, or empty */
    struct ccz_err *err;
};

static ccz_rc malformed(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "rpc:descriptor", 0, "malformed descriptor: %s", what);
}

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
}

/* Letters, digits and _, not beginning with a digit; with @p dots several of these. */
static bool is_name(struct ccz_span s, bool dots)
{
    bool first = true;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool digit = c >= '0' && c <= '9';
        if (c == '.' && dots && !first)
            first = true;
        else if (letter || (digit && !first))
            first = false;
        else
            return false;
    }
    return !first;
}

/* The bytes of field @p number, which is there at most once. ptr is NULL if absent. @return false if malformed */
static bool get_once(struct ccz_span *out, struct ccz_span msg, uint32_t number)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    *out = (struct ccz_span){0};
    while (ccz_pb_next(&f, &r)) {
        if (f.number != number)
            continue;
        if (f.wire != CCZ_PB_LEN || out->ptr)
            return false;
        *out = f.bytes;
    }
    return !r.bad;
}

/* scope + name into the set's text; the span is made of an offset until the text is complete. */
static ccz_rc full_name(struct ccz_span *out, struct walk *w, struct ccz_span name)
{
    size_t scope = strlen(w->scope);
    if (scope + name.size > CCZI_DESC_NAME_SIZE_MAX)
        return ccz_fail(w->err, CCZ_E_LIMIT, "rpc:descriptor-names", 0, "a full name is too long");
    *out = (struct ccz_span){NULL, scope + name.size};
    ccz_buf_put(&w->set->text, w->scope, scope);
    ccz_buf_put_span(&w->set->text, name);
    if (!w->set->text.bad)
        return CCZ_OK;
    if (w->set->text.size + scope + name.size <= CCZI_DESC_TEXT_SIZE_MAX)
        return no_memory(w->err);
    return ccz_fail(w->err, CCZ_E_LIMIT, "rpc:descriptor-names", 0, "too many names");
}

static ccz_rc add_symbol(struct walk *w, struct ccz_span name, enum kind kind)
{
    struct cczi_desc_symbol s = {.file = w->file, .message = kind == K_MESSAGE};
    ccz_rc rc = full_name(&s.name, w, name);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put(&w->pool->symbols, &s, sizeof(s));
    return w->pool->symbols.bad ? no_memory(w->err) : CCZ_OK;
}

/* FieldDescriptorProto with an extendee: the full name of a message, with a leading dot. */
static ccz_rc add_extension(struct walk *w, struct ccz_span msg)
{
    struct cczi_desc_ext x = {.file = w->file};
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    if (!get_once(&x.type, msg, 2) || x.type.size < 2 || x.type.ptr[0] != '.')
        return malformed(w->err, "an extension of nothing");
    x.type = ccz_span_sub(x.type, 1, x.type.size - 1);
    if (!is_name(x.type, true))
        return malformed(w->err, "an extension of nothing");
    while (ccz_pb_next(&f, &r)) {
        if (f.number != 3)
            continue;
        if (f.wire != CCZ_PB_VARINT || f.num == 0 || f.num > 0x1fffffff || x.number)
            return malformed(w->err, "the number of an extension");
        x.number = (uint32_t)f.num;
    }
    if (!x.number)
        return malformed(w->err, "an extension without a number");
    ccz_buf_put(&w->pool->exts, &x, sizeof(x));
    return w->pool->exts.bad ? no_memory(w->err) : CCZ_OK;
}

struct level {
    struct ccz_rd r;
    enum kind kind;
    size_t scope; /* size of the scope outside */
};

/* Adds the name of a thing; a level is opened for what has children. */
static ccz_rc enter(struct level *level, bool *opened, struct walk *w, struct ccz_span msg,
                    enum kind kind)
{
    struct ccz_span name;
    *opened = false;
    if (!get_once(&name, msg, 1) || !is_name(name, false))
        return malformed(w->err, "a name");
    ccz_rc rc = add_symbol(w, name, kind);
    if (rc == CCZ_OK && kind == K_EXTENSION)
        rc = add_extension(w, msg);
    if (rc != CCZ_OK || kind == K_NAMED || kind == K_EXTENSION)
        return rc;
    size_t scope = strlen(w->scope);
    *level = (struct level){ccz_rd_from(msg), kind, scope};
    *opened = true;
    if (kind == K_ENUM) /* its values are siblings of it, as in C++ */
        return CCZ_OK;
    if (scope + name.size + 1 > CCZI_DESC_NAME_SIZE_MAX)
        return ccz_fail(w->err, CCZ_E_LIMIT, "rpc:descriptor-names", 0, "a full name is too long");
    memcpy(w->scope + scope, name.ptr, name.size);
    memcpy(w->scope + scope + name.size, ".", 2);
    return CCZ_OK;
}

static ccz_rc walk_file(struct walk *w, struct ccz_span file)
{
    struct level stack[CCZI_DESC_DEPTH_MAX + 1];
    size_t depth = 1;
    stack[0] = (struct level){ccz_rd_from(file), K_FILE, strlen(w->scope)};
    while (depth) {
        struct level *top = &stack[depth - 1];
        struct ccz_pb_field f;
        if (!ccz_pb_next(&f, &top->r)) {
            if (top->r.bad)
                return malformed(w->err, "a field");
            w->scope[top->scope] = 0;
            depth--;
            continue;
        }
        enum kind kind = child_of(top->kind, f.number);
        bool opened;
        if (kind == K_NONE)
            continue;
        if (f.wire != CCZ_PB_LEN)
            return malformed(w->err, "the type of a field");
        if (depth == sizeof(stack) / sizeof(stack[0]))
            return ccz_fail(w->err, CCZ_E_LIMIT, "rpc:descriptor-depth", 0,
                            "messages are nested too deeply");
        ccz_rc rc = enter(&stack[depth], &opened, w, f.bytes, kind);
        if (rc != CCZ_OK)
            return rc;
        depth += opened;
    }
    return CCZ_OK;
}

static ccz_rc add_imports(struct cczi_desc_file *file, struct cczi_desc_pool *p,
                          struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(file->bytes);
    struct ccz_pb_field f;
    file->imports_at = CCZI_DESC_LEN(p->imports, size_t);
    while (ccz_pb_next(&f, &r)) {
        if (f.number != 3)
            continue;
        if (f.wire != CCZ_PB_LEN)
            return malformed(err, "an import");
        ptrdiff_t other = cczi_desc_by_file(p, f.bytes);
        if (other < 0) {
            char name[128];
            ccz_escape(name, sizeof(name), f.bytes);
            ccz_rc rc = ccz_fail(err, CCZ_E_NOT_FOUND, "rpc:descriptor-import", 0,
                                 "import %s is not known", name);
            return ccz_hint(err, rc, "make the set with protoc --include_imports");
        }
        size_t n = (size_t)other;
        ccz_buf_put(&p->imports, &n, sizeof(n));
        file->imports_len++;
    }
    if (p->imports.bad)
        return no_memory(err);
    return r.bad ? malformed(err, "a field") : CCZ_OK;
}

/* Name and package of a file. */
static ccz_rc file_head(struct cczi_desc_file *file, struct walk *w)
{
    struct ccz_span package;
    if (!get_once(&file->name, file->bytes, 1) || file->name.size == 0 ||
        memchr(file->name.ptr, 0, file->name.size))
        return malformed(w->err, "the name of a file");
    if (!get_once(&package, file->bytes, 2) || (package.size && !is_name(package, true)))
        return malformed(w->err, "a package");
    if (file->name.size > CCZI_DESC_NAME_SIZE_MAX || package.size >= CCZI_DESC_NAME_SIZE_MAX)
        return ccz_fail(w->err, CCZ_E_LIMIT, "rpc:descriptor-names", 0,
                        "the name of a file or package is too long");
    w->scope[0] = 0;
    if (package.size) {
        memcpy(w->scope, package.ptr, package.size);
        memcpy(w->scope + package.size, ".", 2);
    }
    return CCZ_OK;
}

static ccz_rc add_file(struct walk *w, struct ccz_span bytes)
{
    struct cczi_desc_pool *p = w->pool;
    struct cczi_desc_file file = {.bytes = bytes};
    ccz_rc rc = file_head(&file, w);
    if (rc != CCZ_OK)
        return rc;
    ptrdiff_t known = cczi_desc_by_file(p, file.name);
    if (known >= 0) {
        if (ccz_span_eq(cczi_desc_file(p, (size_t)known)->bytes, bytes))
            return CCZ_OK;
        char name[128];
        ccz_escape(name, sizeof(name), file.name);
        return ccz_fail(w->err, CCZ_E_EXISTS, "rpc:descriptor-file", 0,
                        "file %s is known with another content", name);
    }
    w->file = cczi_desc_files_len(p);
    if (w->file == CCZI_DESC_FILES_MAX)
        return ccz_fail(w->err, CCZ_E_LIMIT, "rpc:descriptor-names", 0, "more than %d files",
                        CCZI_DESC_FILES_MAX);
    rc = add_imports(&file, p, w->err);
    if (rc == CCZ_OK)
        rc = walk_file(w, bytes);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put(&p->files, &file, sizeof(file));
    return p->files.bad ? no_memory(w->err) : CCZ_OK;
}

static ccz_rc add_files(struct walk *w)
{
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&w->set->bytes));
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != 1)
            continue;
        ccz_rc rc =
            f.wire == CCZ_PB_LEN ? add_file(w, f.bytes) : malformed(w->err, "the type of a file");
        if (rc != CCZ_OK)
            return rc;
    }
    return r.bad ? malformed(w->err, "a field") : CCZ_OK;
}

/* ----------------------------------------------------------------------------------------- index */

static ccz_rc twice(struct ccz_err *err, struct ccz_span name)
{
    char text[128];
    ccz_escape(text, sizeof(text), name);
    return ccz_fail(err, CCZ_E_EXISTS, "rpc:descriptor-name", 0, "%s is declared twice", text);
}

/* Sorts what begins at @p from, and refuses what is there already. */
static ccz_rc check_symbols(struct cczi_desc_pool *p, size_t from, const uint8_t *text,
                            struct ccz_err *err)
{
    struct cczi_desc_symbol *s = CCZI_DESC_AT(p->symbols, struct cczi_desc_symbol);
    size_t len = CCZI_DESC_LEN(p->symbols, struct cczi_desc_symbol);
    for (size_t i = from; i < len; i++) {
        s[i].name.ptr = text;
        text += s[i].name.size;
    }
    if (len > from)
        qsort(s + from, len - from, sizeof(*s), by_name);
    for (size_t i = from; i < len; i++)
        if ((i > from && by_name(&s[i - 1], &s[i]) == 0) ||
            (from && bsearch(&s[i], s, from, sizeof(*s), by_name)))
            return twice(err, s[i].name);
    return CCZ_OK;
}

static ccz_rc check_exts(struct cczi_desc_pool *p, size_t from, struct ccz_err *err)
{
    struct cczi_desc_ext *x = CCZI_DESC_AT(p->exts, struct cczi_desc_ext);
    size_t len = CCZI_DESC_LEN(p->exts, struct cczi_desc_ext);
    if (len > from)
        qsort(x + from, len - from, sizeof(*x), by_type);
    for (size_t i = from; i < len; i++)
        if ((i > from && by_type(&x[i - 1], &x[i]) == 0) ||
            (from && bsearch(&x[i], x, from, sizeof(*x), by_type)))
            return twice(err, x[i].type);
    return CCZ_OK;
}

/* Old and new as one sorted sequence: from here on there is no way back. */
static void merge(struct cczi_desc_pool *p)
{
    size_t symbols_len = CCZI_DESC_LEN(p->symbols, struct cczi_desc_symbol);
    size_t exts_len = CCZI_DESC_LEN(p->exts, struct cczi_desc_ext);
    if (symbols_len)
        qsort(p->symbols.ptr, symbols_len, sizeof(struct cczi_desc_symbol), by_name);
    if (exts_len)
        qsort(p->exts.ptr, exts_len, sizeof(struct cczi_desc_ext), by_type);
}

/* ------------------------------------------------------------------------------------------ pool */

void cczi_desc_init(struct cczi_desc_pool *p, size_t size_max)
{
    *p = (struct cczi_desc_pool){.size_max = size_max};
    ccz_buf_init(&p->files, SIZE_MAX / 2);
    ccz_buf_init(&p->imports, SIZE_MAX / 2);
    ccz_buf_init(&p->symbols, SIZE_MAX / 2);
    ccz_buf_init(&p->exts, SIZE_MAX / 2);
}

static void set_free(struct cczi_desc_set *s)
{
    ccz_buf_free(&s->bytes);
    ccz_buf_free(&s->text);
    free(s);
}

void cczi_desc_deinit(struct cczi_desc_pool *p)
{
    while (p->sets) {
        struct cczi_desc_set *s = p->sets;
        p->sets = s->next;
        set_free(s);
    }
    ccz_buf_free(&p->files);
    ccz_buf_free(&p->imports);
    ccz_buf_free(&p->symbols);
    ccz_buf_free(&p->exts);
}

static void cut(struct ccz_buf *b, size_t size)
{
    b->size = size;
    b->bad = false;
}

ccz_rc cczi_desc_add(struct cczi_desc_pool *p, struct ccz_span set, struct ccz_err *err)
{
    const struct cczi_desc_pool before = *p;
    if (set.size > p->size_max - p->size)
        return ccz_fail(err, CCZ_E_LIMIT, "rpc:descriptor-size", (int64_t)set.size,
                        "more than %zu bytes of descriptors", p->size_max);
    struct cczi_desc_set *s = calloc(1, sizeof(*s));
    if (!s)
        return no_memory(err);
    ccz_buf_init(&s->bytes, set.size);
    ccz_buf_init(&s->text, CCZI_DESC_TEXT_SIZE_MAX);
    ccz_buf_put_span(&s->bytes, set);
    struct walk w = {.pool = p, .set = s, .err = err};
    ccz_rc rc = s->bytes.bad ? no_memory(err) : add_files(&w);
    if (rc == CCZ_OK)
        rc = check_symbols(p, CCZI_DESC_LEN(before.symbols, struct cczi_desc_symbol), s->text.ptr,
                           err);
    if (rc == CCZ_OK)
        rc = check_exts(p, CCZI_DESC_LEN(before.exts, struct cczi_desc_ext), err);
    if (rc != CCZ_OK) {
        cut(&p->files, before.files.size);
        cut(&p->imports, before.imports.size);
        cut(&p->symbols, before.symbols.size);
        cut(&p->exts, before.exts.size);
        set_free(s);
        return rc;
    }
    merge(p);
    s->next = p->sets;
    p->sets = s;
    p->size += set.size;
    return CCZ_OK;
}
