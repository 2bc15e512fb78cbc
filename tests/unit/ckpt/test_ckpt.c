/* SPDX-License-Identifier: Apache-2.0 */
/* Two files that take turns: the last two states are there, a changed one is refused, half-written ones are removed. */
#define _GNU_SOURCE
#include "ckpt/ckpt.h"
#include "temp_dir.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cczi_ckpt_kind KIND = {.magic = "CCZT-ckp",
                                           .info = "test",
                                           .where = "test:checkpoint",
                                           .where_config = "test:checkpoint-config",
                                           .extra_size_max = 16,
                                           .state_size_max = 1 << 16};
static const uint8_t CONFIG[32] = {1};

static struct ccz_secret *seal_of(uint8_t v)
{
    uint8_t key[32] = {v};
    struct ccz_secret *s;
    CHECK(ccz_secret_from(&s, key, sizeof(key)) == CCZ_OK);
    return s;
}

static void turns(void)
{
    temp_setup();
    struct ccz_secret *seal = seal_of(1);
    struct cczi_ckpt c;
    struct ccz_err err = {0};
    struct ccz_buf out;
    char extra[2];
    ccz_buf_init(&out, 100);
    CHECK(cczi_ckpt_open(&c, &KIND, temp_path("s"), "role", seal, CONFIG, NULL) == CCZ_OK);
    CHECK(!c.have[0] && !c.have[1] && c.last == -1);
    for (uint64_t step = 0; step < 5; step++) {
        char text = (char)('a' + step);
        CHECK(cczi_ckpt_save(&c, step, ccz_span_str("xy"), CCZ_SPAN(&text, 1), NULL) == CCZ_OK);
        cczi_ckpt_close(&c);
        CHECK(cczi_ckpt_open(&c, &KIND, temp_path("s"), "role", seal, CONFIG, NULL) == CCZ_OK);
        CHECK(c.have[0] && (step == 0 || c.have[1]));
        CHECK(step == 0 || c.step[0] + c.step[1] == 2 * step - 1);
        ccz_buf_clear(&out); /* and so after it was loaded, the older one makes room */
        CHECK(cczi_ckpt_load(&out, extra, 2, &c, step, NULL) == CCZ_OK && out.size == 1 &&
              out.ptr[0] == (uint8_t)text && memcmp(extra, "xy", 2) == 0);
    }
    /* going back: what comes then takes the place of the newer one */
    CHECK(cczi_ckpt_load(&out, extra, 2, &c, 2, &err) == CCZ_E_NOT_FOUND);
    CHECK(cczi_ckpt_load(&out, extra, 1, &c, 3, &err) == CCZ_E_FORMAT);
    CHECK(cczi_ckpt_load(&out, extra, 2, &c, 3, NULL) == CCZ_OK);
    CHECK(cczi_ckpt_save(&c, 4, ccz_span_str("xy"), ccz_span_str("n"), NULL) == CCZ_OK);
    CHECK(c.step[0] + c.step[1] == 7);
    cczi_ckpt_close(&c);
    /* none are kept */
    CHECK(cczi_ckpt_open(&c, &KIND, NULL, "role", NULL, NULL, NULL) == CCZ_OK);
    CHECK(cczi_ckpt_save(&c, 1, ccz_span_str("x"), ccz_span_str("y"), NULL) == CCZ_OK);
    CHECK(cczi_ckpt_load(&out, extra, 1, &c, 1, &err) == CCZ_E_NOT_FOUND);
    cczi_ckpt_close(&c);
    ccz_buf_free(&out);
    ccz_secret_free(seal);
}

