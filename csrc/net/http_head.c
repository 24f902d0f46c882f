#include "net/http_head.h"

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"

typedef enum head_step {
  HEAD_METHOD = 0, /* the request line */
  HEAD_TARGET,
  HEAD_VERSION,      /* of either line */
  HEAD_STATUS,       /* three digits */
  HEAD_STATUS_AFTER, /* a blank, or the end: the phrase may be missing */
  HEAD_REASON,
  HEAD_LINE_LF, /* after the CR of a line */
  HEAD_NAME_FIRST,
  HEAD_NAME,
  HEAD_VALUE,
  HEAD_LAST_LF
} head_step;

#define VERSION_LEN 8 /* "HTTP/1.1" */

void wr_http_head_init(wr_http_head *h, wr_http_kind kind, size_t line_max,
                       size_t head_max) {
  memset(h, 0, sizeof(*h));
  h->kind = kind;
  h->step = kind == WR_HTTP_REQUEST ? HEAD_METHOD : HEAD_VERSION;
  h->line_max = line_max != 0 ? line_max : WR_HTTP_LINE_MAX;
  h->head_max =
      head_max != 0 ? WR_MIN(head_max, WR_HTTP_HEAD_MAX) : WR_HTTP_HEAD_MAX;
}

static int fail(wr_http_head *h, wr_http_fault fault) {
  h->fault = fault;
  return fault >= WR_HTTP_MANY_FIELDS ? WR_ELIMIT : WR_EMALFORMED;
}

static bool is_digit(uint8_t c) {
  return c >= '0' && c <= '9';
}

