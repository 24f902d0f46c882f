#ifndef WR_BASE_LOG_H
#define WR_BASE_LOG_H

#include "base/common.h"

/* Records of the server log (docs/log.md). A record is a fixed
   message and fields; what a field may hold is decided here, in one place:
   there is no field for a destination, a name looked up or payload. */
typedef enum wr_log_level {
  WR_LOG_ERROR = 1,
  WR_LOG_WARN,
  WR_LOG_INFO,
  WR_LOG_DEBUG
} wr_log_level;

typedef struct wr_log_field {
  const char *key;  /* a literal: lower case and underscores */
  const char *text; /* NULL: the number is meant */
  size_t len;       /* of text; it may hold any bytes, also of a peer's */
  int64_t number;
} wr_log_field;

typedef struct wr_log_record {
  wr_log_level level;
  int64_t time_ms;     /* milliseconds since 1970, UTC */
  const char *message; /* a literal */
  const wr_log_field *fields;
  size_t n_fields;
} wr_log_record;

typedef void (*wr_log_cb)(const wr_log_record *record, void *data);

typedef struct wr_log {
  wr_log_level level; /* the most talkative one that passes */
  wr_log_cb cb;       /* NULL: silent */
  void *data;
  int64_t (*wall_ms)(void *data); /* the clock for time_ms */
} wr_log;

/* Hands one record to the sink if its level passes. fields is an array of
   n_fields; text is borrowed during the call. */
void wr_log_write(const wr_log *log, wr_log_level level, const char *message,
                  const wr_log_field *fields, size_t n_fields);

static inline wr_log_field wr_log_int(const char *key, int64_t number) {
  return (wr_log_field){.key = key, .number = number};
}
wr_log_field wr_log_str(const char *key, const char *text);
wr_log_field wr_log_bytes(const char *key, const uint8_t *text, size_t len);

#define WR_LOG_LINE_MAX 2048
/* One line of logfmt as docs/log.md shows it, without a line feed. Values are
   quoted where they are empty or hold a blank, a quote, a backslash, '=' or
   anything that is not printable ASCII; in quotes, control characters and bytes
   over 126 are escaped as \xNN, quotes and backslashes as \" and \\. A value is
   cut at 256 bytes of input; a field that no longer fits into WR_LOG_LINE_MAX or
   cap is left out, as a line cut in a value could be taken for another. Returns
   its length (dst is zero-terminated as well, unless cap is 0). */
size_t wr_log_format_logfmt(const wr_log_record *r, char *dst, size_t cap);
/* The same record as one JSON object: time, level, message, then the fields; in
   ASCII, everything else is escaped, and bytes that are not UTF-8 are U+FFFD.
   Empty if cap has no room for {}. */
size_t wr_log_format_json(const wr_log_record *r, char *dst, size_t cap);

#endif /* !defined(WR_BASE_LOG_H) */
