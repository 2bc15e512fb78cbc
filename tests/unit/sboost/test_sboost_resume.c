/* SPDX-License-Identifier: Apache-2.0 */
/* Boosted trees with states: cut off anywhere they end as if nothing had been, and other states are refused. */
#define _GNU_SOURCE
#include "kit.h"
#include "temp_dir.h"

struct shape {
    struct ccz_sboost_cfg cfg;
    size_t hosts;
    struct ccz_secret *seal[HOSTS + 1];
};

/* Guest and hosts with states of the names dir/0, dir/1, .. */
static void seat_kept(struct party *p, const struct shape *sh, const struct table *t,
                      const struct ccz_paillier_key *key, const char *dir)
{
    static char path[HOSTS + 1][512];
    memset(p, 0, (sh->hosts + 1) * sizeof(*p));
    seat(p, sh->hosts, t, key, &sh->cfg);
    for (size_t i = 0; i <= sh->hosts; i++) {
        (void)snprintf(path[i], sizeof(path[i]), "%s/%zu", dir, i);
        p[i].run.timeout_ms = 3000;
        p[i].run.checkpoint = path[i];
        p[i].run.seal = sh->seal[i];
    }
}

static void shape_begin(struct shape *sh, size_t hosts, const struct ccz_sboost_cfg *cfg)
{
    *sh = (struct shape){.cfg = *cfg, .hosts = hosts};
    for (size_t i = 0; i <= hosts; i++) {
        uint8_t seal[32] = {(uint8_t)(i + 1)};
        CHECK(ccz_secret_from(&sh->seal[i], seal, sizeof(seal)) == CCZ_OK);
    }
}

static void shape_end(struct shape *sh)
{
    for (size_t i = 0; i <= sh->hosts; i++)
        ccz_secret_free(sh->seal[i]);
}

/* All that came out, as text. */
static void outcome(struct ccz_buf *out, const struct party *p, size_t hosts)
{
    ccz_buf_clear(out);
    ccz_sboost_model_json(out, p[0].model);
    for (size_t i = 1; i <= hosts; i++)
        ccz_sboost_part_json(out, p[i].part);
    CHECK(!out->bad);
}

/* Whoever is cut off after its n-th message, for each n: what comes out in the end is what comes out of an undisturbed training. */
static void interrupted(size_t hosts, const struct ccz_sboost_cfg *cfg, uint64_t step)
{
    static struct table t;
    static struct party p[HOSTS + 1];
    struct shape sh;
    char dir[32] = "calm";
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO_BUF want;
    CCZ_AUTO_BUF got;
    ccz_buf_init(&want, 1 << 20);
    ccz_buf_init(&got, 1 << 20);
    fill(&t, cfg->loss, 11);
    shape_begin(&sh, hosts, cfg);
    static unsigned turn;
    (void)snprintf(dir, sizeof(dir), "calm-%u", turn);
    seat_kept(p, &sh, &t, key, temp_make_dir(dir));
    run_all(p, hosts);
    all_well(p, hosts);
    outcome(&want, p, hosts);
    clear(p, hosts);
    unsigned cuts = 0, resumed = 0;
    for (size_t side = 0; side <= hosts; side++)
        for (uint64_t n = 1;; n += step) {
            const struct ccz_chan_fault_cfg fault = {.send_cut_after = n};
            char text[512];
            (void)snprintf(dir, sizeof(dir), "wild-%u-%zu-%u", turn, side, (unsigned)n);
            (void)snprintf(text, sizeof(text), "%s", temp_make_dir(dir));
            seat_kept(p, &sh, &t, key, text);
            struct ccz_chan **last = &p[side].chan[p[side].len - 1];
            CHECK(ccz_chan_fault_new(last, *last, &fault, NULL) == CCZ_OK);
            run_all(p, hosts);
            bool cut = p[0].rc != CCZ_OK;
            unsigned trees = p[0].trees;
            for (size_t i = 0; i <= hosts; i++)
                cut |= p[i].rc != CCZ_OK;
            clear(p, hosts);
            seat_kept(p, &sh, &t, key, text); /* again, with what there is */
            run_all(p, hosts);
            all_well(p, hosts);
            outcome(&got, p, hosts);
            CHECK(ccz_span_eq(ccz_buf_span(&got), ccz_buf_span(&want)));
            for (size_t i = 1; i <= hosts; i++)
                CHECK(p[i].trees >= p[0].trees && p[i].trees <= p[0].trees + 1);
            CHECK(p[0].trees + trees == cfg->rounds * cczi_sb_outputs(cfg)); /* none twice */
            cuts += cut;
            resumed += cut && trees > 0;
            clear(p, hosts);
            if (!cut)
                break;
        }
    CHECK(cuts > 2 && resumed > 0);
    turn++;
    shape_end(&sh);
}

