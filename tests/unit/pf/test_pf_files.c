/* SPDX-License-Identifier: Apache-2.0 */
/* Key files, whole files and folders on a real file system, in a fresh folder. */
#define _DEFAULT_SOURCE
#include "pf_test.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void enter_fresh_dir(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/ccz_pf_XXXXXX");
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
}

static void leave_dir(void)
{
    char cmd[96];
    (void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    CHECK(chdir("/") == 0 && system(cmd) == 0);
}

static void put_file(const char *path, const void *bytes, size_t size)
{
    CHECK(ccz_file_write(path, CCZ_SPAN(bytes, size), 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

static bool file_is(const char *path, const void *bytes, size_t size)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 64 << 20);
    return ccz_file_read(&b, path, NULL) == CCZ_OK &&
           ccz_span_eq(ccz_buf_span(&b), CCZ_SPAN(bytes, size));
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    CHECK(stat(path, &st) == 0);
    return st.st_mode & 07777;
}

static int entries_here(void)
{
    int n = 0;
    DIR *d = opendir(".");
    CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void flip_byte(const char *path, size_t at)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 64 << 20);
    CHECK(ccz_file_read(&b, path, NULL) == CCZ_OK && at < b.size);
    b.ptr[at] ^= 0x10;
    put_file(path, b.ptr, b.size);
}

static void test_key_file(void)
{
    enter_fresh_dir();
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_secret) back = NULL;
    CCZ_AUTO(ccz_secret) wide = NULL;
    struct ccz_secret *none = NULL;
    struct ccz_err err;
    CHECK(ccz_pf_key_generate(&key, &err) == CCZ_OK && ccz_secret_size(key) == 16);
    CHECK(ccz_pf_key_save(key, "k", &err) == CCZ_OK && mode_of("k") == 0600);
    CHECK(ccz_pf_key_load(&back, "k", &err) == CCZ_OK);
    CHECK(memcmp(ccz_secret_view(key), ccz_secret_view(back), 16) == 0);
    CHECK(ccz_pf_key_save(key, "k", &err) == CCZ_E_EXISTS);
    CHECK(ccz_secret_new(&wide, 17) == CCZ_OK && ccz_pf_key_save(wide, "w", &err) == CCZ_E_ARG);
    CHECK(chmod("k", 0640) == 0 && ccz_pf_key_load(&none, "k", &err) == CCZ_E_DENIED);
    CHECK(is_where(&err, "file:permissions") && none == NULL);
    static const size_t sizes[] = {1, 15, 17, 32, 33, 257};
    uint8_t bytes[257] = {0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        CHECK(ccz_file_write("bad", CCZ_SPAN(bytes, sizes[i]), 0600, CCZ_FILE_REPLACE, NULL) ==
              CCZ_OK);
        CHECK(ccz_pf_key_load(&none, "bad", &err) != CCZ_OK && none == NULL);
        CHECK(is_where(&err, sizes[i] > 256 ? "file:size" : "pf:key-size"));
    }
    CHECK(ccz_pf_key_load(&none, "absent", &err) == CCZ_E_NOT_FOUND);
    leave_dir();
}

static void test_file(void)
{
    static const size_t sizes[] = {0, 1, 3072, 3073, 396288, 396289, 2000000};
    enter_fresh_dir();
    uint8_t *plain = sample_plain(2000000);
    CCZ_AUTO(ccz_secret) key = key_from(1);
    struct ccz_err err;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct ccz_pf_cfg cfg = {.replace = true, .version = i % 2 ? 2 : 0};
        put_file("in", plain, sizes[i]);
        CHECK(ccz_pf_encrypt_file("./out.pf", "in", key, &cfg, &err) == CCZ_OK);
        cfg.path = "out.pf"; /* what encryption bound it to by default */
        CHECK(ccz_pf_decrypt_file("back", "out.pf", key, &cfg, &err) == CCZ_OK);
        CHECK(file_is("back", plain, sizes[i]) && mode_of("back") == 0600);

        struct ccz_pf_info info;
        CHECK(ccz_pf_inspect_file(&info, "out.pf", key, &cfg, &err) == CCZ_OK);
        CHECK(info.version == (i % 2 ? 2 : 1) && info.plain_size == sizes[i]);
        CHECK(strcmp(info.path, "out.pf") == 0);

        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, sizes[i] + 3);
        ccz_buf_put(&b, "abc", 3);
        CHECK(ccz_pf_decrypt_to_buf(&b, "out.pf", key, &cfg, &err) == CCZ_OK);
        CHECK(b.size == sizes[i] + 3 && memcmp(b.ptr + 3, plain, sizes[i]) == 0);
        if (sizes[i] > 0) {
            b.size = 3;
            b.max_size--;
            CHECK(ccz_pf_decrypt_to_buf(&b, "out.pf", key, &cfg, &err) == CCZ_E_LIMIT);
            CHECK(is_where(&err, "pf:buf-size") && b.size == 3 && !b.bad);
        }
    }
    CHECK(entries_here() == 3); /* in, out.pf, back: no temporary file is left */
    free(plain);
    leave_dir();
}

