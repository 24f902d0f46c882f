/* Heads of requests and responses: the same comes of every split, all parts lie
   in the head, and nothing behind it is looked at. The first byte says which kind,
   the second where to cut. */

#include <string.h>

#include "base/errors.h"
#include "net/forwarded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_span(const wr_http_head *h, wr_http_span span) {
  WR_ASSERT((size_t)span.at + span.len <= h->len);
}

static void check_parts(const wr_http_head *h, const uint8_t *text) {
  check_span(h, h->method);
  check_span(h, h->target);
  check_span(h, h->version);
  WR_ASSERT(h->n <= WR_HTTP_FIELDS_MAX && h->len <= WR_HTTP_HEAD_MAX);
  for (size_t i = 0; i < h->n; i++) {
    size_t n = 0;
    check_span(h, h->fields[i].name);
    check_span(h, h->fields[i].value);
    WR_ASSERT(h->fields[i].name.len > 0);
    wr_slice value = wr_http_text(text, h->fields[i].value);
    WR_ASSERT(memchr(value.data, '\n', value.len) == NULL);
    WR_ASSERT(wr_http_trim(value).len == value.len);
    (void)wr_http_find(h, text, "host", &n);
    WR_ASSERT(n <= h->n);
    (void)wr_http_lists(h, text, "connection", value);
  }
  wr_ip ip = {0};
  WR_ASSERT(wr_forwarded_for(h, text, NULL, 0, &ip) == (ip.family != 0));
}

static int feed(wr_http_head *h, wr_http_kind kind, const uint8_t *text,
                size_t size, size_t step) {
  int err = 0;
  wr_http_head_init(h, kind, 64, 0);
  for (size_t n = step; err == 0 && n < size; n += step) {
    err = wr_http_head_feed(h, text, n);
  }
  return err != 0 ? err : wr_http_head_feed(h, text, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  wr_http_head whole;
  wr_http_head cut;
  if (size < 2) {
    return 0;
  }
  wr_http_kind kind = data[0] % 2 == 0 ? WR_HTTP_REQUEST : WR_HTTP_RESPONSE;
  size_t step = 1 + data[1] % 32;
  data += 2;
  size -= 2;
  int err = feed(&whole, kind, data, size, size + 1);
  WR_ASSERT(err == 0 || err == WR_EMALFORMED || err == WR_ELIMIT);
  WR_ASSERT((err == 0) == (whole.fault == WR_HTTP_FINE));
  WR_ASSERT(whole.done || err != 0 || whole.len == size);
  check_parts(&whole, data);
  WR_ASSERT(feed(&cut, kind, data, size, step) == err);
  WR_ASSERT(memcmp(&cut, &whole, sizeof(cut)) == 0);
  if (whole.done) {
    WR_ASSERT(feed(&cut, kind, data, whole.len - 1, size) == 0 && !cut.done);
  }
  return 0;
}
