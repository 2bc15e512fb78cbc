/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offline phases in files. offline-00000001.mpc, .. are protected files, written once, one for each ccz_mpc_store_write();
 * offline-00000001.used says how many of its needs have been handed out, and is durable before any of them is.
 *
 * A file has the same number at both parties: before it is made they agree on the first that is free at both. So a number
 * that one of them has alone is an orphan: the other one crashed before its file was durable, or its folder is an older one.
 * Numbers have gaps where the other party has orphans. Who meets an orphan gives it up for good. Writing succeeds when
 * each has heard that the other's file is durable.
 *
 * Plaintext, little-endian:
 *   header  magic (8), role, ring_bits, zeros (6), pair (32), number of needs (8)
 *   table   for each need: its words (18 x 8), SHA-256 of the fixed operand at its owner, else zeros (32)
 *   data    for each need: a, b, c, v as far as this party has them, 8 bytes a word
 * If one party crashed between its mark and the other's, the marks differ: both go on from the higher one.
 */
#define _DEFAULT_SOURCE
#include "session.h"

#include <cczoo/pf.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    HEADER = 56,
    PAIR_AT = 16,
    PAIR = 32,
    COUNT_AT = 48,
    ENTRY = 8 * CCZI_NEED_WORDS + 32,
    NEEDS_MAX = 1 << 20,
    PATH_SIZE = 4096,
    WORDS_AT_ONCE = 8192,
    NUMBER_MAX = 99999999, /* eight digits */
};
static const uint8_t magic[8] = {'C', 'C', 'Z', 'M', 'P', 'C', 'S', 1};

/* --------------------------------------------------------------------------------------- paths */

static ccz_rc path_of(char out[PATH_SIZE], const char *dir, uint64_t number, const char *suffix,
                      struct ccz_err *err)
{
    int n = snprintf(out, PATH_SIZE, "%s/offline-%08" PRIu64 ".%s", dir, number, suffix);
    if (n < 0 || n >= PATH_SIZE)
        return ccz_fail(err, CCZ_E_ARG, "mpc:store-dir", n, "the name of the folder is too long");
    return CCZ_OK;
}

/* What a file is bound to: its number, so that one cannot be put in place of another. */
static struct ccz_pf_cfg binding(char path[64], uint64_t number, const char *name)
{
    (void)snprintf(path, 64, "/cczoo-mpc/offline-%08" PRIu64, number);
    return (struct ccz_pf_cfg){.path = path, .name = name};
}

/* A file handle and a lock end with their scope. */
static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}
#define AUTO_FD __attribute__((cleanup(close_fd))) int

/* One user at a time: two would hand out the same. */
static ccz_rc lock_dir(int *fd, const char *dir, struct ccz_err *err)
{
    char path[PATH_SIZE];
    ccz_rc rc = ccz_dir_make(dir, 0700, err);
    if (rc != CCZ_OK)
        return rc;
    int n = snprintf(path, sizeof(path), "%s/lock", dir);
    if (n < 0 || n >= PATH_SIZE)
        return ccz_fail(err, CCZ_E_ARG, "mpc:store-dir", n, "the name of the folder is too long");
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return ccz_fail(err, CCZ_E_IO, "mpc:store-lock", errno, "cannot open %s", path);
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        (void)ccz_fail(err, CCZ_E_UNAVAILABLE, "mpc:store-busy", errno, "%s is in use", dir);
        return ccz_hint(err, CCZ_E_UNAVAILABLE, "a store is used by one process at a time");
    }
    return CCZ_OK;
}

/* A file that cannot be looked at is not one that is missing. */
static ccz_rc exists(bool *out, const char *path, struct ccz_err *err)
{
    *out = access(path, F_OK) == 0;
    if (*out || errno == ENOENT)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_IO, "mpc:store-dir", errno, "cannot look at %s", path);
}

