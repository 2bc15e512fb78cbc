/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparison of two numbers, one at each party (Rathee et al., CrypTFlow2, CCS 2020, figure 1): leaves of 4 bits by 1-of-16 OT,
 * then a tree of ANDs. All of it on rows: row i of a message holds entry i of the tables of all elements, so that tables are
 * made and looked up by logic on whole words, without addresses or branches that depend on values.
 *
 * 1-of-2^w OT from w correlated OTs: with Q = sum of x^b q_b and T = sum of x^b t_b in GF(2^128), T = Q + c delta for the random
 * choice c (bits as a polynomial), and entry i is masked with bits of H(Q + i delta). The receiver, who wants entry v, says
 * d = v + c, and the sender puts the entry of i + d at place i.
 */
#include "cmp_priv.h"

#include <string.h>

enum { LEAF = 4, LEAVES_MAX = 18, ENTRIES = 1 << LEAF };

/* Leaves of a comparison, lowest first. */
struct leaves {
    unsigned len, low; /* the first `low` ones hold the low bits of a split comparison */
    unsigned char at[LEAVES_MAX], width[LEAVES_MAX];
    bool less; /* else equality only */
};

static void add_leaves(struct leaves *l, unsigned from, unsigned to)
{
    /* 64 bits in two parts are 17 leaves at most; the bound is for the compiler */
    for (; from < to && l->len < LEAVES_MAX; from += LEAF) {
        l->at[l->len] = (unsigned char)from;
        l->width[l->len++] = (unsigned char)(to - from < LEAF ? to - from : LEAF);
    }
}

static struct leaves leaves_of(unsigned bits, unsigned low, bool less)
{
    struct leaves l = {.less = less};
    add_leaves(&l, 0, low);
    l.low = l.len;
    add_leaves(&l, low, bits);
    return l;
}

/* The lowest leaf has nothing below it, so that nobody asks whether it is equal. */
static bool want_equal(const struct leaves *l, unsigned leaf)
{
    return !l->less || leaf > 0;
}

/* Rows that a leaf's tables have. */
static unsigned table_rows(const struct leaves *l, unsigned leaf)
{
    return (unsigned)(l->less + want_equal(l, leaf)) << l->width[leaf];
}

static unsigned all_table_rows(const struct leaves *l)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < l->len; i++)
        sum += table_rows(l, i);
    return sum;
}

/* State of one comparison; rows have `words` words. */
struct compare {
    struct cczi_cmp *c;
    struct leaves l;
    unsigned bits;
    size_t n, words;
    struct cczi_range send, recv;
    uint64_t *value;        /* [bits] rows of this party's number */
    uint64_t *choice;       /* [bits] rows of random choices, in the receiver's half */
    uint64_t *less, *equal; /* [leaves] rows of shares */
};

/* ------------------------------------------------------------------------------------- receiver */

static size_t chunk_of(struct cczi_range r, size_t i)
{
    return r.len - i < CCZI_CMP_CHUNK ? r.len - i : CCZI_CMP_CHUNK;
}

/* OTs of one leaf and chunk: choices and masks, which go to the results, and corrections. */
static ccz_rc ask_leaf(struct cczi_bits *msg, struct compare *p, unsigned leaf, size_t i, size_t n,
                       struct ccz_err *err)
{
    struct cczi_cmp *c = p->c;
    const size_t w0 = (p->recv.from + i) / 64, words = cczi_words_of(n);
    struct ccz_f128 *folded = c->blocks + LEAF * (size_t)CCZI_CMP_CHUNK;
    uint64_t first = 0, tweak = 0, unused[CCZI_CMP_CHUNK / 64];
    for (unsigned b = 0; b < p->l.width[leaf]; b++) {
        size_t row = (p->l.at[leaf] + b) * p->words + w0;
        ccz_rc rc = c->ops->take_t(c->blocks + b * (size_t)CCZI_CMP_CHUNK, p->choice + row, &first,
                                   n, c->self, err);
        if (rc != CCZ_OK)
            return rc;
        tweak = b == 0 ? first : tweak;
        for (size_t w = 0; w < words; w++)
            c->words[w] = p->value[row + w] ^ p->choice[row + w];
        cczi_bits_put(msg, c->words, n);
    }
    cczi_cmp_kernels()->fold(folded, c->blocks, CCZI_CMP_CHUNK, n, p->l.width[leaf]);
    uint64_t *less = p->l.less ? p->less + leaf * p->words + w0 : unused;
    uint64_t *equal = want_equal(&p->l, leaf) ? p->equal + leaf * p->words + w0 : unused;
    const struct cczi_pads pads = {.in = folded, .len = n, .tweak = tweak, .log = p->l.width[leaf]};
    cczi_cmp_pad_bits(less, equal, &pads, &c->hash);
    ccz_wipe(unused, sizeof(unused));
    return CCZ_OK;
}

