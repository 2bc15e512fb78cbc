/* SPDX-License-Identifier: Apache-2.0 */
/* The counter outside of the store: what it holds, when it is compared and advanced. */
#define _DEFAULT_SOURCE
#include "master_priv.h"

#include "kms_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define MAGIC     "cczkmse1"
#define MAC_LABEL "cczoo kms v1 epoch"
#define MARKER    "epoch" /* in the state folder: this store is counted */
enum {
    MAC_SIZE = 32,
    KEY_SIZE = 32,
    MACED_SIZE = 8 + 8 + 32,
    RETRY_MS = 1000,
    LOCK_TRIES = 500, /* 5 s: whoever holds it writes a few bytes */
    LOCK_PAUSE_NS = 10000000,
    LOAD_SIZE_MAX = 16 * CCZI_EPOCH_SIZE
};

static const struct cczi_kms_epoch_ops *const kinds[] = {&cczi_epoch_file, &cczi_epoch_pkcs11};
enum { KINDS_LEN = sizeof(kinds) / sizeof(kinds[0]) };

/* --------------------------------------------------------------------------- records */

/* @param n  of the keys that lie one behind the other */
static ccz_rc mac(uint8_t out[MAC_SIZE], const struct ccz_secret *keys, size_t n,
                  const uint8_t *record)
{
    return ccz_hmac(out, CCZ_SHA256, CCZ_SPAN(ccz_secret_view(keys) + n * KEY_SIZE, KEY_SIZE),
                    &CCZ_SPAN(record, MACED_SIZE), 1);
}

/* There is a record under the key of now, or what there was is not to be compared any more. */
static void forget_past(struct ccz_kms_epoch *e)
{
    ccz_secret_free(e->past);
    e->past = NULL;
}

/* Under the lock of the process, and that of the place. */
static ccz_rc write_record(struct ccz_kms_epoch *e, const struct cczi_kms_mark *m,
                           struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZI_EPOCH_SIZE);
    ccz_buf_put_str(&b, MAGIC);
    ccz_buf_le64(&b, m->seq);
    ccz_buf_put(&b, m->hash, sizeof(m->hash));
    uint8_t tags[2][MAC_SIZE] = {{0}};
    ccz_rc rc = b.bad ? CCZ_E_NOMEM : mac(tags[0], e->key, 0, b.ptr);
    if (rc == CCZ_OK && e->next_key)
        rc = mac(tags[1], e->next_key, 0, b.ptr);
    ccz_buf_put(&b, tags, sizeof(tags));
    if (rc != CCZ_OK || b.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:epoch", 0, "cannot compute the MAC of the counter");
    rc = e->ops->save(e, ccz_buf_span(&b), err);
    if (rc != CCZ_OK)
        return cczi_kms_hint(err, rc);
    e->saved = *m;
    e->doubled = e->next_key != NULL;
    forget_past(e);
    return rc;
}

/* False where it is under none of the keys. @param[out] doubled  it has a second MAC */
static bool record_open(struct cczi_kms_mark *out, bool *doubled, const struct ccz_secret *keys,
                        const uint8_t *record)
{
    static const uint8_t none[MAC_SIZE];
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(record, CCZI_EPOCH_SIZE));
    struct ccz_span magic = ccz_rd_take(&r, 8);
    out->seq = ccz_rd_le64(&r);
    ccz_rd_copy(&r, out->hash, sizeof(out->hash));
    uint8_t tags[2][MAC_SIZE], want[MAC_SIZE] = {0};
    ccz_rd_copy(&r, tags, sizeof(tags));
    if (!ccz_rd_done(&r) || !ccz_span_eq(magic, ccz_span_str(MAGIC)))
        return false;
    *doubled = memcmp(tags[1], none, MAC_SIZE) != 0;
    bool opens = false;
    for (size_t n = 0; n < ccz_secret_size(keys) / KEY_SIZE; n++) {
        if (mac(want, keys, n, record) != CCZ_OK)
            return false;
        /* the second is of a rekey that was cut short: then the store is under its key */
        opens |= ccz_ct_eq(want, tags[0], MAC_SIZE) | ccz_ct_eq(want, tags[1], MAC_SIZE);
    }
    return opens;
}

