/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RPC_DESC_H
#define CCZI_RPC_DESC_H
/* Descriptors of .proto files: which file declares what. Files are kept and given out as they came. */
#include <cczoo/base.h>

enum {
    CCZI_DESC_FILES_MAX = 4096,
    CCZI_DESC_DEPTH_MAX = 32,       /* of nested messages */
    CCZI_DESC_NAME_SIZE_MAX = 1024, /* of a full name, a file name */
    CCZI_DESC_TEXT_SIZE_MAX = 64 << 20
};

/* A sequence of one type in a buffer. */
#define CCZI_DESC_AT(buf, type)  ((type *)(void *)(buf).ptr)
#define CCZI_DESC_LEN(buf, type) ((buf).size / sizeof(type))

struct cczi_desc_file {
    struct ccz_span name, bytes;    /* FileDescriptorProto */
    size_t imports_at, imports_len; /* numbers of files, in pool->imports */
};
/* Something declared, by its full name without a leading dot. */
struct cczi_desc_symbol {
    struct ccz_span name;
    size_t file;
    bool message;
};
struct cczi_desc_ext {
    struct ccz_span type; /* extended message, full name */
    uint32_t number;
    size_t file;
};

struct cczi_desc_set; /* what one call added */
struct cczi_desc_pool {
    struct cczi_desc_set *sets;
    struct ccz_buf files;   /* struct cczi_desc_file */
    struct ccz_buf imports; /* size_t */
    struct ccz_buf symbols; /* struct cczi_desc_symbol, sorted */
    struct ccz_buf exts;    /* struct cczi_desc_ext, sorted */
    size_t size, size_max;  /* bytes of all sets */
};

void cczi_desc_init(struct cczi_desc_pool *p, size_t size_max);
void cczi_desc_deinit(struct cczi_desc_pool *p);
/* Adds the files of a FileDescriptorSet, all or none; see ccz_rpc_reflection_add(). */
CCZ_MUST_USE ccz_rc cczi_desc_add(struct cczi_desc_pool *p, struct ccz_span set,
                                  struct ccz_err *err);

/* Numbers of files, or -1. */
ptrdiff_t cczi_desc_by_file(const struct cczi_desc_pool *p, struct ccz_span name);
ptrdiff_t cczi_desc_by_extension(const struct cczi_desc_pool *p, struct ccz_span type,
                                 uint32_t number);
/* NULL if nothing has that name. */
const struct cczi_desc_symbol *cczi_desc_by_symbol(const struct cczi_desc_pool *p,
                                                   struct ccz_span name);
/* Extensions of @p type, in order of their numbers. */
const struct cczi_desc_ext *cczi_desc_extensions(size_t *len, const struct cczi_desc_pool *p,
                                                 struct ccz_span type);
size_t cczi_desc_files_len(const struct cczi_desc_pool *p);
const struct cczi_desc_file *cczi_desc_file(const struct cczi_desc_pool *p, size_t i);

/* A FileDescriptorSet of the standard services; services_desc.c. */
extern const uint8_t cczi_services_desc[];
extern const size_t cczi_services_desc_size;
#endif
