/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last step of a client of the KBS protocol: opens what was encrypted to the key that it attested. Everything before can be done with curl.
 * usage: cczoo-kbs-open KEY <ANSWER >VALUE     KEY: private key, PKCS#8 in DER
 */
#include "../options.h"

#include <cczoo/jose.h>

enum { ANSWER_SIZE_MAX = 1 << 18 };

static ccz_rc read_stdin(struct ccz_buf *out, struct ccz_err *err)
{
    uint8_t piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0)
        ccz_buf_put(out, piece, n);
    return ferror(stdin) || out->bad
               ? ccz_fail(err, CCZ_E_IO, "open:input", 0, "standard input cannot be read")
               : CCZ_OK;
}

static ccz_rc run(const char *file, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) der = NULL;
    CCZ_AUTO(ccz_jwe_key) key = NULL;
    CCZ_AUTO_BUF answer, value;
    ccz_buf_init(&answer, ANSWER_SIZE_MAX);
    ccz_buf_init(&value, ANSWER_SIZE_MAX);
    value.wipe = true;
    ccz_rc rc = ccz_file_read_secret(&der, file, ANSWER_SIZE_MAX, err);
    if (rc == CCZ_OK)
        rc = ccz_jwe_key_from_pkcs8(&key, der, err);
    if (rc == CCZ_OK)
        rc = read_stdin(&answer, err);
    if (rc == CCZ_OK)
        rc = ccz_jwe_open(&value, key, ccz_buf_span(&answer), err);
    if (rc == CCZ_OK && fwrite(value.ptr, 1, value.size, stdout) != value.size)
        rc = ccz_fail(err, CCZ_E_IO, "open:output", 0, "standard output cannot be written");
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return usage("cczoo-kbs-open KEY <ANSWER >VALUE");
    struct ccz_err err = {0};
    return verdict(run(argv[1], &err), &err);
}