/* The number of "offline-NNNNNNNN.suffix"; 0: another name. */
static uint64_t number_in(const char *name, const char *suffix)
{
    static const char prefix[] = "offline-";
    enum { DIGITS = 8 };
    uint64_t n = 0;
    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
        return 0;
    name += sizeof(prefix) - 1;
    for (int i = 0; i < DIGITS; i++, name++) {
        if (*name < '0' || *name > '9')
            return 0;
        n = 10 * n + (uint64_t)(*name - '0');
    }
    return *name == '.' && strcmp(name + 1, suffix) == 0 ? n : 0;
}

/* Which numbers there are: the least file above some number (0: none), how many files, the largest number of file or mark. */
struct numbers {
    uint64_t least, files, largest;
};

static ccz_rc scan(struct numbers *out, const char *dir, uint64_t above, struct ccz_err *err)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    *out = (struct numbers){0};
    if (!d)
        return ccz_fail(err, CCZ_E_IO, "mpc:store-dir", errno, "cannot open %s", dir);
    while (errno = 0, (e = readdir(d))) {
        const uint64_t file = number_in(e->d_name, "mpc"), used = number_in(e->d_name, "used");
        out->files += file > 0;
        if (file > above && (out->least == 0 || file < out->least))
            out->least = file;
        if (file > out->largest || used > out->largest) /* a mark without its file still stands */
            out->largest = file > used ? file : used;
    }
    const int failed = errno;
    (void)closedir(d);
    if (failed)
        return ccz_fail(err, CCZ_E_IO, "mpc:store-dir", failed, "cannot read %s", dir);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- marks */

/* Needs of a file that have been handed out. No mark: none. One that cannot be read stops everything. */
static ccz_rc read_mark(uint64_t *out, const char *dir, uint64_t number, struct ccz_err *err)
{
    char path[PATH_SIZE];
    CCZ_AUTO_BUF text;
    *out = 0;
    ccz_buf_init(&text, 32);
    bool there;
    ccz_rc rc = path_of(path, dir, number, "used", err);
    if (rc == CCZ_OK)
        rc = exists(&there, path, err);
    if (rc != CCZ_OK || !there)
        return rc;
    rc = ccz_file_read(&text, path, err);
    if (rc != CCZ_OK)
        return rc;
    char *end;
    const char *s = ccz_buf_str(&text);
    errno = 0;
    unsigned long long n = strtoull(s, &end, 10);
    if (end == s || *end != '\n' || end[1] || errno || s[0] < '0' || s[0] > '9')
        return ccz_fail(err, CCZ_E_FORMAT, "mpc:store-mark", 0, "%s holds no number", path);
    *out = n;
    return CCZ_OK;
}

static ccz_rc write_mark(const char *dir, uint64_t number, uint64_t used, struct ccz_err *err)
{
    char path[PATH_SIZE], text[32];
    ccz_rc rc = path_of(path, dir, number, "used", err);
    if (rc != CCZ_OK)
        return rc;
    int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", used);
    return ccz_file_write(path, CCZ_SPAN(text, (size_t)n), 0600, CCZ_FILE_REPLACE, err);
}

/* ----------------------------------------------------------------------------------- contents */

/* Lengths of what this party has of an item, in words. */
static ccz_rc own_lens(size_t out[4], const struct ccz_mpc_need *need, unsigned role,
                       struct ccz_err *err)
{
    struct ccz_mpc_item l;
    ccz_rc rc = cczi_mpc_item_lens(&l, need, err);
    out[0] = l.a_len;
    out[1] = l.b_len;
    out[2] = l.c_len;
    out[3] = cczi_mpc_is_cross(need->kind) && role != need->owner ? l.v_len : 0;
    return rc;
}

static ccz_rc hash_fixed(uint8_t out[32], const struct ccz_mpc *m, const struct ccz_mpc_need *need,
                         struct ccz_err *err)
{
    memset(out, 0, 32);
    if (!cczi_mpc_is_cross(need->kind) || m->cfg.role != need->owner)
        return CCZ_OK;
    const struct ccz_mpc_tensor *t = cczi_mpc_private_at(m, need->fixed);
    if (!t)
        return ccz_fail(err, CCZ_E_ARG, "mpc:need-fixed", (int64_t)need->fixed,
                        "there is no PRIVATE tensor %" PRIu64, need->fixed);
    if (ccz_sha256(out, CCZ_SPAN(t->v, t->len * sizeof(*t->v))) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "mpc:hash", 0, "hashing failed");
    return CCZ_OK;
}

