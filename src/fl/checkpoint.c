/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DIR/round-000000000012.ccz, a protected file bound to that name. Plaintext: "CCZFLck1", size of the head (8), the head, then the
 * vectors: parameters, state of the optimizer (its own size), the server's control variate. Head, protobuf: 1 configuration's digest,
 * 2 layout, 3 round, 4 seed, 5 run, 6 digest of the model, 7 members {1 name, 2 accepted round}, 8 size of the optimizer's state,
 * 9 control variate (0, 1), 10 past digests (asynchronous), one behind the other, 11 privacy spent: the clip, then what the accountant has.
 */
#define _DEFAULT_SOURCE
#include "fl/server_private.h"

#include <cczoo/codec.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char MAGIC[8] = {'C', 'C', 'Z', 'F', 'L', 'c', 'k', '1'};
enum { PATH_SIZE = 4096, PIECE = 1 << 20, KEEP = 2, DIGITS = 12 };
#define HEAD_SIZE_MAX (CCZ_FL_LAYOUT_SIZE_MAX + ((size_t)256 << 20))

enum {
    H_CONFIG = 1,
    H_LAYOUT,
    H_ROUND,
    H_SEED,
    H_RUN,
    H_DIGEST,
    H_MEMBER,
    H_OPT,
    H_VARIATE,
    H_PAST,
    H_PRIVATE
};
enum { M_NAME = 1, M_ACCEPTED };

/* ----------------------------------------------------------------------------------- names */

static void name_of(char out[64], uint64_t round)
{
    (void)snprintf(out, 64, "round-%0*llu.ccz", DIGITS, (unsigned long long)round);
}

/* @return false if @p name is not a checkpoint's */
static bool round_of(uint64_t *round, const char *name)
{
    char again[64];
    unsigned long long r;
    if (sscanf(name, "round-%llu", &r) != 1)
        return false;
    *round = r;
    name_of(again, r);
    return strcmp(again, name) == 0;
}

/* What a process that was killed left of a file it was writing. */
static bool is_leftover(const char *name)
{
    size_t n = strlen(name);
    return strncmp(name, "round-", 6) == 0 && n > 4 && strcmp(name + n - 4, ".tmp") == 0;
}

static ccz_rc join_path(char out[PATH_SIZE], const char *dir, const char *name, struct ccz_err *err)
{
    int n = snprintf(out, PATH_SIZE, "%s/%s", dir, name);
    if (n > 0 && n < PATH_SIZE)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_LIMIT, "fl:checkpoint", n, "the path of the folder is too long");
}

/* Newest round in @p dir; removes what is older than @p oldest, and leftovers. @return false: no checkpoint, or no folder */
static bool look_through(uint64_t *newest, const char *dir, uint64_t oldest)
{
    char path[PATH_SIZE];
    struct ccz_err ignored;
    uint64_t round;
    bool found = false;
    DIR *d = opendir(dir);
    *newest = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        bool checkpoint = round_of(&round, e->d_name);
        if (checkpoint && (!found || round > *newest))
            *newest = round;
        found |= checkpoint;
        if ((checkpoint ? round < oldest : is_leftover(e->d_name)) &&
            join_path(path, dir, e->d_name, &ignored) == CCZ_OK)
            (void)unlink(path);
    }
    if (d)
        (void)closedir(d);
    return found;
}

/* ------------------------------------------------------------------------------------ saving */

