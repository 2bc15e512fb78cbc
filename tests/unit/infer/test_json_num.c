/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of numbers: the doubles that strtod() gives, and lists that are not passed twice. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "infer/infer_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static struct cczi_json cursor(struct ccz_span text, locale_t c)
{
    return (struct cczi_json){
        .begin = text.ptr, .p = text.ptr, .end = text.ptr + text.size, .c_locale = c};
}

/* One number in some form that JSON has. */
static void put_number(struct ccz_buf *b, unsigned form)
{
    const double v = (double)(next() >> 11) * 0x1p-53;
    const double scale[] = {1, 255, 1e6, 1e-6};
    char text[400];
    switch (form) {
    case 0:
        (void)snprintf(text, sizeof(text), "%.*f", (int)(next() % 25), v * scale[next() % 4]);
        break;
    case 1:
        (void)snprintf(text, sizeof(text), "-%.17g", v * scale[next() % 4]);
        break;
    case 2:
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)(next() >> next() % 64));
        break;
    case 3:
        (void)snprintf(text, sizeof(text), "%.9g", (double)(float)v);
        break;
    default: { /* halfway between two doubles, or next to that */
        uint64_t bits;
        const double d = (1 + v) * scale[next() % 3];
        memcpy(&bits, &d, sizeof(bits));
        bits++;
        double e;
        memcpy(&e, &bits, sizeof(e));
        (void)snprintf(text, sizeof(text), "%.*Lf", (int)(10 + next() % 20),
                       ((long double)d + (long double)e) / 2);
    }
    }
    ccz_buf_put_str(b, text);
}

static void reals(locale_t c, bool is_double)
{
    static double out[64];
    static float out_float[64];
    for (int round = 0; round < 20000; round++) {
        CCZ_AUTO_BUF b;
        double want[64];
        const size_t n = 1 + next() % 64;
        ccz_buf_init(&b, 1 << 20);
        ccz_buf_put_str(&b, "[");
        for (size_t i = 0; i < n; i++) {
            const size_t at = b.size;
            put_number(&b, (unsigned)(next() % 5));
            want[i] = strtod(ccz_buf_str(&b) + at, NULL);
            ccz_buf_put_str(&b, i + 1 == n ? "]" : next() % 8 ? "," : " ,\n ");
        }
        /* room behind the last one: else it is left to cczi_json_num() */
        const size_t end = b.size;
        ccz_buf_put_str(&b, "                                                  ");
        struct cczi_json j = cursor(ccz_buf_span(&b), c), check = j;
        CHECK(cczi_json_skip(&check) && check.p == b.ptr + end);
        cczi_json_enter(&j);
        for (size_t i = 0; cczi_json_more(&j, i == 0);) {
            void *to = is_double ? (void *)(out + i) : (void *)(out_float + i);
            const size_t got = cczi_json_reals(to, is_double, n - i, &j);
            if (!got) {
                out[i] = cczi_json_num(&j).real;
                out_float[i] = (float)out[i];
            }
            for (size_t k = 0; k < (got ? got : 1); k++, i++) {
                const float f = (float)want[i];
                CHECK(is_double ? memcmp(&out[i], &want[i], sizeof(double)) == 0
                                : memcmp(&out_float[i], &f, sizeof(f)) == 0);
            }
        }
        CHECK(j.p == b.ptr + end);
    }
}

static void test_reals(void)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    reals(c, true);
    reals(c, false);
    freelocale(c);
}

/* What is no plain number ends the run, and the cursor is behind the last one that is. */
static void test_ends(void)
{
    static const struct {
        const char *text;
        size_t n;
        char at;
    } cases[] = {{"[1,2.5,\"x\"]", 2, ','},
                 {"[1,NaN,2]", 1, ','},
                 {"[0.25,1e5,2]", 1, ','},
                 {"[-0.5,[1]]", 1, ','},
                 {"[null]", 0, 'n'},
                 {"[12345678901234567890]", 0, '1'},
                 {"[0.00000000000000000001]", 0, '0'},
                 {"[-Infinity]", 0, '-'},
                 {"[1 , 2 ]", 2, ' '}};
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        double out[8];
        (void)snprintf(text, sizeof(text), "%s%50s", cases[i].text, "");
        struct cczi_json j = cursor(ccz_span_str(text), c);
        cczi_json_enter(&j);
        CHECK(cczi_json_reals(out, true, 8, &j) == cases[i].n);
        CHECK(*j.p == (uint8_t)cases[i].at);
        j = cursor(ccz_span_str(cases[i].text), c); /* no room: nothing behind the text is read */
        cczi_json_enter(&j);
        CHECK(cczi_json_reals(out, true, 8, &j) == 0);
    }
    double out[3];
    struct cczi_json j =
        cursor(ccz_span_str("[-0,-0.0,3]                                              "), c);
    cczi_json_enter(&j);
    CHECK(cczi_json_reals(out, true, 2, &j) == 2 && *j.p == ','); /* no more than asked for */
    CHECK(!signbit(out[0]) && signbit(out[1]));
    freelocale(c);
}

static void put_list(struct ccz_buf *b, int depth)
{
    const size_t n = depth ? 1 + next() % 6 : next() % 9000;
    ccz_buf_put_str(b, "[");
    for (size_t i = 0; i < n; i++) {
        ccz_buf_put_str(b, i ? ", " : " ");
        if (depth && next() % 4)
            put_list(b, depth - 1);
        else
            ccz_buf_put_str(b, next() % 2 ? "{\"a\":[\"]\"]}" : "1234.5");
    }
    ccz_buf_put_str(b, " ]");
}

/* With what was noted, cursors go where they would go without. */
static void same_walk(struct cczi_json with, struct cczi_json without)
{
    if (cczi_json_kind(&with) != CCZI_ARRAY)
        return;
    CHECK(cczi_json_elements(with) == cczi_json_elements(without));
    cczi_json_enter(&with);
    cczi_json_enter(&without);
    for (bool first = true; cczi_json_more(&with, first); first = false) {
        CHECK(cczi_json_more(&without, first));
        same_walk(with, without);
        CHECK(cczi_json_skip(&with) && cczi_json_skip(&without) && with.p == without.p);
    }
}

static void test_seen(void)
{
    size_t most = 0;
    for (int round = 0; round < 20; round++) {
        CCZ_AUTO_BUF b;
        struct cczi_json_seen seen;
        ccz_buf_init(&b, 64 << 20);
        ccz_buf_put_str(&b, "  ");
        put_list(&b, 3);
        struct cczi_json with = cursor(ccz_buf_span(&b), (locale_t)0), without = with;
        CHECK(cczi_json_check(&with, &seen) && with.p == b.ptr);
        same_walk(with, without);
        most = seen.len > most ? seen.len : most;
        CHECK(cczi_json_skip(&with) && with.p == b.ptr + b.size);
        b.ptr[b.size - 1] = '}';
        CHECK(!cczi_json_check(&without, &seen) && without.error);
    }
    CHECK(most == CCZI_SEEN_MAX);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"json.reals", test_reals}, {"json.reals_end", test_ends}, {"json.seen", test_seen}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