static void need_from_words(struct ccz_mpc_need *n, const uint64_t w[CCZI_NEED_WORDS])
{
    struct ccz_mpc_conv *c = &n->conv;
    size_t *const fields[11] = {&c->batch, &c->h,      &c->w,   &c->c,  &c->kh, &c->kw,
                                &c->o,     &c->stride, &c->pad, &c->oh, &c->ow};
    *n = (struct ccz_mpc_need){.kind = (enum ccz_mpc_need_kind)w[0],
                               .m = w[1],
                               .k = w[2],
                               .n = w[3],
                               .fixed = w[4],
                               .owner = (unsigned)w[5],
                               .transposed = w[6] != 0};
    for (int i = 0; i < 11; i++)
        *fields[i] = w[7 + i];
}

/* ------------------------------------------------------------------------------------- writing */

static ccz_rc put_words(struct ccz_pf_writer *w, const uint64_t *v, size_t len, struct ccz_err *err)
{
    uint8_t bytes[8 * WORDS_AT_ONCE];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < len && rc == CCZ_OK; i += WORDS_AT_ONCE) {
        size_t n = len - i < WORDS_AT_ONCE ? len - i : WORDS_AT_ONCE;
        ccz_ring_pack(bytes, v + i, n, 64);
        rc = ccz_pf_writer_put(w, CCZ_SPAN(bytes, 8 * n), err);
    }
    ccz_wipe(bytes, sizeof(bytes));
    return rc;
}

/* The first number that is free at both parties. */
static ccz_rc agree_on_number(uint64_t *out, struct ccz_mpc *m, const char *dir,
                              struct ccz_err *err)
{
    struct numbers own;
    uint64_t peer;
    ccz_rc rc = scan(&own, dir, 0, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_mpc_put(m, &own.largest, 1, 64);
    cczi_mpc_want(m, &peer, 1, 64);
    rc = cczi_mpc_round(m, err);
    if (rc != CCZ_OK)
        return rc;
    if (peer > NUMBER_MAX)
        return ccz_refuse_num(err, CCZ_E_PEER, "mpc:store-place", (int64_t)peer, NUMBER_MAX);
    *out = (own.largest > peer ? own.largest : peer) + 1;
    if (*out > NUMBER_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "mpc:store-full", (int64_t)*out, NUMBER_MAX);
    return CCZ_OK;
}

/* Each has its file: only now does it count. A party that does not hear of the other's has an orphan, or a file that both have. */
static ccz_rc both_durable(struct ccz_mpc *m, uint64_t number, const uint64_t pair[PAIR / 8],
                           struct ccz_err *err)
{
    uint64_t own[1 + PAIR / 8] = {number}, peer[1 + PAIR / 8];
    memcpy(own + 1, pair, PAIR);
    cczi_mpc_put(m, own, 1 + PAIR / 8, 64);
    cczi_mpc_want(m, peer, 1 + PAIR / 8, 64);
    ccz_rc rc = cczi_mpc_round(m, err);
    if (rc == CCZ_OK && memcmp(own, peer, sizeof(own)) != 0)
        rc = ccz_refuse_bytes(err, CCZ_E_PEER, "mpc:store-pair", peer, sizeof(peer), own,
                              sizeof(own));
    return rc;
}

/* Header and table; *size of the whole. */
static ccz_rc make_head(struct ccz_buf *head, uint64_t *size, struct ccz_mpc *m,
                        const uint64_t pair[PAIR / 8], const struct ccz_mpc_need *needs, size_t len,
                        struct ccz_err *err)
{
    uint64_t words = 0;
    ccz_rc rc = CCZ_OK;
    ccz_buf_put(head, magic, sizeof(magic));
    ccz_buf_u8(head, (uint8_t)m->cfg.role);
    ccz_buf_u8(head, (uint8_t)m->cfg.ring_bits);
    ccz_buf_put(head, "\0\0\0\0\0", 6);
    ccz_buf_put(head, pair, PAIR);
    ccz_buf_le64(head, len);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        uint64_t w[CCZI_NEED_WORDS];
        uint8_t hash[32];
        size_t l[4] = {0};
        rc = hash_fixed(hash, m, &needs[i], err);
        if (rc == CCZ_OK)
            rc = own_lens(l, &needs[i], m->cfg.role, err);
        cczi_mpc_need_words(w, &needs[i]);
        for (int k = 0; k < CCZI_NEED_WORDS; k++)
            ccz_buf_le64(head, w[k]);
        ccz_buf_put(head, hash, sizeof(hash));
        words += l[0] + l[1] + l[2] + l[3];
    }
    if (rc == CCZ_OK && head->bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "no memory for a table of needs");
    *size = head->size + 8 * words;
    return rc;
}