/* The highest of the records that are under one of the keys. */
static bool find(struct cczi_kms_mark *out, struct ccz_kms_epoch *e, const struct ccz_secret *keys,
                 struct ccz_span records)
{
    struct cczi_kms_mark m;
    bool found = false, doubled;
    for (size_t at = 0; at < records.size; at += CCZI_EPOCH_SIZE) {
        if (!record_open(&m, &doubled, keys, records.ptr + at) || (found && m.seq <= out->seq))
            continue;
        *out = m;
        e->doubled = doubled;
        found = true;
    }
    return found;
}

/* CCZ_E_NOT_FOUND: there is none. CCZ_E_SIG: it is not of this store's master key. */
static ccz_rc load(struct cczi_kms_mark *out, struct ccz_kms_epoch *e, struct ccz_err *err)
{
    *out = (struct cczi_kms_mark){0};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, LOAD_SIZE_MAX);
    ccz_rc rc = e->ops->load(&b, e, err);
    if (rc != CCZ_OK)
        return cczi_kms_hint(err, rc);
    bool whole = !b.bad && b.size % CCZI_EPOCH_SIZE == 0;
    if (whole && (find(out, e, e->key, ccz_buf_span(&b)) ||
                  (e->past && find(out, e, e->past, ccz_buf_span(&b)))))
        return CCZ_OK;
    (void)ccz_fail(err, CCZ_E_SIG, "kms:epoch-mac", (int64_t)b.size,
                   "the counter is not one of this store's, or was changed");
    return cczi_kms_hint(err, CCZ_E_SIG);
}

/* @param[out] fd  to be closed, which unlocks */
static ccz_rc lock_place(int *fd, const struct ccz_kms_epoch *e, struct ccz_err *err)
{
    *fd = open(e->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int got = *fd < 0 ? -1 : flock(*fd, LOCK_EX | LOCK_NB);
    for (unsigned n = 0;
         got != 0 && *fd >= 0 && (errno == EWOULDBLOCK || errno == EINTR) && n < LOCK_TRIES; n++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NS}, NULL);
        got = flock(*fd, LOCK_EX | LOCK_NB);
    }
    if (got == 0)
        return CCZ_OK;
    int why = errno;
    if (*fd >= 0)
        (void)close(*fd);
    return ccz_fail(err, CCZ_E_IO, "kms:epoch", why, "cannot lock %s: %s", e->lock_path,
                    strerror(why));
}

/*
 * Writes @p m unless another process has counted as far. What is under none of our keys is not compared, and so not written over:
 * a server that is late must not take back what a rekey beside it has counted under the next master key.
 * @param renew  what is there is written anew in any case: other MACs belong to it
 */
static ccz_rc save_higher(struct ccz_kms_epoch *e, const struct cczi_kms_mark *m, bool renew,
                          struct ccz_err *err)
{
    struct cczi_kms_mark there, top = *m;
    struct ccz_err why = {0};
    ccz_rc rc = e->overwrite ? CCZ_E_NOT_FOUND : load(&there, e, &why);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND) {
        if (err)
            *err = why;
        return rc;
    }
    if (rc == CCZ_OK && there.seq >= m->seq) {
        top = there;
        if (!e->next_key && !renew) {
            e->saved = top;
            return CCZ_OK;
        }
    }
    rc = write_record(e, &top, err);
    if (rc == CCZ_OK)
        e->overwrite = false;
    return rc;
}

