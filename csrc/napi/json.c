#include "napi/json.h"

#include <inttypes.h>
#include <string.h>

#include "base/errors.h"
#include "base/wire.h"

/* Bytes that are encoded at a time: no padding but at the end. */
#define BASE64_PART ((size_t)48)
#define TEXT_MAX ((size_t)1024 * 1024)

static void add(wrn_json *j, const void *data, size_t len) {
  if (j->err == 0) {
    j->err = wr_buf_append(&j->buf, data, len);
  }
}

static void add_text(wrn_json *j, const char *text) {
  add(j, text, strlen(text));
}

static bool is_plain(uint8_t c) {
  return c >= 0x20 && c != 0x7F && c != '"' && c != '\\';
}

static void add_quoted(wrn_json *j, wr_slice text) {
  size_t i = 0;
  add(j, "\"", 1);
  while (i < text.len) {
    size_t run = i;
    while (run < text.len && is_plain(text.data[run])) {
      run++;
    }
    add(j, text.data + i, run - i);
    if (run < text.len) {
      char escape[8];
      int n = snprintf(escape, sizeof(escape), "\\u%04x", text.data[run]);
      add(j, escape, (size_t)n);
      run++;
    }
    i = run;
  }
  add(j, "\"", 1);
}

static void add_key(wrn_json *j, const char *key) {
  add_text(j, j->any ? ",\"" : "\"");
  add_text(j, key);
  add_text(j, "\":");
  j->any = true;
}

void wrn_json_begin(wrn_json *j, wr_mem *mem) {
  *j = (wrn_json){0};
  wr_buf_init(&j->buf, mem, TEXT_MAX);
  add(j, "{", 1);
}

void wrn_json_bytes(wrn_json *j, const char *key, wr_slice text) {
  add_key(j, key);
  add_quoted(j, text);
}

void wrn_json_base64(wrn_json *j, const char *key, wr_slice bytes) {
  char text[BASE64_PART / 3 * 4 + 1];
  add_key(j, key);
  add(j, "\"", 1);
  for (size_t i = 0; i < bytes.len; i += BASE64_PART) {
    size_t n = WR_MIN(bytes.len - i, BASE64_PART);
    add(j, text, wr_base64_encode(text, bytes.data + i, n, true));
  }
  add(j, "\"", 1);
}

void wrn_json_str(wrn_json *j, const char *key, const char *text) {
  const char *s = text == NULL ? "" : text;
  wrn_json_bytes(j, key, (wr_slice){(const uint8_t *)s, strlen(s)});
}

void wrn_json_num(wrn_json *j, const char *key, int64_t value) {
  char digits[24];
  int n = snprintf(digits, sizeof(digits), "%" PRId64, value);
  add_key(j, key);
  add(j, digits, (size_t)n);
}

void wrn_json_bool(wrn_json *j, const char *key, bool value) {
  add_key(j, key);
  add_text(j, value ? "true" : "false");
}

void wrn_json_list_begin(wrn_json *j, const char *key) {
  add_key(j, key);
  add_text(j, "[");
}

void wrn_json_list_item(wrn_json *j, wr_slice text) {
  if (j->err == 0 && j->buf.data[j->buf.len - 1] != '[') {
    add_text(j, ",");
  }
  add_quoted(j, text);
}

void wrn_json_list_end(wrn_json *j) {
  add_text(j, "]");
}

void wrn_json_raw(wrn_json *j, const char *key, wr_slice text) {
  add_key(j, key);
  add(j, text.data, text.len);
}

int wrn_json_end(wrn_json *j) {
  add(j, "}", 1);
  return j->err;
}

void wrn_json_free(wrn_json *j) {
  wr_buf_reset(&j->buf);
}
