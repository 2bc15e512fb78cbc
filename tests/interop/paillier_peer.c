/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What test_phe.py makes python-paillier talk to. Keys and ciphertexts are files of JSON, results go to
 * standard output.
 *   keygen BITS                     a private key
 *   encrypt KEY EXPONENT X...       an array of ciphertexts (KEY private or public)
 *   decrypt KEY CT                  numbers, one a line, with 17 digits
 *   add KEY CT CT                   sums, randomised
 *   mul KEY EXPONENT CT X           products with a number, randomised
 *   exponent X                      the exponent python-paillier chooses for a float
 */
#include <cczoo/paillier.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 64, BITS = 200, FILE_MAX = 1 << 20 };

static struct ccz_err err;

static void must(ccz_rc rc)
{
    if (rc == CCZ_OK)
        return;
    fprintf(stderr, "%s: %s\n", err.where, err.msg);
    exit(1);
}

static struct ccz_span file(struct ccz_buf *b, const char *path)
{
    ccz_buf_init(b, FILE_MAX);
    must(ccz_file_read(b, path, &err));
    return ccz_buf_span(b);
}

static struct ccz_paillier_key *load_key(const char *path)
{
    CCZ_AUTO_BUF b;
    struct ccz_paillier_key *k;
    must(ccz_paillier_key_from_json(&k, file(&b, path), NULL, &err));
    return k;
}

static struct ccz_paillier_pub *load_pub(const char *path)
{
    CCZ_AUTO_BUF b;
    struct ccz_paillier_pub *pub;
    struct ccz_span text = file(&b, path);
    if (ccz_paillier_pub_from_json(&pub, text, NULL, &err) == CCZ_OK)
        return pub;
    CCZ_AUTO(ccz_paillier_key) k = load_key(path);
    return ccz_paillier_key_pub(k);
}

static struct ccz_paillier_vec *load_vec(const struct ccz_paillier_pub *pub, const char *path)
{
    CCZ_AUTO_BUF b;
    struct ccz_paillier_vec *v;
    must(ccz_paillier_vec_from_json(&v, pub, file(&b, path), 2 * BITS, VALUES_MAX, &err));
    return v;
}

static void print_vec(const struct ccz_paillier_vec *v)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, FILE_MAX);
    must(ccz_paillier_vec_to_json(&out, v, &err));
    puts(ccz_buf_str(&out));
}

static struct ccz_paillier_plain *plain(const struct ccz_paillier_pub *pub, int argc, char **argv)
{
    double x[VALUES_MAX];
    struct ccz_paillier_plain *p;
    int len = argc - 4 < VALUES_MAX ? argc - 4 : VALUES_MAX;
    for (int i = 0; i < len; i++)
        x[i] = strtod(argv[4 + i], NULL);
    const struct ccz_paillier_format format = {(int32_t)strtol(argv[3], NULL, 10), BITS};
    must(ccz_paillier_plain_f64(&p, pub, x, (size_t)len, format, NULL, &err));
    return p;
}

static void keygen(const char *bits)
{
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, FILE_MAX);
    out.wipe = true;
    must(ccz_paillier_keygen(
        &k, &(struct ccz_paillier_keygen_cfg){.bits = (unsigned)strtoul(bits, NULL, 10)}, &err));
    must(ccz_paillier_key_to_json(&out, k, "paillier_peer", &err));
    puts(ccz_buf_str(&out));
}

static void decrypt(const char *key, const char *ct)
{
    CCZ_AUTO(ccz_paillier_key) k = load_key(key);
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(k);
    CCZ_AUTO(ccz_paillier_vec) v = load_vec(pub, ct);
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    double x[VALUES_MAX];
    must(ccz_paillier_decrypt(&p, k, v, NULL, &err));
    must(ccz_paillier_plain_to_f64(x, p, &err));
    for (size_t i = 0; i < ccz_paillier_plain_len(p); i++)
        printf("%.17g\n", x[i]);
}

/* Sum with another vec, or product with a number. */
static void compute(bool add, int argc, char **argv)
{
    CCZ_AUTO(ccz_paillier_pub) pub = load_pub(argv[2]);
    CCZ_AUTO(ccz_paillier_vec) v = load_vec(pub, add ? argv[3] : argv[4]);
    if (add) {
        CCZ_AUTO(ccz_paillier_vec) w = load_vec(pub, argv[4]);
        int32_t ev = ccz_paillier_vec_exponent(v), ew = ccz_paillier_vec_exponent(w);
        must(ccz_paillier_rescale(ev > ew ? v : w, ev > ew ? ew : ev, &err));
        must(ccz_paillier_add(v, w, &err));
    } else {
        char *number[] = {argv[0], argv[1], argv[2], argv[3], argv[5]};
        CCZ_AUTO(ccz_paillier_plain) p = plain(pub, argc - 1, number);
        must(ccz_paillier_mul_plain(v, p, &err));
    }
    must(ccz_paillier_randomise(v, NULL, &err));
    print_vec(v);
}

static void encrypt(int argc, char **argv)
{
    CCZ_AUTO(ccz_paillier_pub) pub = load_pub(argv[2]);
    CCZ_AUTO(ccz_paillier_plain) p = plain(pub, argc, argv);
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    must(ccz_paillier_encrypt(&v, p, NULL, &err));
    print_vec(v);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";
    if (strcmp(verb, "keygen") == 0)
        keygen(argv[2]);
    else if (strcmp(verb, "encrypt") == 0 && argc > 4)
        encrypt(argc, argv);
    else if (strcmp(verb, "decrypt") == 0 && argc == 4)
        decrypt(argv[2], argv[3]);
    else if (strcmp(verb, "add") == 0 && argc == 5)
        compute(true, argc, argv);
    else if (strcmp(verb, "mul") == 0 && argc == 6)
        compute(false, argc, argv);
    else if (strcmp(verb, "exponent") == 0)
        printf("%d\n", (int)ccz_paillier_f64_exponent(strtod(argv[2], NULL)));
    else
        return 2;
    return 0;
}
