/* SPDX-License-Identifier: Apache-2.0 */
/* Channels that break, shorten, repeat or change a message, at every message: both parties end, and say why. */
#define _DEFAULT_SOURCE
#include "small.h"

/* One run with a fault at `who`. */
static void faulty(struct kit_pair *k, struct small *s, bool kmeans, int who,
                   const struct ccz_chan_fault_cfg *fault)
{
    CHECK(small_new(s, kmeans, NULL) == CCZ_OK);
    kit_init(k, small_program(s, 0, kmeans), small_program(s, 1, kmeans), "he-packed");
    OK(ccz_chan_fault_new(&k->p[who].chan, k->p[who].chan, fault, e));
    for (int i = 0; i < 2; i++)
        ccz_chan_set_timeout(k->p[i].chan, fault->send_drop ? 2000 : 60000);
    kit_run(k);
}

static void done(struct kit_pair *k, struct small *s)
{
    kit_free(k);
    small_free(s);
}

/* Both failed with a reason, and party 1 has no result. */
static void ended(const struct kit_pair *k, const struct small *s, bool kmeans)
{
    for (int r = 0; r < 2; r++) {
        if (k->p[r].rc == CCZ_OK)
            fprintf(stderr, "party %d did not hear of it\n", r);
        CHECK(k->p[r].rc != CCZ_OK && k->p[r].err.where[0] && k->p[r].err.msg[0]);
    }
    CHECK(small_result(s, kmeans) == NULL);
}

static void shorten(struct small *s, bool kmeans, int who, uint64_t n)
{
    struct kit_pair k;
    faulty(&k, s, kmeans, who, &(struct ccz_chan_fault_cfg){.send_shorten = n});
    CHECK(k.p[1 - who].rc == CCZ_E_PEER);
    if (strcmp(k.p[1 - who].err.where, "chan:size") != 0 && /* whoever knows better says so */
        strncmp(k.p[1 - who].err.where, "mpc:", 4) != 0 &&
        strncmp(k.p[1 - who].err.where, "ot:", 3) != 0)
        kit_expect(&k.p[1 - who], CCZ_E_PEER, "chan:size");
    CHECK(small_result(s, kmeans) == NULL || who == 1);
    done(&k, s);
}

static void cut(struct small *s, bool kmeans, int who, uint64_t n, uint64_t received)
{
    struct kit_pair k;
    faulty(&k, s, kmeans, who, &(struct ccz_chan_fault_cfg){.send_cut_after = n - 1});
    ended(&k, s, kmeans);
    done(&k, s);
    faulty(&k, s, kmeans, who, &(struct ccz_chan_fault_cfg){.recv_cut_after = n - 1});
    CHECK(k.p[who].rc == (n - 1 < received ? CCZ_E_CLOSED : CCZ_OK));
    CHECK(who == 0 || n - 1 >= received || small_result(s, kmeans) == NULL);
    done(&k, s);
}

/* What cannot be noticed (the channel is authenticated) ends at least: with a result or a reason. */
static void flip(struct small *s, bool kmeans, int who, uint64_t n)
{
    struct kit_pair k;
    for (int repeat = 0; repeat < 2; repeat++) {
        const struct ccz_chan_fault_cfg fault = {.send_flip = repeat ? 0 : n,
                                                 .send_repeat = repeat ? n : 0};
        faulty(&k, s, kmeans, who, &fault);
        for (int r = 0; r < 2; r++)
            CHECK(k.p[r].rc == CCZ_OK || k.p[r].err.where[0]);
        done(&k, s);
    }
}

/* At some messages of each party, those of the beginning among them. */
static void all(bool kmeans, uint64_t places)
{
    struct small s;
    struct kit_pair k;
    uint64_t sent[2], received[2];
    small_init(&s);
    faulty(&k, &s, kmeans, 0, &(struct ccz_chan_fault_cfg){0});
    for (int r = 0; r < 2; r++) {
        CHECK(k.p[r].rc == CCZ_OK);
        sent[r] = ccz_chan_stats(k.p[r].chan).sent_len;
        received[r] = ccz_chan_stats(k.p[r].chan).received_len;
    }
    CHECK(small_right(&s, kmeans));
    done(&k, &s);
    for (int who = 0; who < 2; who++)
        for (uint64_t n = 1; n <= sent[who]; n += n < 2 ? 1 : sent[who] / places + 1) {
            shorten(&s, kmeans, who, n);
            if (n > 1) /* 0 is never */
                cut(&s, kmeans, who, n, received[who]);
            flip(&s, kmeans, who, n);
        }
    small_deinit(&s);
}

static void test_network(void)
{
    all(false, 6);
}

static void test_kmeans(void)
{
    all(true, 3);
}

/* A message that never comes: both end within the time limit. */
static void test_lost(void)
{
    for (int kmeans = 0; kmeans < 2; kmeans++) {
        struct small s;
        struct kit_pair k;
        small_init(&s);
        faulty(&k, &s, kmeans, 1, &(struct ccz_chan_fault_cfg){.send_drop = 9});
        ended(&k, &s, kmeans);
        done(&k, &s);
        small_deinit(&s);
    }
}

/* The settings that the other tests have not: the same values from Paillier and from a dealer. */
static void test_settings(void)
{
    static const char *const names[] = {"paillier", "dealer"};
    for (int i = 0; i < 4; i++) {
        const bool kmeans = i % 2;
        struct small s;
        struct kit_pair k;
        small_init(&s);
        CHECK(small_new(&s, kmeans, NULL) == CCZ_OK);
        kit_init(&k, small_program(&s, 0, kmeans), small_program(&s, 1, kmeans), names[i / 2]);
        k.p[0].cfg.paillier_bits = k.p[1].cfg.paillier_bits = 2048;
        kit_run(&k);
        pair_ok(&k);
        CHECK(small_right(&s, kmeans));
        done(&k, &s);
        small_deinit(&s);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"nn_faults.network", test_network},
                                            {"nn_faults.kmeans", test_kmeans},
                                            {"nn_faults.lost", test_lost},
                                            {"nn_faults.settings", test_settings}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
