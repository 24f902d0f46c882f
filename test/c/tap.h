/* A small TAP harness for the C tests. Header only, one include per program.
 *
 *   #include "tap.h"
 *
 *   TEST(queue_reports_full_before_it_is) {
 *     wr_queue q;
 *     MUST(wr_queue_init(&q, 16) == 0);      // set-up: ends the program
 *     EQ_INT(wr_queue_room(&q), 16);         // check: marks the test failed
 *     OK(wr_queue_empty(&q), "a new queue is empty");
 *   }
 *
 *   TAP_MAIN()
 *
 * Each TEST is one TAP point; its checks print file:line only on failure and
 * never leave the test, so clean-up code at its end always runs (every check
 * also yields its result, for `if (!OK(...)) goto out;`). Tests run in the
 * order of the file; arguments of the program select tests by substring, and
 * --list names them. TAP_MAIN_WITH(set_up, tear_down) runs two
 * `void (*)(void)` functions around every test.
 *
 * A program with a main() of its own may use the checks outside of any TEST:
 * then every check is a TAP point, and main ends with `return tap_done();`.
 *
 * A test that runs longer than TAP_TIMEOUT_S (30; environment variable of the
 * same name overrides) fails as "timed out" and ends the program.
 */
#ifndef WR_TEST_C_TAP_H
#define WR_TEST_C_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <signal.h>
#include <unistd.h>

#if defined(__GNUC__) || defined(__clang__)
#define TAP_UNUSED __attribute__((unused))
#define TAP_FORMAT(a, b) __attribute__((format(printf, a, b)))
#define TAP_CONSTRUCTOR __attribute__((constructor))
#else
#error "the C tests need gcc or clang"
#endif

#ifndef TAP_TIMEOUT_S
#define TAP_TIMEOUT_S 30
#endif

typedef void (*tap_fn)(void);

typedef struct tap_case tap_case;
struct tap_case {
  const char *name;
  const char *file;
  int line;
  tap_fn fn;
  tap_case *next;
};

/* State of the one running program. */
static struct {
  tap_case *first;     /* registered tests in file order */
  tap_case **last;     /* where the next one is linked */
  const tap_case *now; /* the running test, NULL outside of tests */
  unsigned points;     /* TAP points printed */
  unsigned failed;     /* of these: "not ok" */
  unsigned bad_checks; /* failed checks of the running test */
  const char *skip;    /* reason, when the running test was skipped */
  int done;            /* the plan is printed */
} tap_state TAP_UNUSED;

TAP_UNUSED static void tap_register(tap_case *c) {
  if (tap_state.last == NULL) {
    tap_state.last = &tap_state.first;
  }
  *tap_state.last = c;
  tap_state.last = &c->next;
}

/* A comment line, with every further line of the text a comment as well. */
TAP_UNUSED TAP_FORMAT(1, 2) static void tap_diag(const char *fmt, ...) {
  char text[2048];
  char *line = text;
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(text, sizeof(text), fmt, ap);
  va_end(ap);
  while (line != NULL) {
    char *end = strchr(line, '\n');
    if (end != NULL) {
      *end++ = '\0';
    }
    printf("# %s\n", line);
    line = end;
  }
  fflush(stdout);
}

/* One TAP point. '#' would start a directive, so it is replaced. */
TAP_UNUSED static void tap_point(int ok, const char *name,
                                 const char *directive) {
  tap_state.points++;
  if (!ok) {
    tap_state.failed++;
  }
  printf("%s %u - ", ok ? "ok" : "not ok", tap_state.points);
  for (; *name != '\0'; name++) {
    putchar(*name == '#' || *name == '\n' ? '.' : *name);
  }
  printf("%s\n", directive);
  fflush(stdout);
}

/* Every check ends here. Returns `ok`. */
TAP_UNUSED TAP_FORMAT(4, 5) static int tap_check(int ok, const char *file,
                                                 int line, const char *fmt,
                                                 ...) {
  char text[1024];
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(text, sizeof(text), fmt, ap);
  va_end(ap);
  if (tap_state.now == NULL) {
    tap_point(ok, text, "");
  }
  if (!ok) {
    tap_state.bad_checks++;
    tap_diag("%s:%d: failed: %s", file, line, text);
  }
  return ok;
}