/* A refused decryption leaves nothing, and an output that was there stays as it was. */
static void test_file_refused(void)
{
    enter_fresh_dir();
    const size_t size = 1000000;
    uint8_t *plain = sample_plain(size);
    CCZ_AUTO(ccz_secret) key = key_from(1);
    CCZ_AUTO(ccz_secret) other = key_from(2);
    struct ccz_err err;
    struct ccz_pf_cfg cfg = {.path = "m.pf", .replace = true};
    put_file("in", plain, size);
    put_file("old", "old", 3);
    CHECK(ccz_pf_encrypt_file("m.pf", "in", key, &cfg, &err) == CCZ_OK);
    int before = entries_here();

    CHECK(ccz_pf_decrypt_file("new", "m.pf", other, &cfg, &err) == CCZ_E_SIG);
    CHECK(is_where(&err, "pf:metadata") && strstr(err.got, "m.pf"));
    flip_byte("m.pf", 200 * 4096 + 7); /* a block far behind what was decrypted before it */
    CHECK(ccz_pf_decrypt_file("new", "m.pf", key, &cfg, &err) == CCZ_E_SIG);
    CHECK(strcmp(err.got, "m.pf block 196 (node 200): tag mismatch") == 0);
    CHECK(ccz_pf_decrypt_file("old", "m.pf", key, &cfg, &err) == CCZ_E_SIG &&
          file_is("old", "old", 3));
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 2 * size);
    CHECK(ccz_pf_decrypt_to_buf(&b, "m.pf", key, &cfg, &err) == CCZ_E_SIG && b.size == 0);
    CHECK(b.cap < size || all_zero(b.ptr, size));
    CHECK(entries_here() == before);

    /* existing outputs, wrong kinds of input */
    struct ccz_pf_cfg keep = {.path = "m.pf"};
    CHECK(ccz_pf_encrypt_file("old", "in", key, &keep, &err) == CCZ_E_EXISTS && err.hint[0]);
    CHECK(ccz_pf_decrypt_file("old", "m.pf", key, &keep, &err) == CCZ_E_EXISTS);
    CHECK(symlink("in", "link") == 0 && mkfifo("fifo", 0600) == 0);
    CHECK(ccz_pf_encrypt_file("x", "link", key, &keep, &err) == CCZ_E_UNSUPPORTED);
    CHECK(is_where(&err, "pf:file-type") && strcmp(err.got, "link is a symbolic link") == 0);
    CHECK(ccz_pf_encrypt_file("x", "fifo", key, &keep, &err) == CCZ_E_UNSUPPORTED);
    CHECK(ccz_pf_encrypt_file("x", ".", key, &keep, &err) == CCZ_E_UNSUPPORTED);
    CHECK(ccz_pf_encrypt_file("x", "absent", key, &keep, &err) == CCZ_E_NOT_FOUND);
    CHECK(ccz_pf_encrypt_file("no/x", "in", key, &keep, &err) == CCZ_E_NOT_FOUND && !exists("x"));
    free(plain);
    leave_dir();
}

/* ---------------------------------------------------------------------------------------- trees */

static void make_tree(const uint8_t *plain)
{
    CHECK(ccz_dir_make("in/variables/deep/er", 0755, NULL) == CCZ_OK);
    CHECK(ccz_dir_make("in/empty", 0755, NULL) == CCZ_OK);
    put_file("in/saved_model.pb", plain, 5000);
    put_file("in/variables/data-00000-of-00001", plain, 500000);
    put_file("in/variables/index", plain, 0);
    put_file("in/variables/deep/er/x", plain, 3072);
}

static void count_file(void *arg, const char *rel, uint64_t plain_size)
{
    (void)rel;
    *(uint64_t *)arg += plain_size;
}

static ccz_rc collect(void *arg, const char *rel, struct ccz_err *err)
{
    (void)err;
    ccz_buf_printf(arg, "%s ", rel);
    return CCZ_OK;
}