/* Under the lock, or before there are threads. */
static ccz_rc save(struct ccz_kms_epoch *e, const struct cczi_kms_mark *m, bool renew,
                   struct ccz_err *err)
{
    if (e->cfg.read_only)
        return CCZ_OK;
    int fd;
    ccz_rc rc = lock_place(&fd, e, err);
    if (rc != CCZ_OK)
        return cczi_kms_hint(err, rc);
    rc = save_higher(e, m, renew, err);
    (void)close(fd);
    return rc;
}

static ccz_rc derive(struct ccz_secret **out, const struct ccz_secret *master, struct ccz_err *err)
{
    ccz_secret_free(*out);
    *out = NULL;
    ccz_rc rc = ccz_secret_derive(out, KEY_SIZE, master, MAC_LABEL);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kms:epoch", 0, "cannot derive a key");
}

ccz_rc cczi_kms_epoch_bind(struct ccz_kms_epoch *e, const struct ccz_secret *master,
                           struct ccz_err *err)
{
    forget_past(e);
    return derive(&e->key, master, err);
}

/* ------------------------------------------------------------------------------ rekey */

ccz_rc cczi_kms_epoch_bind_next(struct ccz_kms_epoch *e, const struct ccz_secret *master,
                                struct ccz_err *err)
{
    (void)pthread_mutex_lock(&e->lock);
    ccz_rc rc = derive(&e->next_key, master, err);
    /* before the commit, so that whichever key the store is under after a crash finds its MAC */
    struct cczi_kms_mark m = e->due.seq > e->saved.seq ? e->due : e->saved;
    if (rc == CCZ_OK)
        rc = save(e, &m, true, err);
    (void)pthread_mutex_unlock(&e->lock);
    return rc;
}

void cczi_kms_epoch_settle(struct ccz_kms_epoch *e, enum cczi_kms_rekeyed how)
{
    if (how == CCZI_KMS_REKEY_UNKNOWN) /* every record from here on has both MACs */
        return;
    (void)pthread_mutex_lock(&e->lock);
    if (how == CCZI_KMS_REKEY_DONE) {
        forget_past(e); /* a server that is late may have counted under the old key since */
        e->past = e->key;
        e->key = ccz_secret_take(&e->next_key);
    }
    ccz_secret_free(e->next_key);
    e->next_key = NULL;
    struct cczi_kms_mark m = e->due.seq > e->saved.seq ? e->due : e->saved;
    struct ccz_err err = {0};
    if (save(e, &m, true, &err) != CCZ_OK) /* the record with both MACs stays: as good */
        ccz_log_err(CCZ_LOG_WARN, "kms", "epoch", &err);
    (void)pthread_mutex_unlock(&e->lock);
}

/* --------------------------------------------------------------------------- compare */

static ccz_rc required(struct ccz_err *err)
{
    (void)ccz_fail(err, CCZ_E_DENIED, "kms:epoch-required", 0,
                   "this store has a counter outside of it, and none is given");
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

ccz_rc cczi_kms_epoch_required(const char *dir, struct ccz_err *err)
{
    char path[4096 + 16];
    (void)snprintf(path, sizeof(path), "%s/" MARKER, dir);
    if (access(path, F_OK) == 0)
        return required(err);
    return errno == ENOENT || errno == ENOTDIR
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_IO, "kms:epoch", errno,
                          "cannot see whether this store has a counter: %s", strerror(errno));
}

/* A row that no caller can name, as that of the signing key: in the set of rows, so that it cannot be left out. */
static const struct cczi_kms_slot counted = {.ref = {.kind = CCZI_KMS_SYSTEM, .name = "epoch"},
                                             .version = 1};