TAP_UNUSED static int tap_check_int(intmax_t got, intmax_t want,
                                    const char *file, int line,
                                    const char *expr) {
  int ok = tap_check(got == want, file, line, "%s", expr);
  if (!ok) {
    tap_diag("  got  %" PRIdMAX "\n  want %" PRIdMAX, got, want);
  }
  return ok;
}

TAP_UNUSED static int tap_check_uint(uintmax_t got, uintmax_t want,
                                     const char *file, int line,
                                     const char *expr) {
  int ok = tap_check(got == want, file, line, "%s", expr);
  if (!ok) {
    tap_diag("  got  %" PRIuMAX "\n  want %" PRIuMAX, got, want);
  }
  return ok;
}

TAP_UNUSED static int tap_check_str(const char *got, const char *want,
                                    const char *file, int line,
                                    const char *expr) {
  int same = got != NULL && want != NULL ? strcmp(got, want) == 0 : got == want;
  int ok = tap_check(same, file, line, "%s", expr);
  if (!ok) {
    tap_diag("  got  %s%s%s", got ? "\"" : "", got ? got : "NULL",
             got ? "\"" : "");
    tap_diag("  want %s%s%s", want ? "\"" : "", want ? want : "NULL",
             want ? "\"" : "");
  }
  return ok;
}

/* Up to 16 bytes of `p` from `at`, as hex. */
TAP_UNUSED static void tap_hex(const char *what, const void *p, size_t len,
                               size_t at) {
  const uint8_t *bytes = p;
  char text[3 * 16 + 1] = "";
  size_t n = 0;

  for (; n < 16 && at + n < len; n++) {
    snprintf(text + 3 * n, 4, " %02x", bytes[at + n]);
  }
  tap_diag("  %s%s%s", what, text, at + n < len ? " ..." : "");
}

TAP_UNUSED static int tap_check_mem(const void *got, size_t got_len,
                                    const void *want, size_t want_len,
                                    const char *file, int line,
                                    const char *expr) {
  const uint8_t *g = got;
  const uint8_t *w = want;
  size_t at = 0;
  int ok;

  while (at < got_len && at < want_len && g[at] == w[at]) {
    at++;
  }
  ok = tap_check(at == got_len && at == want_len, file, line, "%s", expr);
  if (!ok) {
    tap_diag("  lengths: got %zu, want %zu; first difference at %zu", got_len,
             want_len, at);
    tap_hex("got ", got, got_len, at);
    tap_hex("want", want, want_len, at);
  }
  return ok;
}

/* Prints the plan. Returns the exit code for main(). */
TAP_UNUSED static int tap_done(void) {
  if (!tap_state.done) {
    tap_state.done = 1;
    printf("1..%u%s\n", tap_state.points,
           tap_state.points == 0 ? " # SKIP nothing to run" : "");
    fflush(stdout);
  }
  return tap_state.failed == 0 ? 0 : 1;
}

TAP_UNUSED static void tap_bail(const char *file, int line, const char *expr) {
  tap_diag("%s:%d: must hold: %s", file, line, expr);
  tap_point(0, tap_state.now ? tap_state.now->name : expr, "");
  tap_done();
  /* Not exit(): leak checkers and destructors would bury the message. */
  _exit(1);
}

/* Only write() and _exit() are safe here. */
TAP_UNUSED static void tap_on_alarm(int sig) {
  static const char text[] = "\n# timed out\nBail out! timed out\n";
  ssize_t n = write(STDOUT_FILENO, text, sizeof(text) - 1);

  (void)n;
  (void)sig;
  _exit(124);
}

TAP_UNUSED static unsigned tap_timeout(void) {
  const char *env = getenv("TAP_TIMEOUT_S");
  long s = env != NULL ? strtol(env, NULL, 10) : TAP_TIMEOUT_S;

  return s < 0 ? 0 : (unsigned)s;
}