static void resume(void)
{
    temp_setup();
    interrupted(1, &(struct ccz_sboost_cfg){.rounds = 3, .depth = 3, .bins = 8}, 7);
    interrupted(2,
                &(struct ccz_sboost_cfg){
                    .rounds = 3, .depth = 2, .bins = 8, .goss_top = 0.2, .goss_rest = 0.3},
                13);
    interrupted(1,
                &(struct ccz_sboost_cfg){
                    .loss = CCZ_SBOOST_SOFTMAX, .classes = 3, .rounds = 2, .depth = 2, .bins = 8},
                13);
}

static void flip(const char *path)
{
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    CHECK(ccz_file_read(&b, path, NULL) == CCZ_OK && b.size > 100);
    b.ptr[100] ^= 1;
    CHECK(ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    ccz_buf_free(&b);
}

static void swap(const char *a, const char *b)
{
    char tmp[512];
    (void)snprintf(tmp, sizeof(tmp), "%s", temp_path("swapped"));
    CHECK(rename(a, tmp) == 0 && rename(b, a) == 0 && rename(tmp, b) == 0);
}

/* ------------------------------------------------------------------------------- other states */

enum {
    NO_GUEST,
    NO_HOST,
    OTHER_RUN,
    MIXED,
    FLIP_GUEST,
    FLIP_HOST,
    SEAL,
    SEED,
    LABELS,
    COLUMNS,
    CONFIG,
    NO_SEAL,
    CASES
};

/* Guest and host with states in two directories: two runs of the same, each cut off after two trees. */
struct two_runs {
    struct table t;
    struct party p[2];
    struct shape sh;
    struct ccz_paillier_key *key;
    char dir[2][512];
};

static void two_runs_begin(struct two_runs *w)
{
    const struct ccz_sboost_cfg cfg = {.rounds = 3, .depth = 2, .bins = 8};
    struct party *p = w->p;
    w->key = small_key();
    fill(&w->t, CCZ_SBOOST_LOGISTIC, 11);
    shape_begin(&w->sh, 1, &cfg);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(w->dir[i], sizeof(w->dir[i]), "%s", temp_make_dir(i ? "b" : "a"));
        seat_kept(p, &w->sh, &w->t, w->key, w->dir[i]);
        p[0].run.sample_seed = 0; /* so that they are two */
        p[0].stop_after = 2;
        run_all(p, 1);
        CHECK(p[0].rc != CCZ_OK && p[0].trees == 2);
        clear(p, 1);
    }
}

/* Changes the files of the first run; once more, and they are as they were. */
static void spoil(const struct two_runs *w, int what)
{
    char guest[600], host[600], other[600];
    (void)snprintf(guest, sizeof(guest), "%s/0.1", w->dir[0]);
    (void)snprintf(host, sizeof(host), "%s/1.1", w->dir[0]);
    (void)snprintf(other, sizeof(other), "%s/1.1", w->dir[1]);
    if (what == MIXED)
        swap(host, other);
    if (what == FLIP_GUEST)
        flip(guest);
    if (what == FLIP_HOST)
        flip(host);
}