/* Entry c of a table of 2^width rows: halves by the lowest bit of c, and so on. */
static void look_up(uint64_t *out, uint64_t table[ENTRIES][CCZI_CMP_CHUNK / 64],
                    const uint64_t *choice, size_t stride, unsigned width, size_t words)
{
    for (unsigned b = 0; b < width; b++)
        for (unsigned i = 0; i < 1u << (width - 1 - b); i++)
            for (size_t w = 0; w < words; w++) {
                uint64_t even = table[2 * i][w], odd = table[2 * i + 1][w];
                table[i][w] = even ^ ((even ^ odd) & choice[b * stride + w]);
            }
    for (size_t w = 0; w < words; w++)
        out[w] ^= table[0][w];
}

static void receive_leaf(struct cczi_bits *msg, struct compare *p, unsigned leaf, size_t i,
                         size_t n)
{
    const size_t w0 = (p->recv.from + i) / 64, words = cczi_words_of(n);
    const uint64_t *choice = p->choice + p->l.at[leaf] * p->words + w0;
    const unsigned width = p->l.width[leaf];
    uint64_t table[ENTRIES][CCZI_CMP_CHUNK / 64];
    if (p->l.less) {
        for (unsigned e = 0; e < 1u << width; e++)
            cczi_bits_get(table[e], msg, n);
        look_up(p->less + leaf * p->words + w0, table, choice, p->words, width, words);
    }
    if (want_equal(&p->l, leaf)) {
        for (unsigned e = 0; e < 1u << width; e++)
            cczi_bits_get(table[e], msg, n);
        look_up(p->equal + leaf * p->words + w0, table, choice, p->words, width, words);
    }
    ccz_wipe(table, sizeof(table));
}

/* --------------------------------------------------------------------------------------- sender */

/*
 * One word of all tables of a leaf: entry i of `equal` says whether the sender's value v is i + d, entry i of `less` whether
 * party 0's number is less: v < i + d, or i + d < v if the sender is party 1.
 */
static void tables(uint64_t less[ENTRIES], uint64_t equal[ENTRIES], const uint64_t v[LEAF],
                   const uint64_t d[LEAF], unsigned width, uint64_t party1)
{
    less[0] = 0;
    equal[0] = UINT64_MAX;
    for (unsigned b = 0; b < width; b++)
        for (unsigned i = 1u << b; i-- > 0;) {
            uint64_t l = less[i], e = equal[i];
            for (unsigned bit = 2; bit-- > 0;) {
                uint64_t other = d[b] ^ (bit ? UINT64_MAX : 0), same = ~(v[b] ^ other);
                less[i + (bit << b)] = (~same & (other ^ party1)) | (same & l);
                equal[i + (bit << b)] = same & e;
            }
        }
}

/* Rows of tables of one chunk. */
typedef uint64_t table_t[ENTRIES][CCZI_CMP_CHUNK / 64];

static void make_tables(table_t less, table_t equal, uint64_t (*d)[CCZI_CMP_CHUNK / 64],
                        const struct compare *p, unsigned leaf, size_t i, size_t words)
{
    const size_t w0 = (p->send.from + i) / 64;
    uint64_t l[ENTRIES], e[ENTRIES], v[LEAF] = {0}, dd[LEAF] = {0};
    for (size_t w = 0; w < words; w++) {
        for (unsigned b = 0; b < p->l.width[leaf]; b++) {
            v[b] = p->value[(p->l.at[leaf] + b) * p->words + w0 + w];
            dd[b] = d[b][w];
        }
        tables(l, e, v, dd, p->l.width[leaf], p->c->party ? UINT64_MAX : 0);
        uint64_t own_less = p->l.less ? p->less[leaf * p->words + w0 + w] : 0;
        uint64_t own_equal = p->equal[leaf * p->words + w0 + w];
        for (unsigned k = 0; k < 1u << p->l.width[leaf]; k++) {
            less[k][w] = l[k] ^ own_less;
            equal[k][w] = e[k] ^ own_equal;
        }
    }
    ccz_wipe(l, sizeof(l));
    ccz_wipe(e, sizeof(e));
    ccz_wipe(v, sizeof(v));
}