static void put_head_locked(struct ccz_buf *out, const struct ccz_fl_server *s)
{
    ccz_pb_put_bytes(out, H_CONFIG, CCZ_SPAN(s->config, sizeof(s->config)));
    size_t mark = ccz_pb_open(out, H_LAYOUT);
    ccz_fl_layout_encode(out, s->layout);
    ccz_pb_close(out, mark);
    ccz_pb_put_uint(out, H_ROUND, s->round);
    ccz_pb_put_uint(out, H_SEED, s->seed);
    ccz_pb_put_bytes(out, H_RUN, CCZ_SPAN(s->run, sizeof(s->run)));
    ccz_pb_put_bytes(out, H_DIGEST, CCZ_SPAN(s->digest, sizeof(s->digest)));
    for (size_t i = 0; i < s->members_len; i++) {
        const struct hfl_member *m = s->members[s->order[i]];
        mark = ccz_pb_open(out, H_MEMBER);
        ccz_pb_put_str(out, M_NAME, m->name);
        ccz_pb_put_uint(out, M_ACCEPTED, m->accepted);
        ccz_pb_close(out, mark);
    }
    ccz_pb_put_uint(out, H_OPT, ccz_agg_opt_state_size(s->opt));
    ccz_pb_put_uint(out, H_VARIATE, s->variate != NULL);
    if (s->past)
        ccz_pb_put_bytes(
            out, H_PAST,
            CCZ_SPAN(s->past, ((size_t)s->cfg.staleness_max + 1) * CCZ_FL_DIGEST_SIZE));
    if (s->private) {
        mark = ccz_pb_open(out, H_PRIVATE);
        cczi_hfl_private_save(out, s);
        ccz_pb_close(out, mark);
    }
}

static ccz_rc put_vector(struct cczi_hfl_seal *f, const float *x, uint64_t len, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    uint64_t size = len * sizeof(float);
    for (uint64_t at = 0; rc == CCZ_OK && at < size; at += PIECE)
        rc = cczi_hfl_seal_put(
            f, CCZ_SPAN((const uint8_t *)x + at, size - at < PIECE ? (size_t)(size - at) : PIECE),
            err);
    return rc;
}

static ccz_rc put_opt(void *arg, struct ccz_span bytes, struct ccz_err *err)
{
    return cczi_hfl_seal_put(arg, bytes, err);
}

static ccz_rc put_all(struct cczi_hfl_seal *f, const struct ccz_fl_server *s, struct ccz_span head,
                      struct ccz_err *err)
{
    uint8_t size[8];
    const float *params = ccz_fl_server_params(s);
    if (!params)
        return ccz_fail(err, CCZ_E_SIG, "fl:spill-seal", 0, "the spilled model is lost");
    for (unsigned i = 0; i < 8; i++)
        size[i] = (uint8_t)((uint64_t)head.size >> (8 * i));
    ccz_rc rc = cczi_hfl_seal_put(f, CCZ_SPAN(MAGIC, sizeof(MAGIC)), err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_seal_put(f, CCZ_SPAN(size, sizeof(size)), err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_seal_put(f, head, err);
    if (rc == CCZ_OK)
        rc = put_vector(f, params, s->layout->len, err);
    if (rc == CCZ_OK)
        rc = ccz_agg_opt_save(s->opt, put_opt, f, err);
    if (rc == CCZ_OK && s->variate)
        rc = put_vector(f, s->variate, s->layout->len, err);
    return rc;
}

ccz_rc ccz_fl_checkpoint_save(const char *dir, const struct ccz_secret *key, unsigned keep,
                              const struct ccz_fl_server *cs, struct ccz_err *err)
{
    struct ccz_fl_server *s = (struct ccz_fl_server *)(uintptr_t)cs;
    struct cczi_hfl_seal *f;
    char name[64], path[PATH_SIZE];
    CCZ_AUTO_BUF head;
    ccz_buf_init(&head, HEAD_SIZE_MAX);
    pthread_mutex_lock(&s->lock); /* members may come; the model stays as it is */
    put_head_locked(&head, s);
    uint64_t round = s->round;
    pthread_mutex_unlock(&s->lock);
    if (head.bad)
        return cczi_hfl_no_memory(err);
    uint64_t size = sizeof(MAGIC) + 8 + head.size + ccz_agg_opt_state_size(s->opt) +
                    (s->variate ? 2 : 1) * s->layout->len * sizeof(float);
    name_of(name, round);
    ccz_rc rc = join_path(path, dir, name, err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_seal_create(&f, path, name, key, size, err);
    if (rc != CCZ_OK)
        return rc;
    rc = put_all(f, s, ccz_buf_span(&head), err);
    if (rc != CCZ_OK) {
        cczi_hfl_seal_abort(f);
        return rc;
    }
    rc = cczi_hfl_seal_finish(f, err);
    uint64_t newest, last = keep ? keep : (unsigned)KEEP;
    if (rc == CCZ_OK)
        (void)look_through(&newest, dir, round + 1 > last ? round + 1 - last : 0);
    return rc;
}

/* ----------------------------------------------------------------------------------- loading */

struct head {
    struct ccz_span config, layout, run, digest, past, private;
    uint64_t round, seed, opt_size, variate;
};

static ccz_rc malformed(const char *what, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_FORMAT, "fl:checkpoint-format", 0, "%s", what);
}

static ccz_rc take_member(struct ccz_fl_server *s, struct ccz_span in, struct ccz_err *err)
{
    char name[CCZ_FL_MEMBER_NAME_SIZE] = "";
    uint64_t accepted = 0;
    struct hfl_member *m;
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == M_NAME && f.wire == CCZ_PB_LEN && f.bytes.size < sizeof(name))
            memcpy(name, f.bytes.ptr, f.bytes.size);
        else if (f.number == M_ACCEPTED)
            accepted = f.num;
    }
    if (r.bad || !cczi_hfl_name_ok(name))
        return malformed("a member without a name", err);
    ccz_rc rc = cczi_hfl_member_add(&m, s, name, err);
    if (rc == CCZ_OK)
        m->accepted = accepted;
    return rc;
}