static void test_tree(void)
{
    enter_fresh_dir();
    uint8_t *plain = sample_plain(500000);
    CCZ_AUTO(ccz_secret) key = key_from(1);
    struct ccz_err err;
    uint64_t bytes = 0;
    struct ccz_pf_cfg cfg = {.path = "enc//model/.", .on_file = count_file, .arg = &bytes};
    make_tree(plain);
    CHECK(ccz_pf_encrypt_tree("out", "in", key, &cfg, &err) == CCZ_OK && bytes == 508072);
    CHECK(exists("out/empty") && entries_here() == 2);
    CCZ_AUTO_BUF names;
    ccz_buf_init(&names, 1000);
    CHECK(ccz_pf_tree_walk("out", collect, &names, &err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&names),
                 "saved_model.pb variables/data-00000-of-00001 variables/index "
                 "variables/deep/er/x ") == 0);

    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 5000);
    struct ccz_pf_cfg one = {.path = "enc/model/saved_model.pb"}; /* normalised */
    CHECK(ccz_pf_decrypt_to_buf(&b, "out/saved_model.pb", key, &one, &err) == CCZ_OK);

    bytes = 0;
    CHECK(ccz_pf_decrypt_tree("back", "out", key, &cfg, &err) == CCZ_OK && bytes == 508072);
    CHECK(file_is("back/variables/data-00000-of-00001", plain, 500000));
    CHECK(file_is("back/variables/deep/er/x", plain, 3072) &&
          file_is("back/saved_model.pb", plain, 5000));
    CHECK(file_is("back/variables/index", plain, 0) && exists("back/empty") &&
          mode_of("back") == 0700);

    struct ccz_pf_cfg any = {.any_path_insecure = true};
    CHECK(ccz_pf_decrypt_tree("back2", "out", key, &any, &err) == CCZ_OK);
    struct ccz_pf_cfg none = {0};
    CHECK(ccz_pf_decrypt_tree("back3", "out", key, &none, &err) == CCZ_E_ARG && !exists("back3"));
    CHECK(ccz_pf_encrypt_tree("enc", "in", key, &none, &err) == CCZ_OK); /* bound to enc/... */
    none.path = "enc";
    CHECK(ccz_pf_decrypt_tree("back3", "enc", key, &none, &err) == CCZ_OK);
    free(plain);
    leave_dir();
}

static void test_tree_refused(void)
{
    enter_fresh_dir();
    uint8_t *plain = sample_plain(500000);
    CCZ_AUTO(ccz_secret) key = key_from(1);
    struct ccz_err err;
    struct ccz_pf_cfg cfg = {.path = "m"};
    make_tree(plain);
    CHECK(ccz_pf_encrypt_tree("out", "in", key, &cfg, &err) == CCZ_OK);
    CHECK(ccz_pf_encrypt_tree("out", "in", key, &cfg, &err) == CCZ_E_EXISTS);
    CHECK(ccz_pf_encrypt_tree("x", "absent", key, &cfg, &err) == CCZ_E_NOT_FOUND && !exists("x"));

    /* a link and a pipe below: named, and no half tree stays */
    int before = entries_here();
    CHECK(symlink("../index", "in/variables/deep/link") == 0);
    CHECK(ccz_pf_encrypt_tree("x", "in", key, &cfg, &err) == CCZ_E_UNSUPPORTED);
    CHECK(is_where(&err, "pf:file-type"));
    CHECK(strcmp(err.got, "in/variables/deep/link is a symbolic link") == 0);
    CHECK(unlink("in/variables/deep/link") == 0 && mkfifo("in/pipe", 0600) == 0);
    CHECK(ccz_pf_encrypt_tree("x", "in", key, &cfg, &err) == CCZ_E_UNSUPPORTED);
    CHECK(entries_here() == before);

    /* two files of the same key exchanged, one moved, one damaged */
    CHECK(rename("out/saved_model.pb", "t") == 0 &&
          rename("out/variables/index", "out/saved_model.pb") == 0);
    CHECK(rename("t", "out/variables/index") == 0);
    CHECK(ccz_pf_decrypt_tree("x", "out", key, &cfg, &err) == CCZ_E_SIG &&
          is_where(&err, "pf:path"));
    CHECK(strcmp(err.got, "m/variables/index") == 0 &&
          strcmp(err.expected, "m/saved_model.pb") == 0);
    CHECK(rename("out/saved_model.pb", "t") == 0 &&
          rename("out/variables/index", "out/saved_model.pb") == 0);
    CHECK(rename("t", "out/variables/index") == 0);
    flip_byte("out/variables/data-00000-of-00001", 30 * 4096);
    CHECK(ccz_pf_decrypt_tree("x", "out", key, &cfg, &err) == CCZ_E_SIG &&
          is_where(&err, "pf:data-node"));
    CHECK(strstr(err.got, "data-00000-of-00001 block 28 (node 30)"));
    CHECK(entries_here() == before);
    free(plain);
    leave_dir();
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"pf.key_file", test_key_file},         {"pf.file", test_file},
        {"pf.file_refused", test_file_refused}, {"pf.tree", test_tree},
        {"pf.tree_refused", test_tree_refused},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
