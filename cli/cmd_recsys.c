/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo recsys VERB ...: recommenders from encrypted ratings to signed bundles. Here: the verbs, encrypt and plan. */
#include "recsys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { OPTIONS_MAX = 48 };

/* -------------------------------------------------------------------------------------- encrypt */

/* Ratings become a Parquet file that Spark and pyarrow read with the same master key. */
static ccz_rc to_parquet(const char *out, const struct recsys_input_opts *in, const char *key,
                         const char *key_name, struct recsys_session *s, struct ccz_err *err)
{
    struct recsys_input data;
    struct recsys_master master;
    struct ccz_newfile f = {.fd = -1};
    CCZ_AUTO(ccz_pq_keytools) tools = NULL;
    CCZ_AUTO(ccz_pq_crypt) crypt = NULL;
    recsys_master_init(&master, s, key);
    if (key_name)
        master.name = key_name;
    ccz_rc rc = recsys_input_read(&data, in, s, err);
    if (rc == CCZ_OK)
        rc = ccz_pq_keytools_new(
            &tools, &(struct ccz_pq_keytools_cfg){.kms = recsys_master_kms(&master)}, err);
    const struct ccz_pq_encrypt_cfg cfg = {.keytools = tools,
                                           .footer = {.master_key = master.name},
                                           .aad_prefix = ccz_span_str(in->data_name)};
    if (rc == CCZ_OK)
        rc = ccz_pq_encrypt_new(&crypt, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_open(&f, out, 0644, err);
    const struct ccz_pq_sink io = ccz_pq_sink_fd(&f.fd);
    if (rc == CCZ_OK)
        rc = ccz_recsys_write_parquet(&io, &data.data.ratings, data.data.user, data.data.item,
                                      &(struct ccz_recsys_table){.crypt = crypt}, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_commit(&f, CCZ_FILE_CREATE_ONLY, err);
    else
        ccz_newfile_abort(&f);
    recsys_input_deinit(&data);
    return rc;
}

static ccz_rc to_protected(const char *out, const char *in, bool titles, const char *key_spec,
                           struct recsys_session *s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) key = NULL;
    const struct ccz_pf_cfg cfg = {.path = titles ? RECSYS_BOUND_TITLES : RECSYS_BOUND_RATINGS};
    ccz_rc rc = recsys_file_key(&key, NULL, s, key_spec, err);
    return rc == CCZ_OK ? ccz_pf_encrypt_file(out, in, key, &cfg, err) : rc;
}

int recsys_encrypt(int argc, char **argv)
{
    struct recsys_trust_opts trust = {0};
    struct recsys_input_opts in = {0};
    struct ccz_err err = {0};
    struct ui_opt opts[OPTIONS_MAX] = {0};
    const char *key = NULL, *key_name = NULL;
    bool parquet = false, titles = false;
    const struct ui_opt own[] = {
        {"key", &key, NULL, NULL, "KEY", "key/NAME of the KMS, or a file"},
        {"key-name", &key_name, NULL, NULL, "NAME",
         "with --parquet and a file for KEY: the KMS will call it key/NAME"},
        {"parquet", NULL, NULL, &parquet, NULL,
         "an encrypted Parquet file; KEY is its master key, the format of IN counts"},
        {"titles", NULL, NULL, &titles, NULL, "IN has titles of items, not ratings"},
        {"data-name", &in.data_name, NULL, NULL, "NAME",
         "with --parquet: what data set this is; readers must expect it. Default ratings"},
        {"ratings-max", NULL, &in.ratings_max, NULL, "N", "more are refused"},
        {"format", &in.format, NULL, NULL, "NAME", "with --parquet: of IN, default csv"},
    };
    size_t n = recsys_form_options(opts, &in); /* for its defaults */
    memset(opts, 0, n * sizeof(opts[0]));
    memcpy(opts, own, sizeof(own));
    n = sizeof(own) / sizeof(own[0]);
    n += recsys_filter_options(opts + n,
                               &in); /* with --parquet: trainers for others have no filters */
    (void)recsys_kms_options(opts + n, &trust);
    const int left =
        ui_parse(argc, argv, "cczoo recsys encrypt --key KEY [--parquet] IN OUT", opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left != 2 || !key || (parquet && titles) ||
        (key_name && (!parquet || recsys_key_in_kms(key)))) {
        ui_error("%s", left != 2             ? "IN and OUT are required"
                       : !key                ? "--key is required"
                       : (parquet && titles) ? "titles do not go into Parquet"
                                             : "--key-name goes with --parquet and a key file");
        return UI_USAGE;
    }
    struct recsys_session s;
    recsys_session_begin(&s, &trust);
    in.in = argv[0];
    ccz_rc rc;
    if (parquet && !recsys_input_check(&in)) {
        recsys_session_end(&s);
        return UI_USAGE;
    }
    rc = parquet ? to_parquet(argv[1], &in, key, key_name, &s, &err)
                 : to_protected(argv[1], argv[0], titles, key, &s, &err);
    recsys_session_end(&s);
    return rc == CCZ_OK ? UI_OK : recsys_fail(&err);
}

/* ----------------------------------------------------------------------------------------- plan */

static void put_size(const char *name, uint64_t size)
{
    ui_out("%-34s %10.2f GiB\n", name, (double)size / (1 << 30));
}

static void show_plan(const struct ccz_recsys_plan_in *in, const struct ccz_recsys_plan *p)
{
    put_size("ratings by users and by items", p->matrix_size);
    put_size("factors", p->factor_size);
    put_size("training in all", p->train_size);
    put_size("of the memory of", in->memory_size);
    if (p->spill_size)
        put_size("sorting: encrypted, on the disk", p->spill_size);
    if (p->seconds > 0)
        ui_out("%-34s %10.1f s\n", "an iteration", p->seconds);
    ui_out("one machine: %s\n", p->fits ? "enough" : "not enough");
    if (p->executors)
        ui_out("as a Spark job: %u executors with spark.executor.memory %.0f g, numUserBlocks and "
               "numItemBlocks %u\n",
               p->executors, (double)p->executor_memory / (1 << 30), p->blocks);
    else
        ui_out("as a Spark job: more than 100,000 executors\n");
    put_size("cached by all executors", p->cluster_size);
    put_size("shuffled in an iteration, at most", p->shuffle_size);
}

int recsys_plan(int argc, char **argv)
{
    int64_t ratings = 0, users = 0, items = 0, factors = 64, cg = 0, cores = 1, exec_cores = 0;
    const char *memory = NULL, *exec_memory = NULL, *rate = NULL;
    double memory_gib, exec_gib, flops;
    struct ccz_err err = {0};
    const struct ui_opt opts[] = {
        {"ratings", NULL, &ratings, NULL, "N", "how many there are"},
        {"users", NULL, &users, NULL, "N", "users"},
        {"items", NULL, &items, NULL, "N", "items"},
        {"factors", NULL, &factors, NULL, "N", "default 64"},
        {"cg", NULL, &cg, NULL, "N", "steps of conjugate gradients; default 0 = exact"},
        {"memory", &memory, NULL, NULL, "GIB", "of this machine, of its TEE"},
        {"cores", NULL, &cores, NULL, "N", "default 1"},
        {"gflops", &rate, NULL, NULL, "X",
         "operations a second of one core, in 10^9, as measured; absent: no times"},
        {"executor-memory", &exec_memory, NULL, NULL, "GIB", "of one Spark executor"},
        {"executor-cores", NULL, &exec_cores, NULL, "N", "of one Spark executor"},
        {0},
    };
    const int left = ui_parse(
        argc, argv, "cczoo recsys plan --ratings N --users N --items N --memory GIB ..", opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left > 0 || !memory || !ui_real(&memory_gib, "memory", memory, 0, 0.001, 1e6) ||
        !ui_real(&exec_gib, "executor-memory", exec_memory, 0, 0.001, 1e6) ||
        !ui_real(&flops, "gflops", rate, 0, 0, 1e6) ||
        !ui_count("ratings", ratings, 1, INT64_MAX) || !ui_count("users", users, 1, UINT32_MAX) ||
        !ui_count("items", items, 1, UINT32_MAX) ||
        !ui_count("factors", factors, 1, CCZ_RECSYS_FACTORS_MAX) ||
        !ui_count("cg", cg, 0, CCZ_RECSYS_CG_STEPS_MAX) || !ui_count("cores", cores, 1, 4096) ||
        !ui_count("executor-cores", exec_cores, 0, 4096)) {
        if (!memory)
            ui_error("--memory is required");
        return UI_USAGE;
    }
    const double gib = 1 << 30;
    const struct ccz_recsys_plan_in in = {.ratings = (uint64_t)ratings,
                                          .users = (uint32_t)users,
                                          .items = (uint32_t)items,
                                          .factors = (uint32_t)factors,
                                          .cg_steps = (uint32_t)cg,
                                          .memory_size = (uint64_t)(memory_gib * gib),
                                          .cores = (uint32_t)cores,
                                          .rate = flops * 1e9,
                                          .executor_memory_size = (uint64_t)(exec_gib * gib),
                                          .executor_cores = (uint32_t)exec_cores};
    struct ccz_recsys_plan plan;
    if (ccz_recsys_plan(&plan, &in, &err) != CCZ_OK)
        return recsys_fail(&err);
    show_plan(&in, &plan);
    return UI_OK;
}

/* ---------------------------------------------------------------------------------------- verbs */

int cmd_recsys(int argc, char **argv)
{
    static const struct ui_verb verbs[] = {
        {"encrypt", "IN OUT", "ratings or titles into a protected file, or encrypted Parquet",
         recsys_encrypt},
        {"train", "", "a model from ratings, judged, as a signed and encrypted bundle",
         recsys_train},
        {"order", "", "what a trainer is to make, of what and how, as JSON for a KMS",
         recsys_order},
        {"evaluate", "", "a model beside popularity, item-kNN and EASE", recsys_evaluate},
        {"search", "", "parameters by trials on a validation part", recsys_search},
        {"recommend", "USER...", "lists from a bundle, also for who is new", recsys_recommend},
        {"similar", "ITEM...", "items of the same direction", recsys_similar},
        {"inspect", "", "what a bundle's signed manifest says", recsys_inspect},
        {"plan", "", "whether one machine is enough, and what Spark would need", recsys_plan},
        {"export", "OUT", "ratings by numbers, or factors, as encrypted Parquet", recsys_export},
        {"import", "DIR...", "factors that Spark wrote, as a bundle", recsys_import},
    };
    return ui_verbs("recsys", verbs, sizeof(verbs) / sizeof(verbs[0]), argc, argv);
}