/* What a sender has of one leaf and chunk: wiped however it ends. Tables that are not wanted are not sent. */
struct sending {
    struct ccz_f128 delta, power[LEAF];
    struct cczi_pads pads;
    uint64_t d[LEAF][CCZI_CMP_CHUNK / 64]; /* corrections */
    table_t less, equal;
};

static void sending_wipe(struct sending *s)
{
    ccz_wipe(s, sizeof(*s));
}
#define AUTO_SENDING __attribute__((cleanup(sending_wipe))) struct sending

/* OTs of a leaf, and the corrections. */
static ccz_rc take_leaf(struct sending *s, struct cczi_bits *got, const struct compare *p,
                        unsigned leaf, size_t n, struct ccz_err *err)
{
    struct cczi_cmp *c = p->c;
    uint64_t first = 0;
    s->pads = (struct cczi_pads){
        .in = c->blocks + LEAF * (size_t)CCZI_CMP_CHUNK, .len = n, .log = p->l.width[leaf]};
    for (unsigned b = 0; b < p->l.width[leaf]; b++) {
        ccz_rc rc = c->ops->take_q(c->blocks + b * (size_t)CCZI_CMP_CHUNK, &s->delta, &first, n,
                                   c->self, err);
        if (rc != CCZ_OK)
            return rc;
        s->pads.tweak = b == 0 ? first : s->pads.tweak;
        s->power[b] = b == 0 ? s->delta : cczi_f128_mulx(s->power[b - 1]);
        cczi_bits_get(s->d[b], got, n);
    }
    return CCZ_OK;
}

/* The shares of this party's half are random already. */
static ccz_rc send_leaf(struct cczi_bits *msg, struct cczi_bits *got, struct compare *p,
                        unsigned leaf, size_t i, size_t n, struct ccz_err *err)
{
    struct cczi_cmp *c = p->c;
    const size_t words = cczi_words_of(n);
    const unsigned width = p->l.width[leaf];
    AUTO_SENDING s;
    ccz_rc rc = take_leaf(&s, got, p, leaf, n, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_cmp_kernels()->fold(c->blocks + LEAF * (size_t)CCZI_CMP_CHUNK, c->blocks, CCZI_CMP_CHUNK,
                             n, width);
    make_tables(s.less, s.equal, s.d, p, leaf, i, words);
    for (unsigned k = 0; k < 1u << width; k++) {
        uint64_t *lo = c->words, *hi = lo + CCZI_CMP_CHUNK;
        s.pads.offset = (struct ccz_f128){0};
        for (unsigned b = 0; b < width; b++)
            if (k >> b & 1)
                s.pads.offset = cczi_f128_add(s.pads.offset, s.power[b]);
        cczi_cmp_pad_bits(lo, hi, &s.pads, &c->hash);
        for (size_t w = 0; w < words; w++) {
            s.less[k][w] ^= lo[w];
            s.equal[k][w] ^= hi[w];
        }
    }
    for (unsigned k = 0; p->l.less && k < 1u << width; k++)
        cczi_bits_put(msg, s.less[k], n);
    for (unsigned k = 0; want_equal(&p->l, leaf) && k < 1u << width; k++)
        cczi_bits_put(msg, s.equal[k], n);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- leaves */

static ccz_rc ask_all(struct cczi_bits *msg, struct compare *p, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < p->recv.len; i += CCZI_CMP_CHUNK)
        for (unsigned leaf = 0; leaf < p->l.len && rc == CCZ_OK; leaf++)
            rc = ask_leaf(msg, p, leaf, i, chunk_of(p->recv, i), err);
    return rc;
}

static ccz_rc send_all(struct cczi_bits *msg, struct cczi_bits *got, struct compare *p,
                       struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < p->send.len; i += CCZI_CMP_CHUNK)
        for (unsigned leaf = 0; leaf < p->l.len && rc == CCZ_OK; leaf++)
            rc = send_leaf(msg, got, p, leaf, i, chunk_of(p->send, i), err);
    return rc;
}

