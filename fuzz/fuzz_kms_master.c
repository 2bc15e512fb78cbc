/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a KMS reads before it has a master key: shares as text, wrapped keys, PKCS#11 URIs. The first byte chooses. What is
 * taken prints (or is) within bounds, and a share prints as it was read.
 */
#include "../tests/unit/kms/kms_fixture.h"

#include "kms/master_priv.h"

static void require(bool holds, const char *what)
{
    if (!holds)
        fix_die(what);
}

static void share(struct ccz_span in)
{
    struct cczi_share s, again;
    char text[CCZ_KMS_SHARE_SIZE_MAX];
    if (cczi_share_parse(&s, in, NULL) != CCZ_OK)
        return;
    require(s.needed >= 2 && s.needed <= s.total && s.total <= CCZ_KMS_SHARES_MAX && s.index >= 1 &&
                s.index <= s.total,
            "a share out of range");
    cczi_share_print(text, &s);
    require(cczi_share_parse(&again, ccz_span_str(text), NULL) == CCZ_OK &&
                memcmp(&s, &again, sizeof(s)) == 0,
            "a share that is read otherwise than it prints");
}

static bool inside(struct ccz_span part, struct ccz_span all)
{
    return part.size == 0 || (part.ptr >= all.ptr && part.ptr + part.size <= all.ptr + all.size);
}

static void blob(struct ccz_span in)
{
    struct cczi_kms_blob b;
    if (cczi_kms_blob_parse(&b, in, NULL) != CCZ_OK)
        return;
    require(inside(b.header, in) && inside(b.body, in), "a view that leaves the file");
    struct cczi_tee_body t;
    struct cczi_p11_body p;
    struct cczi_shamir_body s;
    if (cczi_tee_body_parse(&t, b.body, NULL) == CCZ_OK)
        require(inside(t.measurement, in) && t.nonce.size == 12 && t.text.size == 32 &&
                    inside(t.tag, in) && t.tag.size == 16,
                "tee");
    if (cczi_p11_body_parse(&p, b.body, NULL) == CCZ_OK)
        require(inside(p.iv, in) && inside(p.text, in) && p.text.size, "pkcs11");
    if (cczi_shamir_body_parse(&s, b.body, NULL) == CCZ_OK)
        require(inside(s.commitments, in) && s.commitments.size == 32u * s.total && s.set.size == 4,
                "shamir");
}

static void uri(struct ccz_span in)
{
    char text[8192];
    struct cczi_p11_uri u;
    if (in.size >= sizeof(text))
        return;
    if (in.size)
        memcpy(text, in.ptr, in.size);
    text[in.size] = 0;
    if (cczi_p11_uri_parse(&u, text, NULL) != CCZ_OK)
        return;
    require(u.token[0] && u.object[0] && u.module[0] == '/', "a URI without its parts");
    require((u.pin_fd >= 0) != (u.pin_file[0] == '/'), "a URI with two PINs, or none");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[])(struct ccz_span in) = {share, blob, uri};
    if (size)
        parsers[data[0] % 3](CCZ_SPAN(data + 1, size - 1));
    return 0;
}