static void run_spoilt(struct two_runs *w, int what)
{
    struct party *p = w->p;
    char other[600];
    (void)snprintf(other, sizeof(other), "%s/1", w->dir[1]);
    w->sh.cfg.gamma = what == CONFIG ? 1 : 0;
    seat_kept(p, &w->sh, &w->t, w->key, w->dir[0]);
    p[0].run.sample_seed = what == SEED ? 9 : 0;
    if (what == NO_GUEST)
        p[0].run.checkpoint = temp_path("none");
    if (what == NO_HOST)
        p[1].run.checkpoint = temp_path("none");
    if (what == OTHER_RUN)
        p[1].run.checkpoint = other;
    if (what == SEAL)
        p[1].run.seal = w->sh.seal[0];
    if (what == COLUMNS)
        p[1].x[5] += 1;
    if (what == NO_SEAL)
        p[0].run.seal = NULL;
    run_all(p, 1);
}

/* As it was, it goes on; and then both have the end of it without the other. */
static void goes_on(struct two_runs *w)
{
    struct party *p = w->p;
    struct ccz_err err = {0};
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO(ccz_sboost_model) m = NULL;
        CCZ_AUTO(ccz_sboost_part) part = NULL;
        CCZ_AUTO_BUF want;
        CCZ_AUTO_BUF got;
        ccz_buf_init(&want, 1 << 20);
        ccz_buf_init(&got, 1 << 20);
        seat_kept(p, &w->sh, &w->t, w->key, w->dir[0]);
        p[0].run.sample_seed = 0;
        ccz_rc rc[2] = {ccz_sboost_guest_stored(&m, 1, &p[0].data, &p[0].run, &err),
                        ccz_sboost_host_stored(&part, &p[1].data, &p[1].run, &err)};
        CHECK(rc[0] == (i ? CCZ_OK : CCZ_E_NOT_FOUND) && rc[1] == rc[0]);
        CHECK(i || strcmp(err.where, "sboost:unfinished") == 0);
        run_all(p, 1);
        all_well(p, 1);
        CHECK(p[0].trees == (i ? 0 : 1));
        outcome(&want, p, 1);
        if (i) {
            ccz_sboost_model_json(&got, m);
            ccz_sboost_part_json(&got, part);
            CHECK(ccz_span_eq(ccz_buf_span(&got), ccz_buf_span(&want)));
        }
        clear(p, 1);
    }
}

/* States that are not of this training, of this run, or not as they were written. */
static void resume_refuses(void)
{
    static struct two_runs w;
    static const struct {
        int who;
        const char *where;
    } want[CASES] = {[NO_GUEST] = {0, "sboost:resume"},
                     [NO_HOST] = {0, "sboost:resume"},
                     [OTHER_RUN] = {0, "sboost:resume"},
                     [MIXED] = {1, "sboost:checkpoint-config"},
                     [FLIP_GUEST] = {0, "pf:"},
                     [FLIP_HOST] = {1, "pf:"},
                     [SEAL] = {1, "pf:"},
                     [SEED] = {0, "sboost:checkpoint-config"},
                     [LABELS] = {0, "sboost:checkpoint-config"},
                     [COLUMNS] = {1, "sboost:checkpoint-config"},
                     [CONFIG] = {0, "sboost:checkpoint-config"},
                     [NO_SEAL] = {0, "sboost:config"}};
    temp_setup();
    two_runs_begin(&w);
    for (int i = 0; i < CASES; i++) {
        const struct party *p = w.p, *who = &p[want[i].who];
        const double kept = w.t.y[3];
        if (i == LABELS)
            w.t.y[3] = 1 - kept;
        spoil(&w, i);
        run_spoilt(&w, i);
        if (strncmp(who->err.where, want[i].where, strlen(want[i].where)) != 0)
            fprintf(stderr, "case %d: %s: %s\n", i, who->err.where, who->err.msg);
        CHECK(strncmp(who->err.where, want[i].where, strlen(want[i].where)) == 0);
        CHECK(p[0].rc != CCZ_OK && p[1].rc != CCZ_OK && !p[0].model && !p[1].part);
        clear(w.p, 1);
        w.t.y[3] = kept;
        spoil(&w, i);
    }
    goes_on(&w);
    shape_end(&w.sh);
    ccz_paillier_key_free(w.key);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"sboost.resume", resume},
        {"sboost.resume_refuses", resume_refuses},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