/* Random shares in the sender's half. */
static ccz_rc own_shares(struct compare *p, struct ccz_err *err)
{
    const size_t w0 = p->send.from / 64, words = cczi_words_of(p->send.len);
    ccz_rc rc = CCZ_OK;
    for (unsigned leaf = 0; leaf < p->l.len && words > 0 && rc == CCZ_OK; leaf++) {
        if (p->l.less)
            rc = p->c->ops->random(p->less + leaf * p->words + w0, words, p->c->self, err);
        if (rc == CCZ_OK && want_equal(&p->l, leaf))
            rc = p->c->ops->random(p->equal + leaf * p->words + w0, words, p->c->self, err);
    }
    return rc;
}

static ccz_rc run_leaves(struct compare *p, struct ccz_err *err)
{
    const size_t ask_out = cczi_bits_size((uint64_t)p->bits * p->recv.len);
    const size_t ask_in = cczi_bits_size((uint64_t)p->bits * p->send.len);
    const size_t out = cczi_bits_size((uint64_t)all_table_rows(&p->l) * p->send.len);
    const size_t in = cczi_bits_size((uint64_t)all_table_rows(&p->l) * p->recv.len);
    CCZI_AUTO_STORE ask = {0}, asked = {0}, sent = {0}, got = {0};
    ccz_rc rc = cczi_store_init(&ask, ask_out / 8 + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&asked, ask_in / 8 + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&sent, out / 8 + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&got, in / 8 + 1, err);
    if (rc == CCZ_OK)
        rc = own_shares(p, err);
    if (rc == CCZ_OK)
        rc = ask_all(&(struct cczi_bits){ask.at, 0}, p, err);
    if (rc == CCZ_OK)
        rc = p->c->ops->trade(asked.at, ask_in, ask.at, ask_out, p->c->self, err);
    if (rc == CCZ_OK)
        rc = send_all(&(struct cczi_bits){sent.at, 0}, &(struct cczi_bits){asked.at, 0}, p, err);
    if (rc == CCZ_OK)
        rc = p->c->ops->trade(got.at, in, sent.at, out, p->c->self, err);
    struct cczi_bits msg = {got.at, 0};
    for (size_t i = 0; i < p->recv.len && rc == CCZ_OK; i += CCZI_CMP_CHUNK)
        for (unsigned leaf = 0; leaf < p->l.len; leaf++)
            receive_leaf(&msg, p, leaf, i, chunk_of(p->recv, i));
    return rc;
}

/* ----------------------------------------------------------------------------------------- tree */

/*
 * Nodes are neighbouring runs of leaves, lowest first, named by the leaf whose rows hold their shares. A level joins nodes 2 i
 * and 2 i + 1; with a split, those below and above it by themselves, until one is left below, which is the result for
 * the low bits.
 */
struct tree {
    unsigned node[LEAVES_MAX], len, low;
};

struct merge {
    unsigned lo, hi; /* leaves; the result goes to lo */
    bool both;       /* equality of the joined node is wanted too */
};

/* The merges of the next level. */
static unsigned next_level(struct merge merges[LEAVES_MAX], struct tree *t, const struct leaves *l)
{
    struct tree up = {.len = 0};
    unsigned count = 0;
    const unsigned border = t->low > 1 ? t->low : t->len;
    for (unsigned i = 0; i < t->len;) {
        bool pair = i + 1 < t->len && (i >= border || i + 1 < border);
        if (pair)
            merges[count++] =
                (struct merge){t->node[i], t->node[i + 1], l->less && want_equal(l, t->node[i])};
        up.low += i < t->low && t->low > 1;
        up.node[up.len++] = t->node[i];
        i += pair ? 2 : 1;
    }
    *t = up;
    return count;
}

static struct tree tree_of(const struct leaves *l)
{
    struct tree t = {.len = l->len, .low = l->low};
    for (unsigned i = 0; i < l->len; i++)
        t.node[i] = i;
    return t;
}

static ccz_rc join(struct compare *p, const struct merge *merges, unsigned count,
                   struct ccz_err *err)
{
    struct cczi_and ands[LEAVES_MAX];
    for (unsigned i = 0; i < count; i++) {
        uint64_t *less = p->less + merges[i].lo * p->words;
        uint64_t *equal = p->equal + merges[i].lo * p->words;
        ands[i] = (struct cczi_and){.a = p->equal + merges[i].hi * p->words};
        ands[i].b = ands[i].z = p->l.less ? less : equal;
        if (merges[i].both)
            ands[i].b2 = ands[i].z2 = equal;
    }
    ccz_rc rc = cczi_cmp_and(p->c, ands, count, p->n, err);
    for (unsigned i = 0; i < count && rc == CCZ_OK && p->l.less; i++)
        for (size_t w = 0; w < p->words; w++)
            p->less[merges[i].lo * p->words + w] ^= p->less[merges[i].hi * p->words + w];
    return rc;
}

