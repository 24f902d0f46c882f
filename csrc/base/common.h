#ifndef WR_BASE_COMMON_H
#define WR_BASE_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The struct that a member is embedded in. */
#define wr_container_of(ptr, type, member)                                     \
  ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define WR_COUNTOF(a) (sizeof(a) / sizeof((a)[0]))
#define WR_MIN(a, b) ((a) < (b) ? (a) : (b))
#define WR_MAX(a, b) ((a) > (b) ? (a) : (b))
#define WR_UNUSED(x) ((void)(x))

#if defined(__GNUC__) || defined(__clang__)
#define WR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define WR_LIKELY(x) __builtin_expect(!!(x), 1)
#define WR_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define WR_NODISCARD __attribute__((warn_unused_result))
#else
#define WR_PRINTF(fmt, args)
#define WR_LIKELY(x) (x)
#define WR_UNLIKELY(x) (x)
#define WR_NODISCARD
#endif

/* For errors of our own making only, never for input or system results. It
   stays in release builds: going on with a broken invariant is worse than
   ending. The text names code only, never data. */
#define WR_ASSERT(expr)                                                        \
  do {                                                                         \
    if (WR_UNLIKELY(!(expr))) {                                                \
      fprintf(stderr, "wraith: broken invariant at %s:%d: %s\n", __FILE__,     \
              __LINE__, #expr);                                                \
      abort();                                                                 \
    }                                                                          \
  } while (0)

/* A borrowed run of bytes; whoever hands it out says how long it lives. */
typedef struct wr_slice {
  const uint8_t *data;
  size_t len;
} wr_slice;

#endif /* !defined(WR_BASE_COMMON_H) */
