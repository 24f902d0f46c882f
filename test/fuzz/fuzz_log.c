/* Hostile values in log records: each format stays one line of printable ASCII,
   its fields are those that were put in, and logfmt values read back are the
   bytes that were put in. The first two bytes choose the capacity; the rest is
   split into values at each byte 0xFE; an empty value stands for a number. */

#include <string.h>

#include "../c/json_check.h"
#include "base/log.h"

#define FIELDS_MAX 8
#define VALUE_MAX 256

static const char *const keys[FIELDS_MAX] = {"remote_addr", "user", "c", "d",
                                             "e",           "f",    "g", "h"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t split(const uint8_t *data, size_t size, wr_log_field *fields) {
  size_t n = 0;
  while (n < FIELDS_MAX && size > 0) {
    const uint8_t *end = memchr(data, 0xFE, size);
    size_t len = end == NULL ? size : (size_t)(end - data);
    fields[n] = len == 0 ? wr_log_int(keys[n], -(int64_t)size)
                         : wr_log_bytes(keys[n], data, len);
    n++;
    size_t skip = len + (end == NULL ? 0 : 1);
    data += skip;
    size -= skip;
  }
  return n;
}

static void check_line(const char *line, size_t len, size_t cap) {
  WR_ASSERT(len < cap && len <= WR_LOG_LINE_MAX && line[len] == '\0');
  for (size_t i = 0; i < len; i++) {
    WR_ASSERT(line[i] >= ' ' && line[i] <= '~');
  }
}

static uint8_t from_hex(const char *p) {
  static const char digits[] = "0123456789abcdef";
  const char *high = strchr(digits, p[0]);
  const char *low = p[0] == '\0' ? NULL : strchr(digits, p[1]);
  WR_ASSERT(high != NULL && low != NULL && p[1] != '\0');
  return (uint8_t)((high - digits) * 16 + (low - digits));
}

/* Reads a quoted value back; returns the position after it. */
static const char *unquote(const char *p, uint8_t *out, size_t *len) {
  for (p++; *p != '"'; p++) {
    uint8_t c = (uint8_t)*p;
    WR_ASSERT(c != '\0' && *len < VALUE_MAX);
    if (c == '\\') {
      c = (uint8_t) * ++p;
      WR_ASSERT(c == 'x' || c == '"' || c == '\\');
      if (c == 'x') {
        c = from_hex(p + 1);
        p += 2;
      }
    }
    out[(*len)++] = c;
  }
  return p + 1;
}

static const char *check_value(const char *p, const wr_log_field *f) {
  uint8_t value[VALUE_MAX];
  size_t len = 0;
  if (*p == '"') {
    p = unquote(p, value, &len);
  } else {
    len = strcspn(p, " ");
    WR_ASSERT(len > 0 && len <= VALUE_MAX);
    memcpy(value, p, len);
    WR_ASSERT(memchr(value, '=', len) == NULL);
    WR_ASSERT(memchr(value, '"', len) == NULL);
    p += len;
  }
  if (f->text != NULL) {
    WR_ASSERT(len == WR_MIN(f->len, VALUE_MAX));
    WR_ASSERT(memcmp(value, f->text, len) == 0);
  }
  return p;
}

/* Reads the fields of a line back; returns how many there are. */
static size_t check_fields(const char *p, const wr_log_record *r) {
  size_t i = 0;
  size_t n = 0;
  while (*p != '\0') {
    WR_ASSERT(*p++ == ' ');
    size_t len = strcspn(p, "=");
    while (i < r->n_fields && (strlen(r->fields[i].key) != len ||
                               memcmp(r->fields[i].key, p, len) != 0)) {
      i++;
    }
    WR_ASSERT(i < r->n_fields && p[len] == '=');
    p = check_value(p + len + 1, &r->fields[i]);
    i++;
    n++;
  }
  return n;
}

/* Within cap, and in a block of that size so that a sanitizer sees more. */
static void check_record(const wr_log_record *r, size_t cap) {
  static const char head[] = "2026-06-02T10:00:00.000Z WARN auth failed";
  char *line = malloc(cap);
  WR_ASSERT(line != NULL);
  size_t len = wr_log_format_logfmt(r, line, cap);
  check_line(line, len, cap);
  WR_ASSERT(memcmp(line, head, WR_MIN(len, sizeof(head) - 1)) == 0);
  size_t text_fields = 0;
  if (len >= sizeof(head) - 1) {
    text_fields = check_fields(line + sizeof(head) - 1, r);
  }
  len = wr_log_format_json(r, line, cap);
  check_line(line, len, cap);
  int members = len == 0 ? 0 : json_members(line);
  WR_ASSERT(members >= 0 && (size_t)members <= r->n_fields + 3);

  size_t bytes = 0;
  for (size_t i = 0; i < r->n_fields; i++) {
    bytes += 32 + 6 * WR_MIN(r->fields[i].len, VALUE_MAX);
  }
  if (150 + bytes < WR_MIN(cap, WR_LOG_LINE_MAX)) {
    WR_ASSERT(text_fields == r->n_fields);
    WR_ASSERT((size_t)members == r->n_fields + 3);
  }
  free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  wr_log_field fields[FIELDS_MAX];
  if (size < 2) {
    return 0;
  }
  size_t cap = (((size_t)data[0] << 8 | data[1]) & 0xFFF) + 1;
  wr_log_record r = {.level = WR_LOG_WARN,
                     .time_ms = INT64_C(1780394400000),
                     .message = "auth failed",
                     .fields = fields,
                     .n_fields = split(data + 2, size - 2, fields)};
  check_record(&r, cap);
  check_record(&r, WR_LOG_LINE_MAX + 1);
  return 0;
}
