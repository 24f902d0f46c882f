#include "base/log.h"

#include <inttypes.h>
#include <string.h>

#define VALUE_MAX 256
/* The last millisecond of the year 9999; later ones have no four digits. */
#define TIME_MAX INT64_C(253402300799999)
#define DAY_MS INT64_C(86400000)

/* A line under construction. What does not fit is not written, and `full` says
   so until the writer goes back to where it was. */
typedef struct line {
  char *text;
  size_t len;
  size_t cap; /* bytes that may be written, without the final zero */
  bool full;
} line;

static void put(line *l, const char *text, size_t len) {
  if (l->full || len > l->cap - l->len) {
    l->full = true;
    return;
  }
  memcpy(l->text + l->len, text, len);
  l->len += len;
}

static void put_str(line *l, const char *text) {
  put(l, text, strlen(text));
}

static void put_int(line *l, int64_t number) {
  char text[24];
  snprintf(text, sizeof(text), "%" PRId64, number);
  put_str(l, text);
}

/* Room for the longest allowed line, `spare` bytes of it kept for the end. */
static line line_start(char *dst, size_t cap, size_t spare) {
  size_t most = WR_MIN(cap - 1, WR_LOG_LINE_MAX);
  return (line){.text = dst, .cap = most > spare ? most - spare : 0};
}

/* Takes back a part that did not fit whole. */
static void keep_or_drop(line *l, size_t start) {
  if (l->full) {
    l->len = start;
    l->full = false;
  }
}

static const char *level_name(wr_log_level level) {
  switch (level) {
  case WR_LOG_ERROR:
    return "ERROR";
  case WR_LOG_WARN:
    return "WARN";
  case WR_LOG_INFO:
    return "INFO";
  case WR_LOG_DEBUG:
  default:
    return "DEBUG";
  }
}

/* Not gmtime: its result is shared by all threads, and its safe variants have
   different names. By years that begin in March, when the leap day comes last;
   719468 is the first of March of the year 0 in days before 1970. */
static void put_date(line *l, uint32_t days) {
  char text[40];
  uint32_t z = days + 719468;
  uint32_t era_day = z % 146097; /* eras of 400 years */
  uint32_t era_year =
      (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
  uint32_t year_day =
      era_day - (365 * era_year + era_year / 4 - era_year / 100);
  uint32_t from_march = (5 * year_day + 2) / 153;
  uint32_t day = year_day - (153 * from_march + 2) / 5 + 1;
  uint32_t month = from_march < 10 ? from_march + 3 : from_march - 9;
  uint32_t year = z / 146097 * 400 + era_year + (month <= 2 ? 1 : 0);
  snprintf(text, sizeof(text), "%04" PRIu32 "-%02" PRIu32 "-%02" PRIu32, year,
           month, day);
  put_str(l, text);
}

/* 2026-06-02T10:00:00.000Z */
static void put_time(line *l, int64_t time_ms) {
  char text[64];
  int64_t t = WR_MIN(WR_MAX(time_ms, 0), TIME_MAX);
  uint32_t ms = (uint32_t)(t % DAY_MS);
  put_date(l, (uint32_t)(t / DAY_MS));
  snprintf(text, sizeof(text),
           "T%02" PRIu32 ":%02" PRIu32 ":%02" PRIu32 ".%03" PRIu32 "Z",
           ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
  put_str(l, text);
}

static bool is_printable(uint8_t c) {
  return c >= ' ' && c <= '~';
}

static bool needs_quotes(const uint8_t *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    uint8_t c = text[i];
    if (!is_printable(c) || c == ' ' || c == '"' || c == '=' || c == '\\') {
      return true;
    }
  }
  return len == 0;
}

static void put_logfmt_byte(line *l, uint8_t c) {
  char text[8];
  if (c == '"' || c == '\\') {
    snprintf(text, sizeof(text), "\\%c", c);
  } else if (is_printable(c)) {
    snprintf(text, sizeof(text), "%c", c);
  } else {
    snprintf(text, sizeof(text), "\\x%02x", c);
  }
  put_str(l, text);
}

static void put_logfmt_text(line *l, const uint8_t *text, size_t len) {
  if (!needs_quotes(text, len)) {
    put(l, (const char *)text, len);
    return;
  }
  put_str(l, "\"");
  for (size_t i = 0; i < len; i++) {
    put_logfmt_byte(l, text[i]);
  }
  put_str(l, "\"");
}

static void put_logfmt_field(line *l, const wr_log_field *f) {
  size_t start = l->len;
  put_str(l, " ");
  put_str(l, f->key);
  put_str(l, "=");
  if (f->text == NULL) {
    put_int(l, f->number);
  } else {
    put_logfmt_text(l, (const uint8_t *)f->text, WR_MIN(f->len, VALUE_MAX));
  }
  keep_or_drop(l, start);
}

size_t wr_log_format_logfmt(const wr_log_record *r, char *dst, size_t cap) {
  if (cap == 0) {
    return 0;
  }
  line l = line_start(dst, cap, 0);
  put_time(&l, r->time_ms);
  put_str(&l, " ");
  put_str(&l, level_name(r->level));
  put_str(&l, " ");
  put_str(&l, r->message);
  /* Fields of a record whose head is cut would be read as its message. */
  for (size_t i = 0; i < r->n_fields && !l.full; i++) {
    put_logfmt_field(&l, &r->fields[i]);
  }
  dst[l.len] = '\0';
  return l.len;
}

/* The bytes of the UTF-8 sequence at p, 0 if there is none (RFC 3629: shortest
   form only, no surrogates, nothing over U+10FFFF). */
static size_t utf8_decode(const uint8_t *p, size_t left, uint32_t *point) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t n = p[0] < 0x80             ? 1
             : (p[0] & 0xE0) == 0xC0 ? 2
             : (p[0] & 0xF0) == 0xE0 ? 3
             : (p[0] & 0xF8) == 0xF0 ? 4
                                     : 0;
  if (n == 0 || n > left) {
    return 0;
  }
  uint32_t v = n == 1 ? p[0] : p[0] & (0x7FU >> n);
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xC0) != 0x80) {
      return 0;
    }
    v = v << 6 | (p[i] & 0x3FU);
  }
  if (v < least[n] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF)) {
    return 0;
  }
  *point = v;
  return n;
}

