#include "base/errors.h"

#include <stddef.h>

/* System errors of every platform lie in this open range: errno negated on
   Unix, the numbers libuv made up for the rest. */
#define SYSTEM_BELOW 0
#define SYSTEM_ABOVE (-4096)

typedef struct error_info {
  int number;        /* WR_E… */
  const char *code;  /* for JavaScript, without its prefix */
  const char *phase; /* "" where none belongs to it */
  const char *text;  /* part of a sentence */
} error_info;

static const error_info known[] = {
#define XX(name, number, code, phase, text) {WR_E##name, code, phase, text},
    WR_ERRORS(XX)
#undef XX
};

static const error_info system_error = {0, "SYSTEM", "", "system error"};
static const error_info unknown_error = {0, "UNKNOWN", "", "unknown error"};

static const error_info *find(int err) {
  if (err < SYSTEM_BELOW && err > SYSTEM_ABOVE) {
    return &system_error;
  }
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (known[i].number == err) {
      return &known[i];
    }
  }
  return &unknown_error;
}

const char *wr_error_code(int err) {
  return find(err)->code;
}

const char *wr_error_phase(int err) {
  return find(err)->phase;
}

const char *wr_error_text(int err) {
  return find(err)->text;
}