TAP_UNUSED static void tap_run_one(const tap_case *c, tap_fn set_up,
                                   tap_fn tear_down) {
  char directive[256] = "";

  tap_state.now = c;
  tap_state.bad_checks = 0;
  tap_state.skip = NULL;
  alarm(tap_timeout());
  if (set_up != NULL) {
    set_up();
  }
  c->fn();
  if (tear_down != NULL) {
    tear_down();
  }
  alarm(0);
  tap_state.now = NULL;
  if (tap_state.skip != NULL && tap_state.bad_checks == 0) {
    snprintf(directive, sizeof(directive), " # SKIP %s", tap_state.skip);
  }
  tap_point(tap_state.bad_checks == 0, c->name, directive);
}

TAP_UNUSED static int tap_selected(const tap_case *c, int argc, char **argv) {
  int i;

  for (i = 1; i < argc; i++) {
    if (strstr(c->name, argv[i]) != NULL) {
      return 1;
    }
  }
  return argc < 2;
}

TAP_UNUSED static int tap_run(int argc, char **argv, tap_fn set_up,
                              tap_fn tear_down) {
  const tap_case *c;
  int list = argc == 2 && strcmp(argv[1], "--list") == 0;

  if (!list) {
    printf("TAP version 14\n");
    signal(SIGALRM, tap_on_alarm);
    signal(SIGPIPE, SIG_IGN);
  }
  for (c = tap_state.first; c != NULL; c = c->next) {
    if (list) {
      printf("%s\n", c->name);
    } else if (tap_selected(c, argc, argv)) {
      tap_run_one(c, set_up, tear_down);
    }
  }
  return list ? 0 : tap_done();
}

#define TEST(id)                                                               \
  static void tap_test_##id(void);                                             \
  static tap_case tap_case_##id = {#id, __FILE__, __LINE__, tap_test_##id,     \
                                   NULL};                                      \
  TAP_CONSTRUCTOR static void tap_register_##id(void) {                        \
    tap_register(&tap_case_##id);                                              \
  }                                                                            \
  static void tap_test_##id(void)

#define TAP_MAIN_WITH(set_up, tear_down)                                       \
  int main(int argc, char **argv) {                                            \
    return tap_run(argc, argv, set_up, tear_down);                             \
  }
#define TAP_MAIN() TAP_MAIN_WITH(NULL, NULL)

/* Checks. All yield 1 when they hold, 0 otherwise; arguments are evaluated
 * once. EQ_INT is for signed and mixed values, EQ_UINT for uint64_t. */
#define OK(cond, ...) tap_check((cond) ? 1 : 0, __FILE__, __LINE__, __VA_ARGS__)
#define CHECK(cond) tap_check((cond) ? 1 : 0, __FILE__, __LINE__, "%s", #cond)
#define FAIL(...) tap_check(0, __FILE__, __LINE__, __VA_ARGS__)
#define EQ_INT(got, want)                                                      \
  tap_check_int((intmax_t)(got), (intmax_t)(want), __FILE__, __LINE__,         \
                #got " == " #want)
#define EQ_UINT(got, want)                                                     \
  tap_check_uint((uintmax_t)(got), (uintmax_t)(want), __FILE__, __LINE__,      \
                 #got " == " #want)
#define EQ_STR(got, want)                                                      \
  tap_check_str((got), (want), __FILE__, __LINE__, #got " equals " #want)
#define EQ_MEM(got, got_len, want, want_len)                                   \
  tap_check_mem((got), (got_len), (want), (want_len), __FILE__, __LINE__,      \
                #got " equals " #want)

/* Set-up that has to work: ends the program with a failed point. */
#define MUST(cond)                                                             \
  do {                                                                         \
    if (!(cond)) {                                                             \
      tap_bail(__FILE__, __LINE__, #cond);                                     \
    }                                                                          \
  } while (0)

/* Leaves the running test, counted as skipped with a reason (a string). */
#define SKIP(reason)                                                           \
  do {                                                                         \
    tap_state.skip = (reason);                                                 \
    return;                                                                    \
  } while (0)

#define DIAG(...) tap_diag(__VA_ARGS__)

#endif /* WR_TEST_C_TAP_H */
