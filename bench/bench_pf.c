/* SPDX-License-Identifier: Apache-2.0 */
/* Protected files against plain AES-128-GCM, in one run on one core:
 *     taskset -c 1 bench_pf [DIR] [MiB]          DIR on tmpfs, default /dev/shm; default 512 MiB
 * One line per measurement, tab separated: name, MiB/s (best of the passes), ratio to aes-128-gcm.
 *
 * openssl speed  the program's own figure for -evp aes-128-gcm -bytes 4096 (one pass of 2 s)
 * aes-128-gcm    the same loop here; ratios are against the higher of the two
 * encrypt  writer over a file on DIR that has its pages already, plaintext from one reused buffer
 * decrypt  reader over that file, plaintext into one reused buffer
 * The `file` lines run from file to new file, where the kernel's allocation of pages weighs most;
 * `copy` is the same way without cryptography and tells how much. */
#define _DEFAULT_SOURCE
#include <cczoo/crypto.h>
#include <cczoo/pf.h>

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_SIZE = 1 << 20, PASSES = 7 };

static uint64_t total; /* plaintext bytes of one pass */
static uint8_t piece[PIECE_SIZE];
static const struct ccz_pf_cfg cfg = {.path = "bench", .replace = true};
static char plain_path[4096], pf_path[4096], out_path[4096];
static struct ccz_secret *key;

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_pf: %s failed\n", what);
        exit(1);
    }
}

static void must_rc(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK) {
        fprintf(stderr, "bench_pf: %s: %s\n", err->where, err->msg);
        exit(1);
    }
}

/* ------------------------------------------------------------------------------------- baseline */

/* As `openssl speed` (3.0) does it: key, nonce, 4 KiB and final step, over one buffer. */
static void run_gcm(void)
{
    static uint8_t buf[4096];
    static const uint8_t k[16] = {1}, nonce[12] = {2};
    int n;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    must(cipher && ctx && EVP_EncryptInit_ex2(ctx, cipher, NULL, NULL, NULL) == 1, "EVP");
    for (uint64_t i = 0; i < total / sizeof(buf); i++)
        must(EVP_EncryptInit_ex2(ctx, NULL, k, nonce, NULL) == 1 &&
                 EVP_EncryptUpdate(ctx, buf, &n, buf, sizeof(buf)) == 1 &&
                 EVP_EncryptFinal_ex(ctx, buf, &n) == 1,
             "EVP");
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
}

/* Without key set-up per 4 KiB: what AES-GCM itself can do on this core. */
static void run_gcm_one_key(void)
{
    static uint8_t buf[4096];
    static const uint8_t k[16] = {1}, nonce[12] = {2};
    int n;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    must(ctx && EVP_EncryptInit_ex2(ctx, EVP_aes_128_gcm(), k, nonce, NULL) == 1, "EVP");
    for (uint64_t i = 0; i < total / sizeof(buf); i++)
        must(EVP_EncryptUpdate(ctx, buf, &n, buf, sizeof(buf)) == 1, "EVP");
    must(EVP_EncryptFinal_ex(ctx, buf, &n) == 1, "EVP");
    EVP_CIPHER_CTX_free(ctx);
}

/* The last line is "AES-128-GCM   2725586.94k": thousands of bytes per second. */
static double openssl_speed(void)
{
    double kilo = 0;
    char line[256];
    FILE *p = popen("openssl speed -seconds 2 -bytes 4096 -evp aes-128-gcm 2>/dev/null", "r");
    while (p && fgets(line, sizeof(line), p)) {
        if (strncasecmp(line, "aes-128-gcm", 11) == 0)
            kilo = strtod(line + 11, NULL);
    }
    return p && pclose(p) == 0 ? kilo * 1000 / 1048576 : 0;
}

/* --------------------------------------------------------------------------------------- passes */

static void run_encrypt(void)
{
    struct ccz_err err;
    int fd = open(pf_path, O_RDWR | O_CREAT, 0600);
    must(fd >= 0, "open");
    struct ccz_pf_io io = ccz_pf_io_fd(&fd);
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    must_rc(ccz_pf_writer_new(&w, &io, total, key, &cfg, &err), &err);
    for (uint64_t done = 0; done < total; done += PIECE_SIZE)
        must_rc(ccz_pf_writer_put(w, CCZ_SPAN(piece, PIECE_SIZE), &err), &err);
    must_rc(ccz_pf_writer_finish(w, &err), &err);
    close(fd);
}