static void copy(uint64_t *out, const uint64_t *row, size_t words)
{
    if (out)
        memcpy(out, row, words * sizeof(*row));
}

static ccz_rc run_tree(uint64_t *result, uint64_t *low, struct compare *p, struct ccz_err *err)
{
    struct merge merges[LEAVES_MAX];
    struct tree t = tree_of(&p->l);
    const uint64_t *root = p->l.less ? p->less : p->equal;
    ccz_rc rc = CCZ_OK;
    bool kept = false;
    while (rc == CCZ_OK) {
        if (t.low <= 1 && !kept)
            copy(low, root, p->words);
        kept = kept || t.low <= 1;
        if (t.len == 1)
            break;
        rc = join(p, merges, next_level(merges, &t, &p->l), err);
    }
    if (rc == CCZ_OK)
        copy(result, root, p->words);
    return rc;
}

/* --------------------------------------------------------------------------------------- result */

static ccz_rc compare(uint64_t *result, uint64_t *low_result, const uint64_t *v, size_t n,
                      struct leaves l, unsigned bits, struct cczi_cmp *c, struct ccz_err *err)
{
    struct compare p = {.c = c, .l = l, .bits = bits, .n = n, .words = cczi_words_of(n)};
    CCZI_AUTO_STORE rows = {0};
    ccz_rc rc = cczi_store_init(&rows, (2 * (size_t)bits + 2 * (size_t)l.len) * p.words, err);
    if (rc != CCZ_OK)
        return rc;
    p.send = cczi_cmp_half(n, c->party);
    p.recv = cczi_cmp_half(n, 1 - c->party);
    p.value = rows.at;
    p.choice = p.value + bits * p.words;
    p.less = p.choice + bits * p.words;
    p.equal = p.less + l.len * p.words;
    cczi_rows_of(p.value, p.words, v, n, bits);
    rc = run_leaves(&p, err);
    if (rc == CCZ_OK)
        rc = run_tree(result, low_result, &p, err);
    return rc;
}

ccz_rc cczi_cmp_less(uint64_t *less, uint64_t *less_low, const uint64_t *v, size_t n, unsigned bits,
                     unsigned low, struct cczi_cmp *c, struct ccz_err *err)
{
    return compare(less, less_low, v, n, leaves_of(bits, low, true), bits, c, err);
}

ccz_rc cczi_cmp_equal(uint64_t *equal, const uint64_t *v, size_t n, unsigned bits,
                      struct cczi_cmp *c, struct ccz_err *err)
{
    return compare(equal, NULL, v, n, leaves_of(bits, 0, false), bits, c, err);
}

/* ----------------------------------------------------------------------------------------- cost */

static struct cczi_cmp_need need(size_t n, struct leaves l, unsigned bits)
{
    struct cczi_cmp_need sum = {.rounds = 2};
    struct merge merges[LEAVES_MAX];
    for (unsigned s = 0; s < 2; s++) {
        uint64_t len = cczi_cmp_half(n, s).len;
        sum.ots[s] = bits * len;
        sum.sent[s] += cczi_bits_size(all_table_rows(&l) * len);
        sum.sent[1 - s] += cczi_bits_size(bits * len);
    }
    for (struct tree t = tree_of(&l); t.len > 1;) {
        unsigned count = next_level(merges, &t, &l), doubles = 0;
        for (unsigned i = 0; i < count; i++)
            doubles += merges[i].both;
        struct cczi_cmp_need level = cczi_cmp_and_need(n, count, doubles);
        cczi_need_add(&sum, &level);
    }
    return sum;
}

struct cczi_cmp_need cczi_cmp_less_need(size_t n, unsigned bits, unsigned low)
{
    return need(n, leaves_of(bits, low, true), bits);
}

struct cczi_cmp_need cczi_cmp_equal_need(size_t n, unsigned bits)
{
    return need(n, leaves_of(bits, 0, false), bits);
}
