/* SPDX-License-Identifier: Apache-2.0 */
/* How cczoo-served ends: told first, and never put off for ever. */
#include "../../../daemons/served/served.h"

#include "ccz_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENV = 3 /* exit status of what the environment did */ };

/* A process whose work does not end is ended, and says so. */
static void test_end_within(void)
{
    int fds[2];
    char text[512] = "";
    size_t got = 0;
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDERR_FILENO);
        ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_INFO);
        served_end_within(30);
        for (;;)
            (void)pause();
    }
    close(fds[1]);
    for (ssize_t n; (n = read(fds[0], text + got, sizeof(text) - 1 - got)) > 0;)
        got += (size_t)n;
    close(fds[0]);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == ENV);
    CHECK(strstr(text, "ended=by-force after_ms=30") != NULL);
}

/* Not ready at once, whatever the wait; a second signal ends that. */
static void test_leave(void)
{
    struct served_work w = {0};
    struct ccz_err err;
    CHECK(ccz_infer_new(&w.models, &err) == CCZ_OK);
    CHECK(ccz_infer_announce(w.models, "m", 1, CCZ_INFER_LOADING, NULL, &err) == CCZ_OK);
    sigset_t term;
    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &term, NULL);
    CHECK(raise(SIGTERM) == 0);
    served_leave(&w, NULL, 3600 * 1000); /* else the test runs into its limit */
    served_leave(&w, NULL, 0);
    CHECK(!ccz_infer_ready(w.models, NULL));
    ccz_infer_free(w.models);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"served.end_within", test_end_within},
                                            {"served.leave", test_leave}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