static void run_decrypt(void)
{
    struct ccz_err err;
    int fd = open(pf_path, O_RDONLY);
    must(fd >= 0, "open");
    struct ccz_pf_io io = ccz_pf_io_fd(&fd);
    CCZ_AUTO(ccz_pf_reader) r = NULL;
    must_rc(ccz_pf_reader_open(&r, &io, key, &cfg, &err), &err);
    for (uint64_t at = 0; at < total; at += PIECE_SIZE)
        must_rc(ccz_pf_reader_read(piece, r, at, PIECE_SIZE, &err), &err);
    close(fd);
}

static void run_decrypt_buf(void)
{
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, total);
    must_rc(ccz_pf_decrypt_to_buf(&b, pf_path, key, &cfg, &err), &err);
}

static void run_encrypt_file(void)
{
    struct ccz_err err;
    must_rc(ccz_pf_encrypt_file(pf_path, plain_path, key, &cfg, &err), &err);
}

static void run_decrypt_file(void)
{
    struct ccz_err err;
    must_rc(ccz_pf_decrypt_file(out_path, pf_path, key, &cfg, &err), &err);
}

static void run_copy(void)
{
    int in = open(plain_path, O_RDONLY);
    (void)unlink(out_path);
    int out = open(out_path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    must(in >= 0 && out >= 0, "open");
    for (ssize_t n; (n = read(in, piece, 393216)) > 0;)
        must(write(out, piece, (size_t)n) == n, "write");
    close(in);
    close(out);
}

/* One row of the output. All rows take turns in every pass: a busy machine slows all alike. */
struct row {
    const char *name;
    void (*run)(void);
    int64_t best_ns;
};

static void measure(struct row *rows, size_t len)
{
    for (int pass = 0; pass < PASSES; pass++) {
        for (size_t i = 0; i < len; i++) {
            int64_t t0 = ccz_mono_ns();
            rows[i].run();
            int64_t t = ccz_mono_ns() - t0;
            if (pass == 0 || t < rows[i].best_ns)
                rows[i].best_ns = t;
        }
    }
}

static double mib_s(const struct row *r)
{
    return (double)total / 1048576 / ((double)r->best_ns / 1e9);
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : "/dev/shm";
    total = (argc > 2 ? strtoull(argv[2], NULL, 10) : 512) * 1048576;
    (void)snprintf(plain_path, sizeof(plain_path), "%s/bench_pf.%ld.plain", dir, (long)getpid());
    (void)snprintf(pf_path, sizeof(pf_path), "%s/bench_pf.%ld.pf", dir, (long)getpid());
    (void)snprintf(out_path, sizeof(out_path), "%s/bench_pf.%ld.out", dir, (long)getpid());
    must(total > 0 && ccz_pf_key_generate(&key, NULL) == CCZ_OK, "setup");
    must(ccz_random(piece, sizeof(piece)) == CCZ_OK, "random");

    FILE *f = fopen(plain_path, "wb");
    for (uint64_t done = 0; f && done < total; done += PIECE_SIZE)
        must(fwrite(piece, PIECE_SIZE, 1, f) == 1, "write");
    must(f && fclose(f) == 0, "write");

    struct row rows[] = {{"aes-128-gcm", run_gcm, 0},
                         {"encrypt", run_encrypt, 0},
                         {"decrypt", run_decrypt, 0},
                         {"aes-128-gcm one key", run_gcm_one_key, 0}};
    struct row file_rows[] = {{"decrypt to new memory", run_decrypt_buf, 0},
                              {"encrypt file", run_encrypt_file, 0},
                              {"decrypt file", run_decrypt_file, 0},
                              {"copy file", run_copy, 0}};
    measure(rows, 4);
    double tool = openssl_speed(), base = mib_s(&rows[0]);
    printf("openssl speed\t%.0f\t%.2f\n", tool, tool / base);
    if (tool > base)
        base = tool;
    for (size_t i = 0; i < 4; i++)
        printf("%s\t%.0f\t%.2f\n", rows[i].name, mib_s(&rows[i]), mib_s(&rows[i]) / base);
    measure(file_rows, 4);
    for (size_t i = 0; i < 4; i++)
        printf("%s\t%.0f\t%.2f\n", file_rows[i].name, mib_s(&file_rows[i]),
               mib_s(&file_rows[i]) / base);
    (void)unlink(plain_path);
    (void)unlink(pf_path);
    (void)unlink(out_path);
    ccz_secret_free(key);
    return 0;
}
