/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation with the KMS: a sequence of calls (u8 peer, u8 method, le16 size, body) by peers
 * of every kind on a fresh store in memory. Whatever is said: only the right peers are answered,
 * refusals give nothing away, and the store checks at the end.
 */
#define _GNU_SOURCE
#include "../tests/unit/kms/kms_fixture.h"

enum { CALLS_MAX = 24 };

static void require(bool holds, const char *what)
{
    if (!holds)
        fix_die(what);
}

/* What takes seconds each: RSA pairs, and the wrapping key of imports, which every store makes anew. */
static bool is_too_slow(const struct cczi_kms_method *m, struct ccz_span body)
{
    return strcmp(m->name, "ImportToken") == 0 ||
           ((strcmp(m->name, "Generate") == 0 || strcmp(m->name, "Propose") == 0) && body.size &&
            memmem(body.ptr, body.size, "rsa", 3));
}

/* A signature, MAC or ciphertext that is none: of the input, not of the store. */
static bool is_of_input(const struct ccz_err *err)
{
    return strcmp(err->where, "kms:key-decrypt") == 0 ||
           strcmp(err->where, "kms:key-unwrap") == 0 || strcmp(err->where, "kms:key-mac") == 0 ||
           strcmp(err->where, "pkey:signature") == 0 || strcmp(err->where, "kms:import-token") == 0;
}

/* Others than the administrator can have their way only once he gave somebody a role (@p given), and without evidence nobody has a value.
 * The keys of tokens are for everybody. */
static bool may(const struct cczi_kms_method *m, enum fix_who who, bool given)
{
    if (!m->workload && !m->roles)
        return true;
    if (!m->workload)
        return who == FIX_ADMIN || given;
    bool reads = who == FIX_ADMIN && (m->roles & CCZI_KMS_READERS);
    return who == FIX_WORKLOAD || reads || (given && m->roles);
}

static void one_call(struct ccz_kms_store *s, enum fix_who who, const struct cczi_kms_method *m,
                     struct ccz_span body)
{
    bool given = s->roles_changed > 0 && fix_peer(who).pinned;
    struct ccz_err err = {0};
    struct ccz_buf out;
    if (is_too_slow(m, body))
        return;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = fix_call(&out, s, who, m->name, body, &err);
    if (rc == CCZ_OK) {
        require(may(m, who, given), "a peer did what it may not");
        require(!m->recorded || out.size > 34, "a recorded call without a receipt");
    } else {
        require(out.size == 0, "a refusal with an answer");
        require(err.where[0] && err.rc == rc, "a refusal without a reason");
        require(rc != CCZ_E_POLICY || strncmp(err.expected, "see decision D", 14) == 0,
                "a refusal that tells what a policy expects");
        require((rc != CCZ_E_SIG || is_of_input(&err)) && rc != CCZ_E_INTERNAL && rc != CCZ_E_IO,
                "a request damaged the store");
    }
    ccz_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_rd r = ccz_rd_from((struct ccz_span){data, size});
    int calls = 0;
    for (; calls < CALLS_MAX && r.left && !r.bad; calls++) {
        enum fix_who who = (enum fix_who)(ccz_rd_u8(&r) % FIX_WHO_LEN);
        uint8_t method = ccz_rd_u8(&r);
        struct ccz_span body = ccz_rd_take(&r, ccz_rd_le16(&r));
        if (!r.bad)
            one_call(s, who, &cczi_kms_methods[method % cczi_kms_methods_len], body);
    }
    struct ccz_kms_check c;
    struct ccz_err err = {0};
    require(ccz_kms_store_check(&c, s, &err) == CCZ_OK, err.where);
    require(c.audit_lines <= 2 + 2 * (uint64_t)calls, /* an approval executes another one */
            "more audit lines than calls");
    ccz_kms_store_free(s);
    return 0;
}