ccz_rc cczi_kms_epoch_required_by(struct ccz_kms_store *s, struct ccz_err *err)
{
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    ccz_rc rc = cczi_kms_item_get(&it, s, &counted.ref, counted.version, err);
    cczi_kms_item_deinit(&it);
    return rc == CCZ_OK ? required(err) : rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

ccz_rc cczi_kms_counted_put(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err)
{
    uint32_t last = 0;
    ccz_rc rc = cczi_kms_item_last(&last, s, &counted.ref, err);
    return rc == CCZ_OK && last == 0
               ? cczi_kms_item_put(s, &counted, now_s, 0, (struct ccz_span){0},
                                   ccz_span_str("counted"), err)
               : rc;
}

static ccz_rc put_marker(const struct ccz_kms_epoch *e, struct ccz_err *err)
{
    static const char text[] = "this store is opened with --epoch only\n";
    return ccz_file_write(e->marker, ccz_span_str(text), 0600, CCZ_FILE_REPLACE, err);
}

ccz_rc cczi_kms_epoch_first(struct ccz_kms_epoch *e, struct ccz_err *err)
{
    struct cczi_kms_mark m;
    struct ccz_err why = {0};
    ccz_rc rc = load(&m, e, &why);
    if (rc == CCZ_OK ? m.seq != 0 : rc != CCZ_E_NOT_FOUND) {
        if (rc != CCZ_OK && rc != CCZ_E_SIG) {
            if (err)
                *err = why;
            return rc;
        }
        (void)ccz_fail(err, CCZ_E_EXISTS, "kms:epoch-exists", (int64_t)m.seq,
                       "there is a counter already, of another store");
        return cczi_kms_hint(err, CCZ_E_EXISTS);
    }
    m = (struct cczi_kms_mark){0};
    rc = save(e, &m, false, err);
    return rc == CCZ_OK ? put_marker(e, err) : rc; /* behind it: without a counter, no mark */
}

/* @p hash  of line m->seq of the chain that ends in @p head */
static ccz_rc compare(const struct cczi_kms_mark *m, const struct cczi_kms_head *head,
                      const uint8_t hash[32], struct ccz_err *err)
{
    if (head->seq < m->seq) {
        (void)ccz_refuse_num(err, CCZ_E_SIG, "kms:rolled-back", (int64_t)head->seq,
                             (int64_t)m->seq);
        return cczi_kms_hint(err, CCZ_E_SIG);
    }
    if (!ccz_ct_eq(hash, m->hash, sizeof(m->hash))) {
        (void)ccz_refuse_bytes(err, CCZ_E_SIG, "kms:forked", hash, 32, m->hash, 32);
        return cczi_kms_hint(err, CCZ_E_SIG);
    }
    return CCZ_OK;
}

/* What the operator takes as it is: the counter starts again at the next commit. */
static ccz_rc accept_it(struct ccz_kms_epoch *e, const char *what)
{
    e->accepted = what;
    e->overwrite = true;
    e->saved = (struct cczi_kms_mark){0};
    return CCZ_OK;
}

ccz_rc cczi_kms_epoch_load(uint64_t *seq, struct ccz_kms_epoch *e, struct ccz_err *err)
{
    ccz_rc rc = load(&e->saved, e, err);
    *seq = e->saved.seq;
    return rc;
}

ccz_rc cczi_kms_epoch_compare(struct ccz_kms_epoch *e, ccz_rc loaded, const struct ccz_err *why,
                              const struct cczi_kms_head *head, const uint8_t hash[32],
                              struct ccz_err *err)
{
    if (e->cfg.accept_lost && (loaded == CCZ_E_NOT_FOUND || loaded == CCZ_E_SIG))
        return accept_it(e, "lost");
    if (loaded != CCZ_OK) {
        if (err)
            *err = *why;
        return loaded;
    }
    ccz_rc rc = compare(&e->saved, head, hash, err);
    if (e->cfg.accept_rolled_back && rc == CCZ_E_SIG)
        return accept_it(e, "rolled-back");
    if (rc != CCZ_OK)
        return rc;
    struct cczi_kms_mark now = {.seq = head->seq};
    memcpy(now.hash, head->hash, sizeof(now.hash));
    /* a crash came before it, or a rekey elsewhere, which adds a line; or the store was seen under one of the two keys of a rekey,
     * and the other one is done with */
    return now.seq > e->saved.seq || e->doubled ? save(e, &now, e->doubled, err) : CCZ_OK;
}

uint64_t cczi_kms_epoch_last(struct ccz_kms_epoch *e)
{
    (void)pthread_mutex_lock(&e->lock);
    uint64_t last = e->due.seq > e->saved.seq ? e->due.seq : e->saved.seq;
    (void)pthread_mutex_unlock(&e->lock);
    return last;
}

ccz_rc cczi_kms_epoch_seen(uint64_t last, const struct cczi_kms_head *head, struct ccz_err *err)
{
    if (head->seq >= last)
        return CCZ_OK;
    (void)ccz_refuse_num(err, CCZ_E_SIG, "kms:rolled-back", (int64_t)head->seq, (int64_t)last);
    return cczi_kms_hint(err, CCZ_E_SIG);
}

ccz_rc ccz_kms_epoch_accept(const char **what, struct ccz_kms_store *s, int64_t now_s,
                            struct ccz_err *err)
{
    struct ccz_kms_epoch *e = s->epoch;
    if (what)
        *what = "nothing";
    if (!e || !e->accepted)
        return CCZ_OK;
    char entry[128];
    int n = snprintf(entry, sizeof(entry),
                     "{\"op\":\"epoch\",\"verdict\":\"accept\",\"accepted\":\"%s\"}", e->accepted);
    struct ccz_kms_receipt receipt;
    ccz_rc rc = put_marker(e, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_begin(s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_counted_put(s, now_s, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_audit_append(&receipt, s, now_s, CCZ_SPAN(entry, (size_t)n), err);
    if (rc != CCZ_OK) {
        cczi_kms_rollback(s);
        return rc;
    }
    rc = cczi_kms_commit(s, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_settle(s, err);
    if (rc == CCZ_OK && what)
        *what = e->accepted;
    if (rc == CCZ_OK)
        e->accepted = NULL;
    return rc;
}

/* --------------------------------------------------------------------------- advance */

/* With the lock held. */
static bool pending(const struct ccz_kms_epoch *e)
{
    return e->due.seq > e->saved.seq;
}

static void wait_until(struct ccz_kms_epoch *e, int64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)pthread_cond_timedwait(&e->wake, &e->lock, &t);
}

/* Advances what is due, at its time. */
static void *follow(void *arg)
{
    struct ccz_kms_epoch *e = arg;
    (void)pthread_mutex_lock(&e->lock);
    while (!e->stop) {
        if (!pending(e)) {
            (void)pthread_cond_wait(&e->wake, &e->lock);
        } else if (ccz_mono_ms() < e->due_ms) {
            wait_until(e, e->due_ms);
        } else {
            struct cczi_kms_mark m = e->due;
            struct ccz_err err = {0};
            if (save(e, &m, false, &err) != CCZ_OK) {
                ccz_log_err(CCZ_LOG_ERROR, "kms", "epoch", &err);
                e->due_ms = ccz_mono_ms() + RETRY_MS;
            }
            e->failed = err;
        }
    }
    (void)pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* With the lock held. */
static ccz_rc follow_start(struct ccz_kms_epoch *e, struct ccz_err *err)
{
    if (e->running)
        return CCZ_OK;
    if (pthread_create(&e->thread, NULL, follow, e) != 0)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:epoch", 0, "cannot start a thread");
    e->running = true;
    return CCZ_OK;
}

ccz_rc cczi_kms_epoch_advance(struct ccz_kms_epoch *e, const struct cczi_kms_head *head,
                              struct ccz_err *err)
{
    struct cczi_kms_mark m = {.seq = head->seq};
    memcpy(m.hash, head->hash, sizeof(m.hash));
    ccz_rc rc = CCZ_OK;
    (void)pthread_mutex_lock(&e->lock);
    if (m.seq > e->saved.seq && e->cfg.lag_s == 0) {
        rc = save(e, &m, false, err);
    } else if (m.seq > e->saved.seq) {
        if (!pending(e))
            e->due_ms = ccz_mono_ms() + (int64_t)e->cfg.lag_s * 1000;
        e->due = m;
        rc = follow_start(e, err);
        (void)pthread_cond_signal(&e->wake);
        if (rc == CCZ_OK && e->failed.rc != CCZ_OK) { /* the window would grow without end */
            rc = e->failed.rc;
            if (err)
                *err = e->failed;
        }
    }
    (void)pthread_mutex_unlock(&e->lock);
    return rc;
}

/* ------------------------------------------------------------------------- open, free */

static ccz_rc bad_spec(struct ccz_err *err)
{
    return ccz_refuse(err, CCZ_E_ARG, "kms:epoch-spec", "another text", "file:PATH or pkcs11:URI");
}

static ccz_rc init_sync(struct ccz_kms_epoch *e)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return CCZ_E_NOMEM;
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* as ccz_mono_ms() */
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_cond_init(&e->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    return CCZ_OK;
}

ccz_rc ccz_kms_epoch_open(struct ccz_kms_epoch **out, const struct ccz_kms_epoch_cfg *cfg,
                          struct ccz_err *err)
{
    *out = NULL;
    const char *colon = cfg->spec ? strchr(cfg->spec, ':') : NULL;
    if (!colon)
        return bad_spec(err);
    if (cfg->lag_s > CCZ_KMS_EPOCH_LAG_MAX_S)
        return ccz_refuse_num(err, CCZ_E_ARG, "kms:epoch-lag", cfg->lag_s, CCZ_KMS_EPOCH_LAG_MAX_S);
    struct ccz_kms_epoch *fresh = calloc(1, sizeof(*fresh));
    if (!fresh || init_sync(fresh) != CCZ_OK) {
        free(fresh);
        return ccz_fail(err, CCZ_E_NOMEM, "kms:epoch", 0, "out of memory");
    }
    CCZ_AUTO(ccz_kms_epoch) e = fresh;
    e->cfg = *cfg;
    e->cfg.spec = e->cfg.dir = NULL;
    for (size_t i = 0; i < KINDS_LEN; i++)
        if (strlen(kinds[i]->name) == (size_t)(colon - cfg->spec) &&
            memcmp(kinds[i]->name, cfg->spec, (size_t)(colon - cfg->spec)) == 0)
            e->ops = kinds[i];
    if (!e->ops)
        return bad_spec(err);
    int n = snprintf(e->marker, sizeof(e->marker), "%s/" MARKER, cfg->dir);
    if (n < 0 || (size_t)n >= sizeof(e->marker))
        return ccz_fail(err, CCZ_E_LIMIT, "kms:path", n,
                        "the path of the state folder is too long");
    ccz_rc rc = e->ops->open(e, colon + 1, cfg, err);
    (void)snprintf(e->lock_path, sizeof(e->lock_path), "%s.lock", e->path[0] ? e->path : e->marker);
    if (rc == CCZ_OK)
        *out = ccz_kms_epoch_take(&e);
    return rc;
}

void ccz_kms_epoch_free(struct ccz_kms_epoch *e)
{
    if (!e)
        return;
    (void)pthread_mutex_lock(&e->lock);
    e->stop = true;
    (void)pthread_cond_signal(&e->wake);
    (void)pthread_mutex_unlock(&e->lock);
    if (e->running)
        (void)pthread_join(e->thread, NULL);
    struct ccz_err err = {0};
    struct cczi_kms_mark m = e->due;
    if (pending(e) && save(e, &m, false, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "kms", "epoch", &err);
    if (e->ops)
        e->ops->close(e);
    ccz_secret_free(e->key);
    ccz_secret_free(e->next_key);
    ccz_secret_free(e->past);
    (void)pthread_cond_destroy(&e->wake);
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
}
