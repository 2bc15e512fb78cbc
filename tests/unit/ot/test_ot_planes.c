/* SPDX-License-Identifier: Apache-2.0 */
/* A receiver of OTs whose corrections are wrong in every group, but such that the errors cancel when planes are added up with the
 * weights x^i. Then one guess of k bits, the sum of all groups of delta, would do for all; afterwards rows would be masked by single
 * groups, and delta could be read off OTs group by group. SoftSpokenOT is included as source, with other names. */
#define _DEFAULT_SOURCE
#define cczi_soft_init   own_soft_init
#define cczi_soft_deinit own_soft_deinit
#define cczi_soft_send   own_soft_send
#define cczi_soft_recv   own_soft_recv
#define cczi_soft_size   own_soft_size
#define cczi_setup_size  own_setup_size
#define cczi_hello_check own_hello_check
#include "ot/softspoken.c"

#include "kit.h"

enum { BLOCKS = 70, ROWS = 128 * BLOCKS };

/* Nibbles 1, 2, .. 15 and so on. */
static const struct ccz_f128 delta = {0xfedcba987654321fu, 0x123456789abcdef1u};

static uint64_t nibble(size_t group)
{
    return (group < 16 ? delta.lo : delta.hi) >> 4 * (group % 16) & 15;
}

static struct {
    size_t groups; /* that are wrong, from the first */
    bool guess;    /* what has to be opened so that the weighted sum is right */
    bool split;    /* the same, told plane by plane, for a delta whose groups are known */
    size_t flip;   /* an opened sum that is wrong, from 1; 0: none */
} plan;

static struct ccz_f128 error_of(size_t block)
{
    return (struct ccz_f128){3 * block + 1, ~block};
}

/* x^(-k group) error_of(block): times the weight of its group it is error_of(block), whatever the group. */
static struct ccz_f128 error_in(size_t group, size_t block)
{
    const struct ccz_f128 inverse = {0x43, (uint64_t)1 << 63}; /* of x */
    struct ccz_f128 e = error_of(block);
    for (size_t i = 0; i < 4 * group; i++)
        e = ccz_f128_mul(e, inverse);
    return e;
}

/* recv_batch() with errors. */
static ccz_rc cheat_batch(struct batch *b, const struct ccz_f128 *w, struct cczi_soft *s)
{
    memcpy(b->w.at, w, b->blocks * sizeof(*w));
    for (size_t from = 0; from < b->blocks; from += CHUNK)
        recv_chunk(NULL, 0, b, from, b->blocks - from < CHUNK ? b->blocks - from : CHUNK, s);
    for (size_t g = 0; g < plan.groups; g++)
        for (size_t i = 0; i + 1 < b->blocks; i++)
            add_to(&b->msg.at[g * b->blocks + i], &(struct ccz_f128[]){error_in(g, i)}[0], 1);
    struct ccz_f128 chi = challenge(s, b), *opened = b->msg.at + b->msg.len - CHECK_LEN;
    opened[0] = s->kernels->poly(b->w.at, b->blocks, chi);
    hash_planes(opened + 1, b, chi, s);
    struct ccz_f128 error = {0};
    for (size_t i = b->blocks - 1; i-- > 0;)
        error = ccz_f128_mul(cczi_f128_add(error, error_of(i)), chi);
    uint64_t sum = 0;
    for (size_t g = 0; g < plan.groups; g++)
        sum ^= nibble(g);
    struct ccz_f128 told = ccz_f128_mul(error, (struct ccz_f128){sum, 0});
    if (plan.guess)
        add_to(&opened[1], &told, 1);
    for (size_t p = 0; plan.split && p < 4 * plan.groups; p++) {
        struct ccz_f128 e = error;
        for (size_t i = 0; i < p / 4 * 4; i++)
            e = ccz_f128_mul(e, (struct ccz_f128){0x43, (uint64_t)1 << 63});
        if (nibble(p / 4) >> p % 4 & 1)
            add_to(&opened[1 + p], &e, 1);
    }
    if (plan.flip > 0)
        opened[plan.flip - 1].hi ^= 2;
    return ccz_chan_send(s->chan, CCZ_SPAN(b->msg.at, b->msg.len * sizeof(*b->msg.at)), NULL);
}

static void *sender(void *arg)
{
    struct party *p = arg;
    struct cczi_soft s;
    CHECK(own_soft_init(&s, true, CCZI_OT_EXTENSION, 0, p->chan, &p->cfg, NULL) == CCZ_OK);
    p->rc = own_soft_send(p->x, ROWS, p->y, BLOCKS, &s, &p->err);
    own_soft_deinit(&s);
    return NULL;
}

static void *receiver(void *arg)
{
    struct party *p = arg;
    struct cczi_soft s;
    struct batch b;
    struct ccz_f128 w[BLOCKS + 1];
    CHECK(own_soft_init(&s, false, CCZI_OT_EXTENSION, 0, p->chan, &p->cfg, NULL) == CCZ_OK);
    CHECK(batch_init(&b, BLOCKS, true, &s, NULL) == CCZ_OK);
    CHECK(cczi_random_f128(w, BLOCKS + 1, s.kernels, NULL) == CCZ_OK);
    CHECK(cheat_batch(&b, w, &s) == CCZ_OK);
    batch_deinit(&b);
    own_soft_deinit(&s);
    return NULL;
}

static bool accepted(size_t groups, bool guess, bool split)
{
    struct two t = two_new((size_t)ROWS);
    plan.groups = groups;
    plan.guess = guess;
    plan.split = split;
    t.p[0].cfg.delta = &delta;
    two_run(&t, sender, receiver);
    ccz_rc rc = t.p[0].rc;
    CHECK(rc == CCZ_OK || (rc == CCZ_E_PEER && strcmp(t.p[0].err.where, "ot:consistency") == 0));
    two_free(&t);
    return rc == CCZ_OK;
}

static void test_cancelling(void)
{
    CHECK(accepted(0, false, false)); /* what cheats here can do it right */
    CHECK(!accepted(32, false, false));
    CHECK(!accepted(32, true, false));
    CHECK(!accepted(2, true, false));
}

/* Who knows all bits of delta that its errors meet is not noticed: k bits of each group, no fewer. */
static void test_known(void)
{
    CHECK(accepted(3, false, true));
}

/* The sum of w, and those of planes at all ends. */
static void test_opened(void)
{
    static const size_t wrong[] = {0, 1, 2, 64, 65, 66, 128};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        plan.flip = wrong[i] + 1;
        CHECK(!accepted(0, false, false));
    }
    plan.flip = 0;
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"planes.cancelling", test_cancelling},
        {"planes.known", test_known},
        {"planes.opened", test_opened},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