static bool is_tchar(uint8_t c) {
  return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_blank(uint8_t c) {
  return c == ' ' || c == '\t';
}

static bool is_visible(uint8_t c) {
  return c > ' ' && c != 0x7f;
}

/* Bytes of the part so far, the current one left out. */
static size_t part_len(const wr_http_head *h) {
  return h->len - h->part;
}

static wr_http_span span_from(const wr_http_head *h) {
  return (wr_http_span){(uint16_t)h->part, (uint16_t)part_len(h)};
}

/* The current byte is the last of a part; the next one begins after it. */
static void next_part(wr_http_head *h, head_step step) {
  h->step = (int)step;
  h->part = h->len + 1;
}

static int on_method(wr_http_head *h, uint8_t c) {
  if (is_tchar(c)) {
    return 0;
  }
  if (c != ' ' || part_len(h) == 0) {
    return fail(h, c == '\n' ? WR_HTTP_BAD_END : WR_HTTP_BAD_START);
  }
  h->method = span_from(h);
  next_part(h, HEAD_TARGET);
  return 0;
}

static int on_target(wr_http_head *h, uint8_t c) {
  if (is_visible(c)) {
    return 0;
  }
  if (c != ' ' || part_len(h) == 0) {
    return fail(h, c == '\n' ? WR_HTTP_BAD_END : WR_HTTP_BAD_START);
  }
  h->target = span_from(h);
  next_part(h, HEAD_VERSION);
  return 0;
}

static int end_version(wr_http_head *h, uint8_t c) {
  bool request = h->kind == WR_HTTP_REQUEST;
  h->version = span_from(h);
  if (c != (request ? '\r' : ' ')) {
    return fail(h, c == '\n' ? WR_HTTP_BAD_END : WR_HTTP_BAD_START);
  }
  next_part(h, request ? HEAD_LINE_LF : HEAD_STATUS);
  return 0;
}

static int on_version(wr_http_head *h, uint8_t c) {
  static const char prefix[] = "HTTP/";
  size_t at = part_len(h);
  bool ok;
  if (at == VERSION_LEN) {
    return end_version(h, c);
  }
  if (at < sizeof(prefix) - 1) {
    ok = c == (uint8_t)prefix[at];
  } else {
    ok = at == VERSION_LEN - 2 ? c == '.' : is_digit(c);
  }
  if (!ok) {
    return fail(h, c == '\n' ? WR_HTTP_BAD_END : WR_HTTP_BAD_START);
  }
  if (at == sizeof(prefix) - 1 && c != '1') {
    return fail(h, WR_HTTP_BAD_VERSION);
  }
  h->minor = (uint8_t)(c - '0'); /* of the last digit in the end */
  return 0;
}

static int on_status(wr_http_head *h, uint8_t c) {
  if (!is_digit(c)) {
    return fail(h, WR_HTTP_BAD_START);
  }
  h->status = h->status * 10 + (c - '0');
  if (part_len(h) == 2) {
    next_part(h, HEAD_STATUS_AFTER);
  }
  return h->status == 0 && h->step == HEAD_STATUS_AFTER
             ? fail(h, WR_HTTP_BAD_START)
             : 0;
}

static int on_status_after(wr_http_head *h, uint8_t c) {
  if (c != ' ' && c != '\r') {
    return fail(h, WR_HTTP_BAD_START);
  }
  next_part(h, c == ' ' ? HEAD_REASON : HEAD_LINE_LF);
  return 0;
}

/* Text to the end of its line; `fault` if there is something else in it. */
static int on_text(wr_http_head *h, uint8_t c, wr_http_fault fault) {
  if (is_visible(c) || is_blank(c)) {
    return 0;
  }
  if (c != '\r') {
    return fail(h, c == '\n' ? WR_HTTP_BAD_END : fault);
  }
  h->step = HEAD_LINE_LF;
  return 0;
}

static int on_line_end(wr_http_head *h, uint8_t c) {
  if (c != '\n') { /* a carriage return in the middle */
    return fail(h, h->line == 0 ? WR_HTTP_BAD_START : WR_HTTP_BAD_VALUE);
  }
  h->line = h->len + 1;
  next_part(h, HEAD_NAME_FIRST);
  return 0;
}

static int on_name(wr_http_head *h, uint8_t c) {
  if (h->step == HEAD_NAME_FIRST) {
    if (c == '\r') {
      h->step = HEAD_LAST_LF;
      return 0;
    }
    if (h->n == WR_HTTP_FIELDS_MAX) {
      return fail(h, WR_HTTP_MANY_FIELDS);
    }
    h->step = HEAD_NAME;
  }
  if (is_tchar(c)) {
    return 0;
  }
  if (c != ':' || part_len(h) == 0) {
    return fail(h, c == '\n' ? WR_HTTP_BAD_END : WR_HTTP_BAD_FIELD);
  }
  h->fields[h->n].name = span_from(h);
  next_part(h, HEAD_VALUE);
  return 0;
}

static int on_value(wr_http_head *h, const uint8_t *text, uint8_t c) {
  int err = on_text(h, c, WR_HTTP_BAD_VALUE);
  if (err == 0 && h->step == HEAD_LINE_LF) {
    wr_slice all = {text + h->part, part_len(h)};
    wr_slice value = wr_http_trim(all);
    h->fields[h->n++].value =
        (wr_http_span){(uint16_t)(value.data - text), (uint16_t)value.len};
  }
  return err;
}

static int on_last_end(wr_http_head *h, uint8_t c) {
  if (c != '\n') {
    return fail(h, WR_HTTP_BAD_END);
  }
  h->done = true;
  return 0;
}

static int on_byte(wr_http_head *h, const uint8_t *text, uint8_t c) {
  switch ((head_step)h->step) {
  case HEAD_METHOD:
    return on_method(h, c);
  case HEAD_TARGET:
    return on_target(h, c);
  case HEAD_VERSION:
    return on_version(h, c);
  case HEAD_STATUS:
    return on_status(h, c);
  case HEAD_STATUS_AFTER:
    return on_status_after(h, c);
  case HEAD_REASON:
    return on_text(h, c, WR_HTTP_BAD_START);
  case HEAD_LINE_LF:
    return on_line_end(h, c);
  case HEAD_NAME_FIRST:
  case HEAD_NAME:
    return on_name(h, c);
  case HEAD_VALUE:
    return on_value(h, text, c);
  case HEAD_LAST_LF:
    break;
  }
  return on_last_end(h, c);
}

int wr_http_head_feed(wr_http_head *h, const uint8_t *text, size_t len) {
  while (!h->done && h->len < len) {
    if (h->len == h->head_max) {
      return fail(h, WR_HTTP_LONG_HEAD);
    }
    /* Without room for the line feed it cannot become a line. */
    if (h->len - h->line + 1 >= h->line_max && text[h->len] != '\n') {
      return fail(h, WR_HTTP_LONG_LINE);
    }
    int err = on_byte(h, text, text[h->len]);
    if (err != 0) {
      return err;
    }
    h->len++;
  }
  return 0;
}

wr_slice wr_http_text(const uint8_t *text, wr_http_span span) {
  return (wr_slice){text + span.at, span.len};
}

static bool is_named(const uint8_t *text, const wr_http_field *f,
                     const char *name) {
  return wr_slice_eq_nocase(wr_http_text(text, f->name), name);
}

wr_slice wr_http_find(const wr_http_head *h, const uint8_t *text,
                      const char *name, size_t *count) {
  wr_slice found = {NULL, 0};
  *count = 0;
  for (size_t i = 0; i < h->n; i++) {
    if (is_named(text, &h->fields[i], name)) {
      (*count)++;
      found = *count == 1 ? wr_http_text(text, h->fields[i].value) : found;
    }
  }
  return found;
}

static bool same_token(wr_slice a, wr_slice b) {
  if (a.len != b.len) {
    return false;
  }
  for (size_t i = 0; i < a.len; i++) {
    if (wr_lower(a.data[i]) != wr_lower(b.data[i])) {
      return false;
    }
  }
  return true;
}

static bool list_has(wr_slice list, wr_slice token) {
  wr_slice element;
  while (list.len > 0) {
    (void)wr_http_cut(&list, ',', &element);
    if (same_token(wr_http_trim(element), token)) {
      return true;
    }
  }
  return false;
}

bool wr_http_lists(const wr_http_head *h, const uint8_t *text, const char *name,
                   wr_slice token) {
  for (size_t i = 0; i < h->n; i++) {
    if (is_named(text, &h->fields[i], name) &&
        list_has(wr_http_text(text, h->fields[i].value), token)) {
      return true;
    }
  }
  return false;
}

bool wr_http_cut(wr_slice *s, int byte, wr_slice *first) {
  const uint8_t *at = s->len > 0 ? memchr(s->data, byte, s->len) : NULL;
  *first = *s;
  if (at == NULL) {
    *s = (wr_slice){s->data + s->len, 0};
    return false;
  }
  first->len = (size_t)(at - s->data);
  s->data = at + 1;
  s->len -= first->len + 1;
  return true;
}

wr_slice wr_http_trim(wr_slice s) {
  while (s.len > 0 && is_blank(s.data[0])) {
    s.data++;
    s.len--;
  }
  while (s.len > 0 && is_blank(s.data[s.len - 1])) {
    s.len--;
  }
  return s;
}