static ccz_rc take_head(struct head *h, struct ccz_fl_server *s, struct ccz_span in,
                        struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    ccz_rc rc = CCZ_OK;
    *h = (struct head){0};
    while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
        switch (f.number) {
        case H_CONFIG:
            h->config = f.bytes;
            break;
        case H_LAYOUT:
            h->layout = f.bytes;
            break;
        case H_ROUND:
            h->round = f.num;
            break;
        case H_SEED:
            h->seed = f.num;
            break;
        case H_RUN:
            h->run = f.bytes;
            break;
        case H_DIGEST:
            h->digest = f.bytes;
            break;
        case H_MEMBER:
            rc = take_member(s, f.bytes, err);
            break;
        case H_OPT:
            h->opt_size = f.num;
            break;
        case H_VARIATE:
            h->variate = f.num;
            break;
        case H_PAST:
            h->past = f.bytes;
            break;
        case H_PRIVATE:
            h->private = f.bytes;
            break;
        default: /* of a later version, which says so by its magic if it matters */
            break;
        }
    }
    if (rc == CCZ_OK && r.bad)
        rc = malformed("the head is malformed", err);
    return rc;
}

/* The file belongs to this training. */
static ccz_rc judge_head(const struct head *h, const struct ccz_fl_server *s, uint64_t round,
                         struct ccz_err *err)
{
    CCZ_AUTO(ccz_fl_layout) layout = NULL;
    size_t past = s->past ? ((size_t)s->cfg.staleness_max + 1) * CCZ_FL_DIGEST_SIZE : 0;
    ccz_rc rc = ccz_fl_layout_decode(&layout, h->layout, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_layout_same(layout, s->layout, err);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_span_eq(h->config, CCZ_SPAN(s->config, sizeof(s->config))))
        return ccz_hint(err,
                        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fl:checkpoint-config", h->config.ptr,
                                         h->config.size, s->config, sizeof(s->config)),
                        "optimizer, codec, local training, seed or model differ from those that "
                        "wrote it: name another folder");
    if (h->run.size != sizeof(s->run) || h->digest.size != sizeof(s->digest) ||
        h->past.size != past || h->round != round ||
        h->opt_size != ccz_agg_opt_state_size(s->opt) || h->variate != (s->variate != NULL))
        return malformed("the head contradicts the file's name or configuration", err);
    return CCZ_OK;
}

static ccz_rc get_opt(void *arg, void *out, size_t size, struct ccz_err *err)
{
    return cczi_hfl_seal_get(out, arg, size, err);
}