/* The line is ASCII: what is beyond could turn or hide text in a terminal. */
static void put_json_point(line *l, uint32_t v) {
  char text[16];
  if (v == '"' || v == '\\') {
    snprintf(text, sizeof(text), "\\%c", (int)v);
  } else if (v < 0x80 && is_printable((uint8_t)v)) {
    snprintf(text, sizeof(text), "%c", (int)v);
  } else if (v < 0x10000) {
    snprintf(text, sizeof(text), "\\u%04" PRIx32, v);
  } else {
    snprintf(text, sizeof(text), "\\u%04" PRIx32 "\\u%04" PRIx32,
             0xD7C0 + (v >> 10), 0xDC00 + (v & 0x3FF));
  }
  put_str(l, text);
}

static void put_json_text(line *l, const uint8_t *text, size_t len) {
  put_str(l, "\"");
  for (size_t i = 0; i < len;) {
    uint32_t point = 0xFFFD; /* stands for a byte that is not UTF-8 */
    size_t n = utf8_decode(text + i, len - i, &point);
    put_json_point(l, point);
    i += n == 0 ? 1 : n;
  }
  put_str(l, "\"");
}

static void put_json_str(line *l, const char *text) {
  put_json_text(l, (const uint8_t *)text, strlen(text));
}

/* The name of a member, after a comma if it is not the first one. */
static void put_json_key(line *l, const char *key) {
  put_str(l, l->len > 1 ? "," : "");
  put_json_str(l, key);
  put_str(l, ":");
}

static void put_json_field(line *l, const wr_log_field *f) {
  size_t start = l->len;
  put_json_key(l, f->key);
  if (f->text == NULL) {
    put_int(l, f->number);
  } else {
    put_json_text(l, (const uint8_t *)f->text, WR_MIN(f->len, VALUE_MAX));
  }
  keep_or_drop(l, start);
}

static void put_json_head(line *l, const wr_log_record *r) {
  size_t start = l->len;
  put_json_key(l, "time");
  put_str(l, "\"");
  put_time(l, r->time_ms);
  put_str(l, "\"");
  keep_or_drop(l, start);

  wr_log_field level = wr_log_str("level", level_name(r->level));
  put_json_field(l, &level);

  start = l->len;
  put_json_key(l, "message");
  put_json_str(l, r->message);
  keep_or_drop(l, start);
}

size_t wr_log_format_json(const wr_log_record *r, char *dst, size_t cap) {
  if (cap == 0) {
    return 0;
  }
  line l = line_start(dst, cap, 1);
  put_str(&l, "{");
  if (l.full) {
    dst[0] = '\0';
    return 0;
  }
  put_json_head(&l, r);
  for (size_t i = 0; i < r->n_fields; i++) {
    put_json_field(&l, &r->fields[i]);
  }
  l.text[l.len++] = '}';
  l.text[l.len] = '\0';
  return l.len;
}

void wr_log_write(const wr_log *log, wr_log_level level, const char *message,
                  const wr_log_field *fields, size_t n_fields) {
  if (log->cb == NULL || level > log->level) {
    return;
  }
  wr_log_record record = {
      .level = level,
      .time_ms = log->wall_ms == NULL ? 0 : log->wall_ms(log->data),
      .message = message,
      .fields = fields,
      .n_fields = n_fields,
  };
  log->cb(&record, log->data);
}

wr_log_field wr_log_str(const char *key, const char *text) {
  const char *s = text == NULL ? "" : text;
  return (wr_log_field){.key = key, .text = s, .len = strlen(s)};
}

wr_log_field wr_log_bytes(const char *key, const uint8_t *text, size_t len) {
  const char *s = text == NULL ? "" : (const char *)text;
  return (wr_log_field){.key = key, .text = s, .len = text == NULL ? 0 : len};
}
