/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_EVENTLOG_H
#define CCZ_EVENTLOG_H
/**
 * @file eventlog.h
 * The boot event log of a TDX guest (CCEL): what firmware and boot loader measured into RTMR0 to RTMR3. Parses the
 * log, replays it, and compares the result with the registers of a quote. Pure: no I/O, no clock.
 * Reading order of the sources: eventlog.c (parsing), replay.c, event_types.c, ccel.c (ACPI table).
 *
 * The log is host-influenced memory: nothing in it is to be believed before its replay equals the registers of a
 * *verified* quote. What that proves is the sequence of digests per register, and no more:
 *   - an event's type and data are NOT measured. Data is as good as its digest where `digest_matches_data` is set;
 *     elsewhere (images, GRUB commands, firmware blobs) it is a label. A type is always a label.
 *   - events that are not `extended` (EV_NO_ACTION, or for MRTD) are not proven at all.
 *   - extends at run time (RTMR2, RTMR3; tee.h: ccz_rtmr_extend()) are not in this log. Who makes them keeps a log of
 *     his own and replays it on top with ccz_eventlog_extend().
 *
 * Example: does the log explain the quote?
 *     struct ccz_eventlog log;
 *     struct ccz_rtmrs rtmrs, quoted;
 *     memcpy(&quoted, claims.rtmr, sizeof(quoted));
 *     ccz_rc rc = ccz_eventlog_parse(&log, bytes, err);
 *     if (rc == CCZ_OK)
 *         rc = ccz_eventlog_replay(&rtmrs, &log, err);
 *     if (rc == CCZ_OK)
 *         rc = ccz_rtmrs_check(&rtmrs, &quoted, err);    // where = "eventlog:rtmr1", got, expected
 *     struct ccz_event e;
 *     struct ccz_eventlog_iter it = ccz_eventlog_begin(&log);
 *     while (rc == CCZ_OK && ccz_eventlog_next(&e, &it))
 *         printf("%zu %s\n", e.number, ccz_event_type_name(e.type));
 *
 * Sources: TCG "PC Client Platform Firmware Profile" 1.05, chapters 9 and 10 (crypto-agile log, types); UEFI 2.10,
 * 38.4.1 (register indices); ACPI 6.5, 5.2.34 (CCEL).
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_EVENTLOG_SIZE_MAX 16777216
#define CCZ_EVENTLOG_ALGS_MAX 8
#define CCZ_RTMR_LEN          4
#define CCZ_RTMR_SIZE         48

/** A parsed log; borrows the bytes. All of it has been walked through once, so that iterating cannot fail. */
struct ccz_eventlog {
    struct ccz_span events; /**< behind the header event, up to the padding */
    size_t events_len;
    /** Hash algorithms that each event has one digest of (TPM_ALG_ID), as the header event lists them. */
    struct {
        uint16_t id, digest_size;
    } alg[CCZ_EVENTLOG_ALGS_MAX];
    size_t algs_len;
};
/**
 * @param[out] out  zeroed on failure
 * @param log       content of .../tables/data/CCEL, with its padding of 0xFF; untrusted
 * @retval CCZ_E_LIMIT        larger than CCZ_EVENTLOG_SIZE_MAX, or more algorithms than CCZ_EVENTLOG_ALGS_MAX
 * @retval CCZ_E_UNSUPPORTED  not a crypto-agile log ("eventlog:spec-id"), no SHA-384 in it ("eventlog:algorithm")
 * @retval CCZ_E_FORMAT       truncated, a register or an algorithm that cannot be, anything behind the padding
 *                            began; err->aux = offset of the event
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_eventlog_parse(struct ccz_eventlog *out, struct ccz_span log,
                                               struct ccz_err *err);

/** One event; views into the log. See above for what may be believed of it. */
struct ccz_event {
    size_t number;          /**< 1 = first behind the header event */
    uint32_t mr_index;      /**< 0 = MRTD, 1 to 4 = RTMR0 to RTMR3 */
    uint32_t type;          /**< EV_..., see ccz_event_type_name() */
    struct ccz_span digest; /**< SHA-384, 48 bytes */
    struct ccz_span data;
    bool extended;         /**< the digest went into RTMR mr_index-1 */
    bool digest_over_data; /**< for this type the digest is defined to be over the data */
    /** The digest is the one of the data (EV_EFI_VARIABLE_BOOT: of the variable's value inside of it). Clear where
     *  digest_over_data is set: somebody changed the data, or the type. */
    bool digest_matches_data;
};
/** Position in a log, which it borrows. */
struct ccz_eventlog_iter {
    const struct ccz_eventlog *log;
    struct ccz_rd at;
    size_t number;
};
/** @param log  as ccz_eventlog_parse() filled it */
CCZ_API struct ccz_eventlog_iter ccz_eventlog_begin(const struct ccz_eventlog *log);
/** The next event. @return false at the end; @p out is zeroed then */
CCZ_API bool ccz_eventlog_next(struct ccz_event *out, struct ccz_eventlog_iter *it);
/** "EV_SEPARATOR"; "unknown" for types that the TCG profile does not define. Static. */
CCZ_API const char *ccz_event_type_name(uint32_t type);

/** Measurement registers RTMR0 to RTMR3. Zeroed = as at the start of a TD. */
struct ccz_rtmrs {
    uint8_t value[CCZ_RTMR_LEN][CCZ_RTMR_SIZE];
};
/** The registers after all events of @p log. @retval CCZ_E_INTERNAL  no SHA-384 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_eventlog_replay(struct ccz_rtmrs *out,
                                                const struct ccz_eventlog *log,
                                                struct ccz_err *err);
/** One extend: value[index] = SHA-384(value[index] || digest). @retval CCZ_E_ARG  index above 3 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_eventlog_extend(struct ccz_rtmrs *rtmrs, unsigned index,
                                                const uint8_t digest[CCZ_RTMR_SIZE]);
/**
 * Compares replayed registers with those of a quote.
 * @retval CCZ_E_MISMATCH  where = "eventlog:rtmrN" of the first register that differs, got = replayed,
 *                         expected = @p quoted
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rtmrs_check(const struct ccz_rtmrs *replayed,
                                            const struct ccz_rtmrs *quoted, struct ccz_err *err);

/** ACPI table CCEL: where firmware left the log. */
enum ccz_ccel_type { CCZ_CCEL_SEV = 1, CCZ_CCEL_TDX = 2 };
struct ccz_ccel {
    enum ccz_ccel_type type;
    uint8_t subtype;
    uint64_t log_size;    /**< bytes of the log area, padding included */
    uint64_t log_address; /**< physical */
};
/**
 * @param[out] out  zeroed on failure
 * @retval CCZ_E_FORMAT       size, signature or checksum
 * @retval CCZ_E_UNSUPPORTED  a type other than SEV and TDX
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ccel_parse(struct ccz_ccel *out, struct ccz_span table,
                                           struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