static ccz_rc take_model(struct ccz_fl_server *s, const struct head *h, struct cczi_hfl_seal *f,
                         struct ccz_err *err)
{
    uint8_t digest[CCZ_FL_DIGEST_SIZE], sig[CCZI_HFL_SIG_SIZE];
    uint64_t size = s->layout->len * sizeof(float);
    ccz_rc rc = cczi_hfl_seal_get(s->params, f, size, err);
    if (rc == CCZ_OK)
        rc = ccz_agg_opt_load(s->opt, get_opt, f, err);
    if (rc == CCZ_OK && s->variate)
        rc = cczi_hfl_seal_get(s->variate, f, size, err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_seal_model(s, h->round, digest, sig, err);
    if (rc == CCZ_OK && memcmp(digest, h->digest.ptr, sizeof(digest)) != 0)
        rc = ccz_refuse_bytes(err, CCZ_E_FORMAT, "fl:checkpoint-digest", digest, sizeof(digest),
                              h->digest.ptr, h->digest.size);
    if (rc == CCZ_OK)
        rc = cczi_hfl_private_load(s, h->private, err);
    if (rc != CCZ_OK)
        return rc;
    s->seed = s->cfg.seeded ? s->cfg.seed : h->seed;
    memcpy(s->run, h->run.ptr, sizeof(s->run));
    if (s->past)
        memcpy(s->past, h->past.ptr, h->past.size);
    cczi_hfl_model_ready_locked(s, h->round, digest, sig); /* nobody else knows the server yet */
    return CCZ_OK;
}

static ccz_rc load_file(struct ccz_fl_server *s, struct cczi_hfl_seal *f, uint64_t round,
                        struct ccz_err *err)
{
    uint8_t start[sizeof(MAGIC) + 8];
    struct head h;
    CCZ_AUTO_BUF head;
    ccz_buf_init(&head, HEAD_SIZE_MAX);
    ccz_rc rc = cczi_hfl_seal_get(start, f, sizeof(start), err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(start + sizeof(MAGIC), 8));
    uint64_t size = ccz_rd_le64(&r);
    if (memcmp(start, MAGIC, sizeof(MAGIC)) != 0 || size > HEAD_SIZE_MAX)
        return malformed("not a checkpoint of this version", err);
    uint8_t *room = ccz_buf_extend(&head, (size_t)size);
    if (!room && size > 0)
        return cczi_hfl_no_memory(err);
    rc = cczi_hfl_seal_get(room, f, size, err);
    if (rc == CCZ_OK)
        rc = take_head(&h, s, ccz_buf_span(&head), err);
    if (rc == CCZ_OK)
        rc = judge_head(&h, s, round, err);
    if (rc == CCZ_OK)
        rc = take_model(s, &h, f, err);
    return rc;
}

ccz_rc ccz_fl_checkpoint_load(struct ccz_fl_server **out, const char *dir,
                              const struct ccz_secret *key, const struct ccz_fl_server_cfg *cfg,
                              int64_t now_ms, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fl_server) s = NULL;
    struct cczi_hfl_seal *f;
    char name[64], path[PATH_SIZE];
    uint64_t round;
    *out = NULL;
    if (!look_through(&round, dir, 0))
        return ccz_fail(err, CCZ_E_NOT_FOUND, "fl:checkpoint", 0, "no checkpoint in %.120s", dir);
    name_of(name, round);
    ccz_rc rc = join_path(path, dir, name, err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_server_make(&s, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_seal_open(&f, path, name, key, err);
    if (rc != CCZ_OK)
        return rc;
    rc = load_file(s, f, round, err);
    cczi_hfl_seal_close(f);
    if (rc != CCZ_OK)
        return rc;
    pthread_mutex_lock(&s->lock);
    cczi_hfl_advance_locked(s, now_ms);
    pthread_mutex_unlock(&s->lock);
    *out = ccz_fl_server_take(&s);
    return CCZ_OK;
}