static void change(const char *path, size_t at, bool cut)
{
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    CHECK(ccz_file_read(&b, path, NULL) == CCZ_OK && at < b.size);
    b.ptr[at] ^= 1;
    if (cut)
        b.size = at;
    CHECK(ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    ccz_buf_free(&b);
}

static void refuses(void)
{
    temp_setup();
    struct ccz_secret *seal = seal_of(1), *other = seal_of(2);
    static const uint8_t config[32] = {2};
    static const uint8_t zeros[6000];
    char path[512];
    (void)snprintf(path, sizeof(path), "%s", temp_path("s"));
    struct cczi_ckpt c;
    struct ccz_err err = {0};
    CHECK(cczi_ckpt_open(&c, &KIND, path, "role", seal, CONFIG, NULL) == CCZ_OK);
    for (uint64_t step = 0; step < 2; step++)
        CHECK(cczi_ckpt_save(&c, step, CCZ_SPAN(NULL, 0), CCZ_SPAN(zeros, sizeof(zeros)), NULL) ==
              CCZ_OK);
    cczi_ckpt_close(&c);
    CHECK(cczi_ckpt_open(&c, &KIND, path, "role", other, CONFIG, &err) == CCZ_E_SIG);
    cczi_ckpt_close(&c);
    CHECK(cczi_ckpt_open(&c, &KIND, path, "elor", seal, CONFIG, &err) == CCZ_E_SIG &&
          strcmp(err.where, "pf:path") == 0);
    cczi_ckpt_close(&c);
    CHECK(cczi_ckpt_open(&c, &KIND, path, "role", seal, config, &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "test:checkpoint-config") == 0);
    cczi_ckpt_close(&c);
    CHECK(cczi_ckpt_open(&c, &KIND, path, "role", NULL, CONFIG, &err) == CCZ_E_ARG);
    cczi_ckpt_close(&c);
    struct cczi_ckpt_kind kind = KIND; /* a file of another module */
    kind.magic[3] = 'U';
    CHECK(cczi_ckpt_open(&c, &kind, path, "role", seal, CONFIG, &err) == CCZ_E_FORMAT &&
          strcmp(err.where, "test:checkpoint") == 0);
    cczi_ckpt_close(&c);
    /* the newer one, changed or cut: the older one does not stand in for it */
    for (size_t at = 0; at < 8192; at += 499) {
        change(temp_path("s.1"), at, false);
        CHECK(cczi_ckpt_open(&c, &KIND, path, "role", seal, CONFIG, &err) != CCZ_OK &&
              strncmp(err.where, "pf:", 3) == 0);
        cczi_ckpt_close(&c);
        change(temp_path("s.1"), at, false);
    }
    CHECK(cczi_ckpt_open(&c, &KIND, path, "role", seal, CONFIG, &err) == CCZ_OK && c.have[1]);
    cczi_ckpt_close(&c);
    change(temp_path("s.1"), 4000, true);
    CHECK(cczi_ckpt_open(&c, &KIND, path, "role", seal, CONFIG, &err) != CCZ_OK);
    cczi_ckpt_close(&c);
    ccz_secret_free(seal);
    ccz_secret_free(other);
}

static void leftovers(void)
{
    static const struct {
        const char *name;
        bool stays;
    } files[] = {{"s.0.77.tmp", false}, {"s.1.123456.tmp", false}, {"s.0.x.tmp", true},
                 {"s.0.77.tm", true},   {"ss.0.77.tmp", true},     {"s.2.77.tmp", true}};
    temp_setup();
    struct ccz_secret *seal = seal_of(1);
    struct cczi_ckpt c;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        CHECK(ccz_file_write(temp_path(files[i].name), ccz_span_str("x"), 0600, CCZ_FILE_REPLACE,
                             NULL) == CCZ_OK);
    CHECK(cczi_ckpt_open(&c, &KIND, temp_path("s"), "role", seal, CONFIG, NULL) == CCZ_OK);
    CHECK(!c.have[0] && !c.have[1]);
    cczi_ckpt_close(&c);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        CHECK((access(temp_path(files[i].name), F_OK) == 0) == files[i].stays);
    ccz_secret_free(seal);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ckpt.turns", turns}, {"ckpt.refuses", refuses}, {"ckpt.leftovers", leftovers}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
