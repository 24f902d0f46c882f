#include "net/firstbytes.h"

#include <string.h>

#include "base/wire.h"
#include "net/ws_handshake.h"

static const char banner[] = "SSH-";
static const char method[] = "GET ";

void wr_firstbytes_init(wr_firstbytes *f, const wr_firstbytes_opts *opts) {
  memset(f, 0, sizeof(*f));
  f->opts = opts;
  size_t head_max = opts->head_max != 0 ? opts->head_max : WR_FIRSTBYTES_MAX;
  wr_http_head_init(&f->head, WR_HTTP_REQUEST, opts->line_max, head_max);
}

/* The part of `want` that is there. */
static bool begins(const uint8_t *data, size_t len, const char *want) {
  return memcmp(data, want, WR_MIN(len, strlen(want))) == 0;
}

static bool same_path(wr_slice target, const char *path) {
  size_t len = strlen(path);
  return target.len == len && wr_memeq(target.data, path, len);
}

/* A target that no tunnel has: nginx may refuse it at the end of its line. */
static bool plain_target(wr_slice target) {
  char path[WR_WS_PATH_MAX + 1];
  if (target.len > WR_WS_PATH_MAX || wr_slice_has_nul(target)) {
    return false;
  }
  memcpy(path, target.data, target.len);
  path[target.len] = '\0';
  return wr_ws_path_ok(path);
}

static bool host_char(uint8_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || (c != '\0' && strchr("-._:[]", c) != NULL);
}

static bool host_ok(wr_slice host) {
  for (size_t i = 0; i < host.len; i++) {
    if (!host_char(host.data[i])) {
      return false;
    }
  }
  return host.len > 0 && host.len <= WR_WS_HOST_MAX;
}

/* Nothing in the lines so far tells it from a tunnel's request: what a web server
   may refuse before the head's end is not waited with. */
static bool may_be_ours(const wr_http_head *h, const uint8_t *text) {
  size_t hosts, lengths, codings;
  wr_slice host = wr_http_find(h, text, "host", &hosts);
  (void)wr_http_find(h, text, "content-length", &lengths);
  (void)wr_http_find(h, text, "transfer-encoding", &codings);
  if (h->version.len > 0 &&
      (h->minor != 1 || !plain_target(wr_http_text(text, h->target)))) {
    return false;
  }
  return (hosts == 0 || (hosts == 1 && host_ok(host))) &&
         lengths + codings == 0;
}

static bool knock_ok(wr_firstbytes *f, const uint8_t *text, uint64_t now_s) {
  const wr_firstbytes_opts *o = f->opts;
  size_t n;
  wr_slice scheme;
  wr_slice token = wr_http_find(&f->head, text, "authorization", &n);
  if (o->secret.len == 0) {
    return true;
  }
  f->knocked = true;
  f->knock = WR_KNOCK_MALFORMED;
  if (n != 1 || !wr_http_cut(&token, ' ', &scheme) ||
      !wr_slice_eq_nocase(scheme, "bearer")) {
    return false;
  }
  wr_knock what = {.method = wr_http_text(text, f->head.method),
                   .host = wr_http_find(&f->head, text, "host", &n),
                   .path = wr_http_text(text, f->head.target),
                   .exporter = o->exporter};
  f->knock = wr_knock_check(o->cache, o->secret, &what, token, now_s);
  if (f->knock == WR_KNOCK_WRONG && o->exporter.len > 0) {
    /* The client's TLS may end in front of ours. */
    what.exporter = (wr_slice){NULL, 0};
    f->knock = wr_knock_check(o->cache, o->secret, &what, token, now_s);
  }
  return f->knock == WR_KNOCK_RIGHT;
}

static wr_first on_head(wr_firstbytes *f, const uint8_t *text, uint64_t now_s) {
  bool ours = f->opts->path != NULL &&
              same_path(wr_http_text(text, f->head.target), f->opts->path);
  if (!ours || !wr_ws_is_upgrade(&f->head, text, &f->key) ||
      !knock_ok(f, text, now_s)) {
    f->key = (wr_slice){NULL, 0};
    return WR_FIRST_DECOY;
  }
  return WR_FIRST_UPGRADE;
}

/* Line by line: what follows a line that decides means nothing. */
static wr_first on_http(wr_firstbytes *f, const uint8_t *data, size_t len,
                        uint64_t now_s) {
  while (!f->head.done && f->head.len < len) {
    const uint8_t *from = data + f->head.len;
    const uint8_t *lf = memchr(from, '\n', len - f->head.len);
    size_t until = lf != NULL ? (size_t)(lf - data) + 1 : len;
    if (wr_http_head_feed(&f->head, data, until) != 0 ||
        !may_be_ours(&f->head, data)) {
      return WR_FIRST_DECOY;
    }
  }
  return f->head.done ? on_head(f, data, now_s) : WR_FIRST_MORE;
}

static wr_first decide(wr_firstbytes *f, const uint8_t *data, size_t len,
                       uint64_t now_s) {
  if (len == 0) {
    return WR_FIRST_MORE;
  }
  if (f->opts->ssh && begins(data, len, banner)) {
    return len < sizeof(banner) - 1 ? WR_FIRST_MORE : WR_FIRST_SSH;
  }
  if (f->opts->path == NULL || !begins(data, len, method)) {
    return WR_FIRST_DECOY;
  }
  return on_http(f, data, len, now_s);
}

wr_first wr_firstbytes_feed(wr_firstbytes *f, const uint8_t *data, size_t len,
                            uint64_t now_s) {
  if (f->verdict == WR_FIRST_MORE) {
    f->verdict = decide(f, data, len, now_s);
  }
  return f->verdict;
}
