/* Options in front of a key, and lists of addresses. The input's first line are
   options, the second a host to open or to listen on, the third an address, the
   rest a list of addresses. */

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/keyopts.h"
#include "ssh/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text up to the next line feed, as a C string. */
static char *take_line(wr_mem *mem, wr_slice *rest) {
  const uint8_t *lf =
      rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);
  size_t len = lf == NULL ? rest->len : (size_t)(lf - rest->data);
  char *line = wr_strndup(mem, (const char *)rest->data, len);
  WR_ASSERT(line != NULL);
  size_t skip = lf == NULL ? len : len + 1;
  rest->data += skip;
  rest->len -= skip;
  return line;
}

static char *join(wr_mem *mem, const char *a, const char *b) {
  size_t size = strlen(a) + strlen(b) + 1;
  char *text = wr_alloc(mem, size);
  WR_ASSERT(text != NULL);
  snprintf(text, size, "%s%s", a, b);
  return text;
}

static void check_requests(const wr_keyopts *o, const char *host) {
  static const uint16_t ports[] = {0, 1, 80, 65535};
  for (size_t i = 0; i < WR_COUNTOF(ports); i++) {
    bool open = wr_keyopts_may_open(o, host, ports[i]);
    bool listen = wr_keyopts_may_listen(o, host, ports[i]);
    WR_ASSERT(o->port_forwarding || !(open || listen));
    WR_ASSERT(open || !wr_keyopts_may_open_unix(o));
    WR_ASSERT(listen || !wr_keyopts_may_listen_unix(o) || strlen(host) > 255);
  }
  WR_ASSERT(wr_keyopts_may_open_unix(o) ==
            (o->port_forwarding && o->n_opens == 0));
  WR_ASSERT(wr_keyopts_may_listen_unix(o) ==
            (o->port_forwarding && o->n_listens == 0));
}

/* Each permit allows what it says. */
static void check_permits(const wr_keyopts *o) {
  WR_ASSERT(o->n_opens <= WR_PERMITS_MAX && o->n_listens <= WR_PERMITS_MAX);
  for (size_t i = 0; i < o->n_opens; i++) {
    uint16_t port = o->opens[i].port != 0 ? o->opens[i].port : 7;
    WR_ASSERT(wr_keyopts_may_open(o, o->opens[i].host, port) ==
              o->port_forwarding);
  }
  for (size_t i = 0; i < o->n_listens; i++) {
    WR_ASSERT(strlen(o->listens[i].host) <= 1024);
  }
}

/* restrict at the end forbids all, whatever came before. */
static void check_restricted(wr_mem *mem, const char *options,
                             const char *host) {
  wr_keyopts o;
  const char *why = NULL;
  char *text = join(mem, options, ",restrict");
  WR_ASSERT(wr_keyopts_parse(mem, text, strlen(text), &o, &why) == 0);
  WR_ASSERT(!wr_keyopts_may_open(&o, host, 80));
  WR_ASSERT(!wr_keyopts_may_listen(&o, host, 80));
  wr_keyopts_reset(mem, &o);
  wr_free(mem, text);
}

static void check_options(wr_mem *mem, const char *options, const char *host,
                          const char *address) {
  wr_keyopts o;
  const char *why = NULL;
  int err = wr_keyopts_parse(mem, options, strlen(options), &o, &why);
  WR_ASSERT((why != NULL) == (err != 0));
  if (err != 0) {
    WR_ASSERT(err == WR_EKEY_OPTIONS);
    return;
  }
  WR_ASSERT(o.principals == NULL || o.cert_authority);
  check_requests(&o, host);
  check_permits(&o);
  if (o.from != NULL) {
    WR_ASSERT(wr_match_from_valid(wr_slice_of(o.from)));
    (void)wr_match_from(wr_slice_of(o.from), address);
  }
  wr_keyopts_reset(mem, &o);
  check_restricted(mem, options, host);
}

/* What "!*" is added to lets nobody in. */
static void check_nobody(wr_mem *mem, const char *list, const char *address) {
  char *text = join(mem, "!*,", list);
  WR_ASSERT(wr_match_from(wr_slice_of(text), address) != WR_MATCH_YES);
  wr_free(mem, text);
}

static void check_list(wr_mem *mem, const char *list, const char *address) {
  wr_slice s = wr_slice_of(list);
  wr_match from = wr_match_from(s, address);
  WR_ASSERT(from == WR_MATCH_NO || wr_match_from_valid(s));
  WR_ASSERT(from != WR_MATCH_YES || address[0] != '\0');
  WR_ASSERT(!wr_match_source_valid(s) || wr_match_from_valid(s));
  WR_ASSERT(!wr_match_source(s, address) || from == WR_MATCH_YES);
  check_nobody(mem, list, address);
  (void)wr_match_list(s, wr_slice_of(address));
  if (strlen(address) > 0 && strchr(address, ',') == NULL) {
    char *with = join(mem, "x,", address);
    WR_ASSERT(wr_match_name(wr_slice_of(with), wr_slice_of(address)));
    wr_free(mem, with);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  wr_mem mem;
  wr_slice rest = {data, size};
  wr_mem_init(&mem);
  char *options = take_line(&mem, &rest);
  char *host = take_line(&mem, &rest);
  char *address = take_line(&mem, &rest);
  char *list = take_line(&mem, &rest);
  check_options(&mem, options, host, address);
  check_list(&mem, list, address);
  wr_free(&mem, options);
  wr_free(&mem, host);
  wr_free(&mem, address);
  wr_free(&mem, list);
  WR_ASSERT(mem.live_blocks == 0);
  return 0;
}
