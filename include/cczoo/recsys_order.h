/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_ORDER_H
#define CCZ_RECSYS_ORDER_H
/**
 * @file recsys_order.h
 * The *order*: one document in which the owner of ratings says what is trained, on which files, how, and how good it has to be.
 * He puts it into a KMS as a secret that trainer and server may have, and neither takes any of it from the host that starts it.
 * Its digest is that of its bytes as they lie there; the trainer writes it into the signed manifest of a bundle, and a server refuses a
 * bundle with another one. The training of "cczoo" is deterministic, so that two bundles of one order are the same model (rounding of
 * other vector units aside, recsys_als.h): there is nothing to swap. What "spark" makes is bound to the ratings, to the number of factors
 * and to how good it has to be: two jobs make two models, and both fulfil the order. Design: docs/design/recsys-bundle.md; format: docs/reference/recsys.md.
 */
#include <cczoo/parquet_crypt.h>
#include <cczoo/recsys_bundle.h>
#include <cczoo/recsys_eval.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_RECSYS_ORDER_SIZE_MAX   32768 /**< bytes of the document */
#define CCZ_RECSYS_FORMAT_NAME_SIZE 32
#define CCZ_RECSYS_EXPECT_MAX       1000

/** Names as options and documents have them; NULL: there is no such number. */
CCZ_API const char *ccz_recsys_kind_name(enum ccz_recsys_als_kind kind);
CCZ_API const char *ccz_recsys_split_name(enum ccz_recsys_split_kind kind);
CCZ_API const char *ccz_recsys_twice_name(enum ccz_recsys_twice rule);

/** How good a model has to be, before it becomes a bundle. */
struct ccz_recsys_judge {
    bool none; /**< nothing is held out and judged */
    enum ccz_recsys_split_kind split;
    double share; /**< of TIME and RANDOM: 0.001 .. 0.999; else 0 */
    double
        expect; /**< NDCG@10 must be that many times popularity's; 0 .. 1000, 0: whatever (not for "spark") */
};
struct ccz_recsys_order {
    char name[CCZ_RECSYS_NAME_SIZE];          /**< of the model */
    char trainer[32];                         /**< what makes it: "cczoo" or "spark" */
    char model_key[8 + CCZ_RECSYS_NAME_SIZE]; /**< of the bundle: "key/NAME" */
    uint8_t parent_sha256[32];                /**< manifest of the model before; zeros = none */
    struct {
        char key[8 + CCZ_RECSYS_NAME_SIZE];        /**< of ratings and titles: "key/NAME" */
        char name[CCZ_PQ_AAD_PREFIX_SIZE_MAX + 1]; /**< data set of an encrypted Parquet file */
        char format[CCZ_RECSYS_FORMAT_NAME_SIZE];  /**< "parquet", or of ccz_recsys_format_from() */
        uint8_t sha256[32];                        /**< of the file as it lies there */
        char titles_format[CCZ_RECSYS_FORMAT_NAME_SIZE]; /**< "": there are none */
        uint8_t titles_sha256[32]; /**< zeros, and only then, without titles */
    } data;
    struct {
        char ratings_key[8 + CCZ_RECSYS_NAME_SIZE]; /**< of the ratings that it gets: "key/NAME" */
        char factors_key[8 + CCZ_RECSYS_NAME_SIZE]; /**< of the factors that it makes */
        char export_name[CCZ_PQ_AAD_PREFIX_SIZE_MAX + 1]; /**< data set that it gets */
    } spark; /**< trainer "spark", which may have neither the key of the data nor that of the model; else all "" */
    struct ccz_recsys_filter filter; /**< ratings_max and once are not part of it */
    struct ccz_recsys_als_cfg als;   /**< parameters; threads, tier and functions are not */
    struct ccz_recsys_judge judge;
    uint8_t sha256[32]; /**< reading: of the document */
};

/** @retval CCZ_E_ARG, CCZ_E_LIMIT  recsys:order-value: what no order may say; `got` begins with the member ("als.factors: 0"). Numbers that
 *  a kind of model does not use are 0, so that one order has one meaning. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_order_check(const struct ccz_recsys_order *o,
                                                   struct ccz_err *err);
/** The document, appended. @param o  checked */
CCZ_API void ccz_recsys_order_put(struct ccz_buf *out, const struct ccz_recsys_order *o);
/**
 * Strict: every member is required and no other is taken.
 * @retval CCZ_E_FORMAT       recsys:order-format: no JSON, or the member that is missing, wrong or unknown, by its name;
 *                            recsys:order-value: as ccz_recsys_order_check()
 * @retval CCZ_E_UNSUPPORTED  recsys:order-format: another version   @retval CCZ_E_LIMIT  recsys:order-format: too large
 * @retval CCZ_E_NOMEM        json:parse, recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_order_parse(struct ccz_recsys_order *out,
                                                   struct ccz_span json, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