static ccz_rc write_body(struct ccz_pf_writer *w, struct ccz_span head,
                         const struct ccz_mpc_item *items, const struct ccz_mpc_need *needs,
                         size_t len, unsigned role, struct ccz_err *err)
{
    ccz_rc rc = ccz_pf_writer_put(w, head, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        const uint64_t *const v[4] = {items[i].a, items[i].b, items[i].c, items[i].v};
        size_t l[4] = {0};
        rc = own_lens(l, &needs[i], role, err);
        for (int k = 0; k < 4 && rc == CCZ_OK; k++)
            rc = put_words(w, v[k], l[k], err);
    }
    return rc == CCZ_OK ? ccz_pf_writer_finish(w, err) : rc;
}

static ccz_rc write_file(struct ccz_mpc *m, uint64_t number, const uint64_t pair[PAIR / 8],
                         const struct ccz_mpc_item *items, const struct ccz_mpc_need *needs,
                         size_t len, const struct ccz_mpc_store_cfg *cfg, struct ccz_err *err)
{
    char path[PATH_SIZE], bound[64];
    CCZ_AUTO_BUF head;
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    struct ccz_newfile f;
    uint64_t size;
    ccz_buf_init(&head, HEADER + (size_t)NEEDS_MAX * ENTRY);
    ccz_rc rc = make_head(&head, &size, m, pair, needs, len, err);
    if (rc == CCZ_OK)
        rc = path_of(path, cfg->dir, number, "mpc", err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_open(&f, path, 0600, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_pf_io io = ccz_pf_io_fd(&f.fd);
    const struct ccz_pf_cfg pf = binding(bound, number, path);
    rc = ccz_pf_writer_new(&w, &io, size, cfg->key, &pf, err);
    if (rc == CCZ_OK)
        rc = write_body(w, ccz_buf_span(&head), items, needs, len, m->cfg.role, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_commit(&f, CCZ_FILE_CREATE_ONLY, err);
    ccz_newfile_abort(&f);
    return rc;
}

static ccz_rc store_write(struct ccz_mpc *m, const struct ccz_mpc_need *needs, size_t len,
                          const struct ccz_mpc_store_cfg *cfg, struct ccz_err *err)
{
    AUTO_FD lock = -1;
    struct ccz_mpc_need *now = NULL;
    struct ccz_mpc_item *items = NULL;
    uint64_t number = 0, pair[PAIR / 8];
    size_t n = 0;
    if (cczi_mpc_planning(m))
        return ccz_fail(err, CCZ_E_ARG, "mpc:store-plan", 0, "a planning session makes nothing");
    if (len == 0 || len > NEEDS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:store-len", (int64_t)len, NEEDS_MAX);
    ccz_rc rc = lock_dir(&lock, cfg->dir, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&now, len, sizeof(*now), err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&items, len, sizeof(*items), err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        if (needs[i].kind != CCZ_MPC_OTS)
            now[n++] = needs[i];
    if (rc == CCZ_OK && n == 0)
        rc = ccz_fail(err, CCZ_E_ARG, "mpc:store-len", 0, "transfers alone are not stored");
    if (rc == CCZ_OK)
        rc = cczi_mpc_compare_needs(m, needs, len, now, n, err);
    if (rc == CCZ_OK)
        rc = agree_on_number(&number, m, cfg->dir, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_common(pair, PAIR / 8, 64, m, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_make_items(items, m, now, n, err);
    if (rc == CCZ_OK)
        rc = write_file(m, number, pair, items, now, n, cfg, err);
    if (rc == CCZ_OK)
        rc = both_durable(m, number, pair, err);
    for (size_t i = 0; items && i < n; i++)
        cczi_mpc_item_deinit(&items[i]);
    free(items);
    free(now);
    return rc;
}

ccz_rc ccz_mpc_store_write(struct ccz_mpc *m, const struct ccz_mpc_need *needs, size_t len,
                           const struct ccz_mpc_store_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_enter(m, err);
    if (rc != CCZ_OK)
        return rc;
    enum ccz_mpc_phase before = cczi_mpc_phase(m, CCZ_MPC_OFFLINE);
    rc = store_write(m, needs, len, cfg, err);
    (void)cczi_mpc_phase(m, before);
    return cczi_mpc_leave(m, rc, err);
}

/* ------------------------------------------------------------------------------------- reading */

struct source {
    struct ccz_mpc *m;
    char dir[PATH_SIZE];
    struct ccz_secret *key;
    int lock;
    /* the file in use */
    uint64_t number; /* 0: none yet */
    int fd;
    struct ccz_pf_reader *reader;
    uint8_t pair[PAIR];
    struct ccz_mpc_need *needs;
    uint8_t (*hashes)[32];
    uint64_t *offsets;
    uint64_t len, at; /* needs, and how many are used */
};

static void close_file(struct source *s)
{
    ccz_pf_reader_free(s->reader);
    s->reader = NULL;
    close_fd(&s->fd);
    s->fd = -1;
    free(s->needs);
    free(s->hashes);
    free(s->offsets);
    s->needs = NULL;
    s->hashes = NULL;
    s->offsets = NULL;
    s->number = s->len = s->at = 0;
}

static ccz_rc check_header(struct source *s, const uint8_t h[HEADER], struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(h + COUNT_AT, 8));
    if (memcmp(h, magic, sizeof(magic)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_FORMAT, "mpc:store-format", h, 8, magic, 8);
    if (h[8] != s->m->cfg.role)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:store-role", h[8], s->m->cfg.role);
    if (h[9] != s->m->cfg.ring_bits)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:store-ring", h[9], s->m->cfg.ring_bits);
    memcpy(s->pair, h + PAIR_AT, PAIR);
    s->len = ccz_rd_le64(&r);
    if (s->len == 0 || s->len > NEEDS_MAX)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "mpc:store-format", (int64_t)s->len, NEEDS_MAX);
    return CCZ_OK;
}

static ccz_rc read_table(struct source *s, struct ccz_err *err)
{
    uint64_t offset = HEADER + s->len * ENTRY;
    ccz_rc rc = cczi_mpc_alloc(&s->needs, s->len, sizeof(*s->needs), err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&s->hashes, s->len, sizeof(*s->hashes), err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&s->offsets, s->len, sizeof(*s->offsets), err);
    for (size_t i = 0; i < s->len && rc == CCZ_OK; i++) {
        uint8_t entry[ENTRY];
        uint64_t w[CCZI_NEED_WORDS];
        size_t l[4] = {0};
        rc = ccz_pf_reader_read(entry, s->reader, HEADER + i * ENTRY, ENTRY, err);
        if (rc != CCZ_OK)
            return rc;
        ccz_ring_unpack(w, entry, CCZI_NEED_WORDS, 64);
        need_from_words(&s->needs[i], w);
        memcpy(s->hashes[i], entry + 8 * CCZI_NEED_WORDS, 32);
        rc = own_lens(l, &s->needs[i], s->m->cfg.role, err);
        s->offsets[i] = offset;
        offset += 8 * (uint64_t)(l[0] + l[1] + l[2] + l[3]);
    }
    if (rc == CCZ_OK && offset != ccz_pf_reader_size(s->reader))
        rc = ccz_refuse_num(err, CCZ_E_FORMAT, "mpc:store-format",
                            (int64_t)ccz_pf_reader_size(s->reader), (int64_t)offset);
    return rc;
}

static ccz_rc open_file(struct source *s, uint64_t number, struct ccz_err *err)
{
    char path[PATH_SIZE], bound[64];
    uint8_t header[HEADER];
    close_file(s);
    ccz_rc rc = path_of(path, s->dir, number, "mpc", err);
    if (rc != CCZ_OK)
        return rc;
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (s->fd < 0)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "mpc:store-empty", errno, "there is no %s", path);
    struct ccz_pf_io io = ccz_pf_io_fd(&s->fd);
    const struct ccz_pf_cfg pf = binding(bound, number, NULL);
    rc = ccz_pf_reader_open(&s->reader, &io, s->key, &pf, err);
    if (rc == CCZ_OK && ccz_pf_reader_size(s->reader) < HEADER)
        rc = ccz_fail(err, CCZ_E_FORMAT, "mpc:store-format", 0, "%s is too short", path);
    if (rc == CCZ_OK)
        rc = ccz_pf_reader_read(header, s->reader, 0, HEADER, err);
    if (rc == CCZ_OK)
        rc = check_header(s, header, err);
    if (rc == CCZ_OK)
        rc = read_table(s, err);
    if (rc == CCZ_OK)
        rc = read_mark(&s->at, s->dir, number, err);
    if (rc == CCZ_OK && s->at > s->len) /* it is not authenticated */
        rc = ccz_refuse_num(err, CCZ_E_FORMAT, "mpc:store-mark", (int64_t)s->at, (int64_t)s->len);
    if (rc == CCZ_OK)
        s->number = number;
    else
        close_file(s);
    return rc;
}

static ccz_rc used_up(const struct source *s, uint64_t files, struct ccz_err *err)
{
    (void)ccz_fail(err, CCZ_E_DENIED, "mpc:store-used", (int64_t)files,
                   "everything stored in %s has been handed out before", s->dir);
    return ccz_hint(err, CCZ_E_DENIED, "run another offline phase: randomness is used once");
}

/* The first file above a number. *found: there is one. */
static ccz_rc open_above(bool *found, struct source *s, uint64_t number, struct ccz_err *err)
{
    struct numbers there;
    ccz_rc rc = scan(&there, s->dir, number, err);
    *found = rc == CCZ_OK && there.least > 0;
    return *found ? open_file(s, there.least, err) : rc;
}

/* The first file of which something is left. */
static ccz_rc open_next(struct source *s, struct ccz_err *err)
{
    struct numbers all = {0};
    bool found = true;
    ccz_rc rc = s->lock < 0 ? lock_dir(&s->lock, s->dir, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = scan(&all, s->dir, 0, err);
    if (rc == CCZ_OK && all.files == 0)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "mpc:store-empty", 0, "nothing is stored in %s",
                        s->dir);
    do {
        if (rc == CCZ_OK)
            rc = open_above(&found, s, s->number, err);
    } while (rc == CCZ_OK && found && s->at == s->len);
    return rc == CCZ_OK && !found ? used_up(s, all.files, err) : rc;
}

/* What is left of this file is given up, so that no later session comes back to it. Then the one behind it. */
static ccz_rc skip_file(struct source *s, struct ccz_err *err)
{
    bool found;
    ccz_rc rc = write_mark(s->dir, s->number, s->len, err);
    if (rc == CCZ_OK)
        rc = open_above(&found, s, s->number, err);
    return rc == CCZ_OK && !found ? used_up(s, s->number, err) : rc;
}

/* Both parties open the same file: the first that both have from the one on who is ahead. What only one of them has is skipped. */
static ccz_rc same_file(struct source *s, struct ccz_err *err)
{
    for (bool waiting = false;;) {
        uint64_t peer;
        cczi_mpc_put(s->m, &s->number, 1, 64);
        cczi_mpc_want(s->m, &peer, 1, 64);
        ccz_rc rc = cczi_mpc_round(s->m, err);
        if (rc != CCZ_OK || peer == s->number)
            return rc;
        if (waiting && peer < s->number) /* who is behind moves on at once, or has nothing left */
            return ccz_refuse_num(err, CCZ_E_PEER, "mpc:store-place", (int64_t)peer,
                                  (int64_t)s->number);
        waiting = peer < s->number;
        while (rc == CCZ_OK && s->number < peer) /* ends with the last file at the latest */
            rc = skip_file(s, err);
        if (rc != CCZ_OK)
            return rc;
    }
}

/* And go on from the higher of their places in it, each having said its own place in this very file. */
static ccz_rc same_place(struct source *s, struct ccz_err *err)
{
    struct ccz_mpc *m = s->m;
    uint64_t peer;
    uint8_t pair[PAIR];
    cczi_mpc_put(m, &s->at, 1, 64);
    cczi_mpc_put_raw(m, s->pair, PAIR);
    cczi_mpc_want(m, &peer, 1, 64);
    cczi_mpc_want_raw(m, pair, PAIR);
    ccz_rc rc = cczi_mpc_round(m, err);
    if (rc == CCZ_OK && memcmp(pair, s->pair, PAIR) != 0) {
        (void)ccz_refuse_bytes(err, CCZ_E_PEER, "mpc:store-pair", pair, PAIR, s->pair, PAIR);
        return ccz_hint(err, CCZ_E_PEER, "the folders of the two parties do not belong together");
    }
    if (rc == CCZ_OK && peer > s->len)
        return ccz_refuse_num(err, CCZ_E_PEER, "mpc:store-place", (int64_t)peer, (int64_t)s->len);
    if (rc == CCZ_OK && peer > s->at)
        s->at = peer;
    return rc;
}

/* Both parties go on from the same place of the same file, of which something is left. */
static ccz_rc synchronise(struct source *s, struct ccz_err *err)
{
    for (;;) {
        ccz_rc rc = same_file(s, err);
        if (rc == CCZ_OK)
            rc = same_place(s, err);
        if (rc != CCZ_OK || s->at < s->len)
            return rc;
        rc = skip_file(s, err); /* one of them had used it up */
        if (rc != CCZ_OK)
            return rc;
    }
}

static ccz_rc read_words(uint64_t *out, size_t len, struct ccz_pf_reader *r, uint64_t *offset,
                         uint64_t mask, struct ccz_err *err)
{
    uint8_t bytes[8 * WORDS_AT_ONCE];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < len && rc == CCZ_OK; i += WORDS_AT_ONCE) {
        size_t n = len - i < WORDS_AT_ONCE ? len - i : WORDS_AT_ONCE;
        rc = ccz_pf_reader_read(bytes, r, *offset, 8 * n, err);
        ccz_ring_unpack(out + i, bytes, n, 64);
        for (size_t k = i; k < i + n; k++)
            out[k] &= mask;
        *offset += 8 * n;
    }
    ccz_wipe(bytes, sizeof(bytes));
    return rc;
}

/* Whether the next needs of the file are these. */
static ccz_rc check_needs(const struct source *s, const struct ccz_mpc_need *needs, size_t len,
                          struct ccz_err *err)
{
    if (s->at > s->len || len > s->len - s->at) {
        (void)ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:store-need", (int64_t)len,
                             (int64_t)(s->len - s->at));
        return ccz_hint(err, CCZ_E_MISMATCH, "more needs than are left of this offline phase");
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t hash[32];
        if (!cczi_mpc_need_eq(&needs[i], &s->needs[s->at + i])) {
            (void)ccz_refuse(err, CCZ_E_MISMATCH, "mpc:store-need",
                             ccz_mpc_need_kind_name(needs[i].kind),
                             ccz_mpc_need_kind_name(s->needs[s->at + i].kind));
            return ccz_hint(err, CCZ_E_MISMATCH, "prepared for another program, shape or tensor");
        }
        ccz_rc rc = hash_fixed(hash, s->m, &needs[i], err);
        if (rc != CCZ_OK)
            return rc;
        if (!ccz_ct_eq(hash, s->hashes[s->at + i], sizeof(hash)))
            return ccz_fail(err, CCZ_E_MISMATCH, "mpc:store-fixed", (int64_t)needs[i].fixed,
                            "prepared for other values of tensor %" PRIu64, needs[i].fixed);
    }
    return CCZ_OK;
}

/* Nothing is used before both have their mark: else one of them could crash before it, and its peer's folder be put back. */
static ccz_rc both_marked(struct source *s, struct ccz_err *err)
{
    uint64_t peer;
    cczi_mpc_put(s->m, &s->at, 1, 64);
    cczi_mpc_want(s->m, &peer, 1, 64);
    ccz_rc rc = cczi_mpc_round(s->m, err);
    if (rc == CCZ_OK && peer != s->at)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "mpc:store-place", (int64_t)peer, (int64_t)s->at);
    return rc;
}

static ccz_rc store_prepare(struct ccz_mpc_item *items, void *self,
                            const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    struct source *s = self;
    ccz_rc rc = CCZ_OK;
    if (s->at == s->len) {
        rc = open_next(s, err);
        if (rc == CCZ_OK)
            rc = synchronise(s, err);
    }
    if (rc == CCZ_OK)
        rc = check_needs(s, needs, len, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t from = s->at;
    s->at += len;
    rc = write_mark(s->dir, s->number, s->at, err); /* durable before anything is read */
    if (rc == CCZ_OK)
        rc = both_marked(s, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        uint64_t *const v[4] = {items[i].a, items[i].b, items[i].c, items[i].v};
        uint64_t offset = s->offsets[from + i];
        uint64_t mask = needs[i].kind == CCZ_MPC_AND ? UINT64_MAX : cczi_mpc_mask(s->m);
        size_t l[4] = {0};
        rc = own_lens(l, &needs[i], s->m->cfg.role, err);
        for (int k = 0; k < 4 && rc == CCZ_OK; k++)
            rc = read_words(v[k], l[k], s->reader, &offset, mask, err);
    }
    return rc;
}

static bool store_can(void *self, const struct ccz_mpc_need *need)
{
    (void)self;
    return need->kind != CCZ_MPC_OTS;
}

static ccz_rc store_cost(struct ccz_mpc_cost *out, void *self, const struct ccz_mpc_need *needs,
                         size_t len, struct ccz_err *err)
{
    const struct source *s = self;
    ccz_rc rc = CCZ_OK;
    *out = (struct ccz_mpc_cost){.size = 16, .rounds = 1};
    if (s->at == s->len) {
        out->setup_size = 2 * (16 + PAIR);
        out->rounds += 2;
    }
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        size_t l[4] = {0};
        rc = own_lens(l, &needs[i], s->m->cfg.role, err);
        out->cpu_s += (double)(l[0] + l[1] + l[2] + l[3]) * 4e-9; /* decryption of 8 bytes */
    }
    return rc;
}

static void store_free(void *self)
{
    struct source *s = self;
    close_file(s);
    close_fd(&s->lock);
    ccz_secret_free(s->key);
    free(s);
}

ccz_rc ccz_mpc_source_store_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                                const struct ccz_mpc_store_cfg *cfg, struct ccz_err *err)
{
    static const struct ccz_mpc_source_ops ops = {.name = "store",
                                                  .can = store_can,
                                                  .cost = store_cost,
                                                  .prepare = store_prepare,
                                                  .free = store_free};
    struct source *s = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_alloc(&s, 1, sizeof(*s), err);
    if (rc != CCZ_OK)
        return rc;
    *s = (struct source){.m = m, .lock = -1, .fd = -1};
    int n = snprintf(s->dir, sizeof(s->dir), "%s", cfg->dir);
    if (n < 0 || (size_t)n >= sizeof(s->dir))
        rc = ccz_fail(err, CCZ_E_ARG, "mpc:store-dir", n, "the name of the folder is too long");
    if (rc == CCZ_OK)
        rc = ccz_secret_from(&s->key, ccz_secret_view(cfg->key), ccz_secret_size(cfg->key));
    if (rc != CCZ_OK) {
        store_free(s);
        return rc;
    }
    return ccz_mpc_source_new(out, CCZ_MPC_SOURCE_STORE, &ops, s, err);
}
