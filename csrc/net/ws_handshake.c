#include "net/ws_handshake.h"

#include <string.h>

#include "base/buf.h"
#include "base/errors.h"
#include "base/wire.h"
#include "loop/timer.h"
#include "net/knock.h"
#include "net/tls_crypto.h"

#define KEY_BYTES 16
#define KEY_TEXT 24    /* of it in base64 */
#define ACCEPT_TEXT 28 /* base64 of a SHA-1 */
#define REQUEST_MAX ((size_t)2048)
#define RESPONSE_MAX ((size_t)1024)

static bool path_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c >= '0' && c <= '9') || strchr("-._~", c) != NULL;
}

static bool segment_ok(const char *s, size_t len, bool last) {
  if (len == 0) {
    return last;
  }
  return !(s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')));
}

bool wr_ws_path_ok(const char *path) {
  if (path[0] != '/' || strlen(path) > WR_WS_PATH_MAX) {
    return false;
  }
  do {
    const char *segment = ++path;
    while (*path != '\0' && *path != '/') {
      if (!path_char(*path++)) {
        return false;
      }
    }
    if (!segment_ok(segment, (size_t)(path - segment), *path == '\0')) {
      return false;
    }
  } while (*path != '\0');
  return true;
}

/* The answer to a key (section 4.2.2). */
static int accept_of(wr_slice key, char out[ACCEPT_TEXT + 1]) {
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  uint8_t text[KEY_TEXT + sizeof(guid) - 1];
  uint8_t hash[WR_SHA1_SIZE];
  memcpy(text, key.data, KEY_TEXT);
  memcpy(text + KEY_TEXT, guid, sizeof(guid) - 1);
  int err = wr_sha1((wr_slice){text, sizeof(text)}, hash);
  if (err == 0) {
    wr_base64_encode(out, hash, sizeof(hash), true);
  }
  return err;
}

/* The server. */

static bool is_key(wr_slice key) {
  uint8_t raw[3 * (KEY_TEXT / 4) + 3];
  return key.len == KEY_TEXT &&
         wr_base64_decode(raw, (const char *)key.data, key.len) == KEY_BYTES;
}

/* There is exactly one such field, and this is its value. */
static bool one(const wr_http_head *h, const uint8_t *text, const char *name,
                wr_slice *value) {
  size_t n;
  *value = wr_http_find(h, text, name, &n);
  return n == 1;
}

static bool has(const wr_http_head *h, const uint8_t *text, const char *name) {
  size_t n;
  (void)wr_http_find(h, text, name, &n);
  return n > 0;
}

static bool is_switch(const wr_http_head *h, const uint8_t *text) {
  return wr_http_lists(h, text, "upgrade", wr_slice_of("websocket")) &&
         wr_http_lists(h, text, "connection", wr_slice_of("upgrade"));
}

bool wr_ws_is_upgrade(const wr_http_head *h, const uint8_t *text,
                      wr_slice *key) {
  wr_slice host, version;
  return wr_slice_eq(wr_http_text(text, h->method), "GET") && h->minor == 1 &&
         one(h, text, "host", &host) && host.len > 0 && is_switch(h, text) &&
         one(h, text, "sec-websocket-version", &version) &&
         wr_slice_eq(version, "13") && one(h, text, "sec-websocket-key", key) &&
         is_key(*key) && !has(h, text, "content-length") &&
         !has(h, text, "transfer-encoding");
}

/* As in "Wed, 25 Nov 2026 19:00:00 GMT" (RFC 9110, section 5.6.7), whatever the
   process thinks of languages. Days and years as counted by the civil calendar:
   March is the first month, so that a leap day is the last of its year. */
static int put_date(wr_buf *b, int64_t wall_ms) {
  static const char days[] = "ThuFriSatSunMonTueWed"; /* 1 January 1970 */
  static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
  uint64_t s = wall_ms > 0 ? (uint64_t)wall_ms / 1000 : 0;
  uint64_t day = s / 86400;
  uint64_t z = day + 719468; /* since 1 March of the year 0 */
  uint64_t era = z / 146097;
  uint64_t doe = z % 146097;
  uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  uint64_t month = (5 * doy + 2) / 153;
  uint64_t year = yoe + era * 400 + (month >= 10 ? 1 : 0);
  return wr_buf_printf(
      b, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * (day % 7),
      (unsigned)(doy - (153 * month + 2) / 5 + 1), months + 3 * month,
      (unsigned)year, (unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60),
      (unsigned)(s % 60));
}

static int write_response(wr_buf *b, wr_ctx *ctx, const char *accept,
                          const char *server) {
  int err = wr_buf_printf(b,
                          "HTTP/1.1 101 Switching Protocols\r\n"
                          "Server: %s\r\n"
                          "Date: ",
                          server != NULL ? server : WR_WS_SERVER_NAME);
  if (err == 0) {
    err = put_date(b, wr_ctx_wall(ctx));
  }
  if (err == 0) {
    err = wr_buf_printf(b,
                        "\r\n"
                        "Connection: upgrade\r\n"
                        "Upgrade: websocket\r\n"
                        "Sec-WebSocket-Accept: %s\r\n"
                        "\r\n",
                        accept);
  }
  return err;
}

int wr_ws_accept(wr_link *inner, const wr_ws_opts *opts, wr_slice key,
                 const char *server, wr_link **out) {
  char accept[ACCEPT_TEXT + 1];
  wr_ws_opts own = *opts;
  wr_buf b;
  WR_ASSERT(key.len == KEY_TEXT);
  own.role = WR_WS_SERVER;
  wr_buf_init(&b, &inner->ctx->mem, RESPONSE_MAX);
  int err = accept_of(key, accept);
  if (err == 0) {
    err = write_response(&b, inner->ctx, accept, server);
  }
  if (err == 0) {
    err = wr_ws_new(inner, &own, (wr_slice){b.data, b.len}, out);
  }
  wr_buf_reset(&b);
  return err;
}

/* The client. */

struct wr_ws_dial {
  wr_link *inner;
  wr_ws_opts ws;
  wr_ws_dial_cb cb; /* NULL: it has come, or is not wanted */
  void *user;
  int status; /* what the callback is told when the inner link has closed */
  int http_status;
  bool closing;                 /* the inner link was closed by us */
  char accept[ACCEPT_TEXT + 1]; /* what the server has to answer */
  wr_buf request;               /* what is left of it to be sent */
  wr_buf response;              /* the head so far */
  wr_http_head head;
  wr_task task; /* begins, and ends */
  wr_timer limit;
};

static void free_dial(wr_ws_dial *d) {
  wr_timer_stop(&d->limit);
  wr_task_cancel(&d->task);
  wr_buf_wipe(&d->request); /* a proof that was not sent could still be used */
  wr_buf_reset(&d->response);
  wr_free(&d->inner->ctx->mem, d);
}

static void give_up(wr_ws_dial *d, int status) {
  if (!d->closing) {
    d->closing = true;
    d->status = status;
    wr_timer_stop(&d->limit);
    wr_task_cancel(&d->task);
    wr_link_close(d->inner, WR_CLOSE_RESET);
  }
}

static void on_limit(wr_timer *timer) {
  give_up(wr_container_of(timer, wr_ws_dial, limit), WR_ETIMEOUT);
}

static void send_request(wr_ws_dial *d) {
  size_t taken = 0;
  if (d->closing || d->request.len == 0) {
    return;
  }
  uv_buf_t buf = uv_buf_init((char *)d->request.data, (unsigned)d->request.len);
  if (wr_link_write(d->inner, &buf, 1, &taken) == 0) {
    wr_buf_consume(&d->request, taken);
  } /* else on_close follows, after what the server has said */
}

/* Nothing was offered, so nothing may be chosen. */
static int check_response(wr_ws_dial *d) {
  const wr_http_head *h = &d->head;
  const uint8_t *text = d->response.data;
  wr_slice accept;
  if (h->status != 101) {
    d->http_status = h->status;
    return WR_EWS_REFUSED;
  }
  if (!is_switch(h, text) || !one(h, text, "sec-websocket-accept", &accept) ||
      !wr_slice_eq(accept, d->accept) ||
      has(h, text, "sec-websocket-extensions") ||
      has(h, text, "sec-websocket-protocol")) {
    return WR_EWS_PROTOCOL;
  }
  return 0;
}

static void finish(wr_ws_dial *d) {
  wr_link *link = NULL;
  int err = check_response(d);
  if (err == 0 && d->request.len > 0) { /* an answer before the question */
    err = WR_EWS_PROTOCOL;
  }
  if (err == 0) {
    err = wr_ws_new(d->inner, &d->ws, (wr_slice){NULL, 0}, &link);
  }
  if (err != 0) {
    give_up(d, err);
    return;
  }
  d->cb(d->user, 0, 0, link);
  free_dial(d);
}

static void on_task(wr_task *task) {
  wr_ws_dial *d = wr_container_of(task, wr_ws_dial, task);
  if (d->head.done) {
    finish(d);
    return;
  }
  int err = wr_link_read_start(d->inner);
  if (err != 0) {
    give_up(d, err);
    return;
  }
  send_request(d);
}

/* What follows the head is the first frames: it is left to the link. */
static size_t on_inner_read(wr_link *inner, uint8_t *data, size_t len) {
  wr_ws_dial *d = inner->user;
  size_t before = d->response.len;
  size_t n = WR_MIN(len, wr_buf_room(&d->response));
  if (d->closing || d->head.done) {
    return d->closing ? len : 0;
  }
  int err = wr_buf_append(&d->response, data, n);
  if (err == 0) {
    err = wr_http_head_feed(&d->head, d->response.data, d->response.len);
  }
  if (err == 0 && !d->head.done && n < len) {
    err = WR_ELIMIT;
  }
  if (err != 0) {
    give_up(d, err == WR_ENOMEM ? err : WR_EWS_PROTOCOL);
    return len;
  }
  if (!d->head.done) {
    return len;
  }
  /* Not from in here: a link that stops by itself would undo the new owner's
     start of reading. */
  wr_link_read_stop(inner);
  wr_task_post(inner->ctx, &d->task);
  return d->head.len - before;
}

static void on_inner_eof(wr_link *inner) {
  give_up(inner->user, WR_EEOF);
}

static void on_inner_writable(wr_link *inner) {
  send_request(inner->user);
}

static void on_inner_close(wr_link *inner, int status) {
  wr_ws_dial *d = inner->user;
  wr_ws_dial_cb cb = d->cb;
  void *user = d->user;
  int http_status = d->http_status;
  if (d->closing) {
    status = d->status;
  } else if (status == 0) {
    status = WR_EEOF;
  }
  free_dial(d);
  if (cb != NULL) {
    cb(user, status, http_status, NULL);
  }
}

static const wr_link_handler dial_handler = {.on_read = on_inner_read,
                                             .on_eof = on_inner_eof,
                                             .on_writable = on_inner_writable,
                                             .on_close = on_inner_close};

static int put_knock(wr_ws_dial *d, const wr_ws_dial_opts *opts) {
  uint8_t nonce[WR_KNOCK_NONCE];
  char token[WR_KNOCK_TEXT + 1];
  wr_ctx *ctx = d->inner->ctx;
  const wr_knock what = {.method = wr_slice_of("GET"),
                         .host = wr_slice_of(opts->host),
                         .path = wr_slice_of(opts->path),
                         .exporter = opts->exporter};
  if (opts->secret.len == 0) {
    return 0;
  }
  int err = wr_ctx_rand(ctx, nonce, sizeof(nonce));
  if (err == 0) {
    err = wr_knock_make(opts->secret, &what, nonce,
                        (uint64_t)wr_ctx_wall(ctx) / 1000, token);
  }
  if (err == 0) {
    err = wr_buf_printf(&d->request, "Authorization: Bearer %s\r\n", token);
  }
  wr_bzero(token, sizeof(token));
  return err;
}

static int put_request(wr_ws_dial *d, const wr_ws_dial_opts *opts) {
  uint8_t raw[KEY_BYTES];
  char key[KEY_TEXT + 1];
  int err = wr_ctx_rand(d->inner->ctx, raw, sizeof(raw));
  if (err != 0) {
    return err;
  }
  wr_base64_encode(key, raw, sizeof(raw), true);
  err = accept_of(wr_slice_of(key), d->accept);
  if (err == 0) {
    err = wr_buf_printf(&d->request,
                        "GET %s HTTP/1.1\r\n"
                        "Host: %s\r\n"
                        "Connection: Upgrade\r\n"
                        "Upgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: %s\r\n",
                        opts->path, opts->host, key);
  }
  if (err == 0) {
    err = put_knock(d, opts);
  }
  if (err == 0) {
    err = wr_buf_append(&d->request, "\r\n", 2);
  }
  return err;
}

static bool host_ok(const char *host) {
  size_t len = strlen(host);
  for (size_t i = 0; i < len; i++) {
    uint8_t c = (uint8_t)host[i];
    if (c <= ' ' || c >= 0x7f || strchr("/\\@?#<>\"", c) != NULL) {
      return false;
    }
  }
  return len > 0 && len <= WR_WS_HOST_MAX;
}

int wr_ws_dial_start(wr_link *inner, const wr_ws_dial_opts *opts,
                     wr_ws_dial_cb cb, void *user, wr_ws_dial **out) {
  wr_ctx *ctx = inner->ctx;
  if (!host_ok(opts->host) || !wr_ws_path_ok(opts->path)) {
    return WR_EINVAL;
  }
  wr_ws_dial *d = wr_calloc(&ctx->mem, 1, sizeof(*d));
  if (d == NULL) {
    return WR_ENOMEM;
  }
  d->inner = inner;
  d->ws = opts->ws;
  d->ws.role = WR_WS_CLIENT;
  d->cb = cb;
  d->user = user;
  wr_buf_init(&d->request, &ctx->mem, REQUEST_MAX);
  wr_buf_init(&d->response, &ctx->mem, WR_HTTP_HEAD_MAX);
  wr_http_head_init(&d->head, WR_HTTP_RESPONSE, 0, 0);
  wr_task_init(&d->task, on_task);
  wr_timer_init(&d->limit, ctx, on_limit);
  int err = put_request(d, opts);
  if (err != 0) {
    free_dial(d);
    return err;
  }
  wr_timer_start(&d->limit,
                 opts->timeout_ms != 0 ? opts->timeout_ms : WR_WS_DIAL_MS);
  wr_task_post(ctx, &d->task);
  inner->handler = &dial_handler;
  inner->user = d;
  *out = d;
  return 0;
}

void wr_ws_dial_cancel(wr_ws_dial *d) {
  d->cb = NULL;
  give_up(d, WR_ECANCELED);
}
