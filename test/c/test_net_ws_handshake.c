/* The upgrade to WebSocket: the client against a raw server, the server's answer,
   and both together with a knock. */
#include "net_help.h"

#include "base/wire.h"
#include "net/firstbytes.h"
#include "net/mempair.h"
#include "net/ws_handshake.h"

#define NOW_MS INT64_C(1780394400123)
/* The example of RFC 6455, section 1.3. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define GOOD                                                                   \
  "HTTP/1.1 101 Switching Protocols\r\n"                                       \
  "Upgrade: websocket\r\n"                                                     \
  "Connection: Upgrade\r\n"                                                    \
  "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n"

/* A client of ours and a raw end. */
typedef struct try {
  env e;
  wr_link *raw; /* NULL once closed */
  char in[2048];
  size_t in_len;
  bool raw_reset;
  wr_ws_dial *dial;
  int calls;
  int status;
  int http_status;
  peer client; /* owner of the link that came of it */
}
try;

static int sample_rand(void *data, uint8_t *dst, size_t len) {
  WR_UNUSED(data);
  for (size_t i = 0; i < len; i++) {
    dst[i] = (uint8_t) "the sample nonce"[i % 16];
  }
  return 0;
}

static int64_t fixed_wall(void *data) {
  WR_UNUSED(data);
  return NOW_MS;
}

static size_t raw_read(wr_link *link, uint8_t *data, size_t len) {
  try *t = link->user;
  size_t n = WR_MIN(len, sizeof(t->in) - 1 - t->in_len);
  memcpy(t->in + t->in_len, data, n);
  t->in_len += n;
  return len;
}

static void raw_eof(wr_link *link) {
  WR_UNUSED(link);
}

static void raw_close(wr_link *link, int status) {
  try *t = link->user;
  t->raw = NULL;
  t->raw_reset = status == UV_ECONNRESET;
}

static const wr_link_handler raw_handler = {
    .on_read = raw_read, .on_eof = raw_eof, .on_close = raw_close};

static void on_dial(void *user, int status, int http_status, wr_link *link) {
  try *t = user;
  t->calls++;
  t->status = status;
  t->http_status = http_status;
  t->dial = NULL;
  CHECK((link != NULL) == (status == 0));
  if (link != NULL) {
    peer_own(&t->client, link);
    MUST(wr_link_read_start(link) == 0);
  }
}

static void try_env(try *t) {
  memset(t, 0, sizeof(*t));
  env_open(&t->e);
  wr_ctx_fake_clock(&t->e.ctx);
  t->e.ctx.rand = sample_rand;
  t->e.ctx.wall_ms = fixed_wall;
}

static wr_ws_dial_opts usual(void) {
  return (wr_ws_dial_opts){.host = "www.example.com", .path = "/chat"};
}

static void try_open(try *t, size_t capacity) {
  const wr_ws_dial_opts opts = usual();
  wr_link *ours;
  try_env(t);
  MUST(wr_mempair_new(&t->e.ctx, capacity, &ours, &t->raw) == 0);
  t->raw->handler = &raw_handler;
  t->raw->user = t;
  MUST(wr_link_read_start(t->raw) == 0);
  MUST(wr_ws_dial_start(ours, &opts, on_dial, t, &t->dial) == 0);
  EQ_INT(t->calls, 0);
  wr_ctx_run_tasks(&t->e.ctx);
}

static void say(try *t, const char *text, size_t len) {
  size_t taken = 0;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)len);
  if (t->raw != NULL) {
    EQ_INT(wr_link_write(t->raw, &buf, 1, &taken), 0);
    EQ_UINT(taken, len);
  }
  wr_ctx_run_tasks(&t->e.ctx);
}

static void try_end(try *t) {
  if (t->client.link != NULL) {
    wr_link_close(t->client.link, WR_CLOSE_RESET);
  }
  if (t->raw != NULL) {
    wr_link_close(t->raw, WR_CLOSE_ORDERLY);
  }
  wr_ctx_run_tasks(&t->e.ctx);
  CHECK(t->dial == NULL && t->client.link == NULL);
  env_close(&t->e);
}

TEST(paths) {
  static const char *const good[] = {"/",      "/a",         "/a/b",     "/a/",
                                     "/A-z.9", "/.well/~_x", "/..a/...", "/a."};
  static const char *const bad[] = {"",      "a",    "//",    "/a//b", "/.",
                                    "/a/..", "/../", "/./a",  "/a?b",  "/a#b",
                                    "/%41",  "/a b", "/\xc3", "/a\n",  "*"};
  char path[WR_WS_PATH_MAX + 2] = "/";
  for (size_t i = 0; i < WR_COUNTOF(good); i++) {
    OK(wr_ws_path_ok(good[i]), "%s", good[i]);
  }
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    OK(!wr_ws_path_ok(bad[i]), "%s", bad[i]);
  }
  memset(path + 1, 'a', WR_WS_PATH_MAX - 1);
  CHECK(wr_ws_path_ok(path));
  path[WR_WS_PATH_MAX] = 'a';
  CHECK(!wr_ws_path_ok(path));
}

TEST(request) {
  try t;
  try_open(&t, 4096);
  EQ_STR(t.in, "GET /chat HTTP/1.1\r\n"
               "Host: www.example.com\r\n"
               "Connection: Upgrade\r\n"
               "Upgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: " KEY "\r\n"
               "\r\n");
  wr_link_close(t.raw, WR_CLOSE_ORDERLY);
  wr_ctx_run_tasks(&t.e.ctx);
  EQ_INT(t.status, WR_EEOF);
  try_end(&t);
}

/* However the answer is cut, and with the first frames on its heels. */
TEST(agreed) {
  static const char text[] = GOOD "\x82\x03"
                                  "abc\x82\x00";
  const size_t len = sizeof(text) - 1;
  for (size_t cut = 0; cut <= len; cut++) {
    try t;
    try_open(&t, 4096);
    say(&t, text, cut);
    say(&t, text + cut, len - cut);
    EQ_INT(t.calls, 1);
    EQ_INT(t.status, 0);
    EQ_INT(t.http_status, 0);
    EQ_UINT(t.client.got, 3);
    try_end(&t);
  }
}

TEST(through_a_narrow_wire) {
  try t;
  try_open(&t, 3);
  EQ_UINT(t.in_len, strlen(t.in));
  CHECK(strstr(t.in, KEY "\r\n\r\n") != NULL);
  for (size_t i = 0; i < strlen(GOOD); i++) {
    say(&t, &GOOD[i], 1);
  }
  EQ_INT(t.calls, 1);
  EQ_INT(t.status, 0);
  try_end(&t);
}

typedef struct refusal_case {
  const char *text;
  int status;
  int http_status;
} refusal_case;

#define REST "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n"

TEST(refused) {
  static const refusal_case cases[] = {
      {"HTTP/1.1 404 Not Found\r\n\r\n", WR_EWS_REFUSED, 404},
      {"HTTP/1.1 200\r\nA: b\r\n\r\n<html>", WR_EWS_REFUSED, 200},
      {"HTTP/1.1 100 Continue\r\n\r\n", WR_EWS_REFUSED, 100},
      {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: x\r\n" REST,
       WR_EWS_PROTOCOL, 0},
      {"HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n" REST,
       WR_EWS_PROTOCOL, 0},
      {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
       WR_EWS_PROTOCOL, 0},
      {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
       "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
       WR_EWS_PROTOCOL, 0},
      {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
       "Sec-WebSocket-Extensions: permessage-deflate\r\n" REST,
       WR_EWS_PROTOCOL, 0},
      {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
       "Sec-WebSocket-Protocol: chat\r\n" REST,
       WR_EWS_PROTOCOL, 0},
      {"SSH-2.0-OpenSSH_9.2\r\n", WR_EWS_PROTOCOL, 0},
      {"HTTP/1.1 101 x\n\n", WR_EWS_PROTOCOL, 0}};
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    try t;
    DIAG("%s", cases[i].text);
    try_open(&t, 4096);
    say(&t, cases[i].text, strlen(cases[i].text));
    EQ_INT(t.calls, 1);
    EQ_INT(t.status, cases[i].status);
    EQ_INT(t.http_status, cases[i].http_status);
    CHECK(t.raw_reset);
    try_end(&t);
  }
}

TEST(an_endless_answer) {
  try t;
  char line[1000];
  memset(line, 'a', sizeof(line));
  memcpy(line, "A:", 2);
  memcpy(line + 998, "\r\n", 2);
  try_open(&t, 4096);
  say(&t, "HTTP/1.1 101 x\r\n", 16);
  for (int i = 0; i < 33 && t.calls == 0; i++) {
    say(&t, line, sizeof(line));
  }
  EQ_INT(t.status, WR_EWS_PROTOCOL);
  try_end(&t);
}

TEST(no_answer_in_time) {
  try t;
  try_open(&t, 4096);
  say(&t, GOOD, 20);
  wr_ctx_advance(&t.e.ctx, WR_WS_DIAL_MS - 1);
  EQ_INT(t.calls, 0);
  wr_ctx_advance(&t.e.ctx, 1);
  EQ_INT(t.calls, 1);
  EQ_INT(t.status, WR_ETIMEOUT);
  try_end(&t);
}

TEST(an_answer_before_the_question) {
  try t;
  const wr_ws_dial_opts opts = usual();
  const wr_mempair_faults stall = {.stalled = true};
  wr_link *ours;
  try_env(&t);
  MUST(wr_mempair_new(&t.e.ctx, 4096, &ours, &t.raw) == 0);
  wr_mempair_set_faults(ours, &stall);
  t.raw->handler = &raw_handler;
  t.raw->user = &t;
  MUST(wr_ws_dial_start(ours, &opts, on_dial, &t, &t.dial) == 0);
  say(&t, GOOD, strlen(GOOD));
  EQ_INT(t.calls, 1);
  EQ_INT(t.status, WR_EWS_PROTOCOL);
  try_end(&t);
}

TEST(cut_and_canceled) {
  try t;
  try_open(&t, 4096);
  wr_mempair_cut(t.raw, UV_ENETDOWN);
  wr_ctx_run_tasks(&t.e.ctx);
  EQ_INT(t.status, UV_ENETDOWN);
  try_end(&t);
  for (size_t said = 0; said <= strlen(GOOD); said += strlen(GOOD) / 2) {
    try_open(&t, 4096);
    size_t taken;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)GOOD, (unsigned)said);
    MUST(wr_link_write(t.raw, &buf, 1, &taken) == 0);
    if (said < strlen(GOOD) - 1) {
      wr_ctx_run_tasks(&t.e.ctx);
    }
    wr_ws_dial_cancel(t.dial);
    t.dial = NULL;
    wr_ctx_run_tasks(&t.e.ctx);
    EQ_INT(t.calls, 0);
    CHECK(t.raw == NULL);
    try_end(&t);
  }
}

TEST(what_cannot_be_dialled) {
  try t;
  wr_link *a;
  wr_link *b;
  char host[WR_WS_HOST_MAX + 2];
  try_env(&t);
  MUST(wr_mempair_new(&t.e.ctx, 10, &a, &b) == 0);
  static const char *const hosts[] = {"",    "a b",  "a\r\nX: y", "a/b",
                                      "u@a", "\x7f", "\xc3\xa4"};
  wr_ws_dial_opts opts = usual();
  for (size_t i = 0; i < WR_COUNTOF(hosts); i++) {
    opts.host = hosts[i];
    EQ_INT(wr_ws_dial_start(a, &opts, on_dial, &t, &t.dial), WR_EINVAL);
  }
  memset(host, 'a', sizeof(host) - 1);
  host[sizeof(host) - 1] = '\0';
  opts.host = host;
  EQ_INT(wr_ws_dial_start(a, &opts, on_dial, &t, &t.dial), WR_EINVAL);
  opts = usual();
  opts.path = "/a\r\nX: y";
  EQ_INT(wr_ws_dial_start(a, &opts, on_dial, &t, &t.dial), WR_EINVAL);
  wr_link_close(a, WR_CLOSE_RESET);
  wr_link_close(b, WR_CLOSE_RESET);
  wr_ctx_run_tasks(&t.e.ctx);
  EQ_INT(t.calls, 0);
  try_end(&t);
}

TEST(allocations_may_fail) {
  for (uint64_t i = 1; i < 12; i++) {
    try t;
    const wr_ws_dial_opts opts = usual();
    wr_link *ours;
    try_env(&t);
    MUST(wr_mempair_new(&t.e.ctx, 4096, &ours, &t.raw) == 0);
    t.raw->handler = &raw_handler;
    t.raw->user = &t;
    t.e.ctx.mem.fail_at = t.e.ctx.mem.total + i;
    int err = wr_ws_dial_start(ours, &opts, on_dial, &t, &t.dial);
    if (err != 0) {
      EQ_INT(err, WR_ENOMEM);
      wr_link_close(ours, WR_CLOSE_RESET);
    } else {
      say(&t, GOOD, strlen(GOOD));
      EQ_INT(t.calls, 1);
      CHECK(t.status == WR_ENOMEM || t.status == 0);
    }
    t.e.ctx.mem.fail_at = 0;
    try_end(&t);
  }
}

/* The server. */

static int64_t wall;
static int64_t any_wall(void *data) {
  WR_UNUSED(data);
  return wall;
}

static void answer(int64_t wall_ms, const char *server, const char *want) {
  try t;
  wr_link *ours;
  wr_link *link;
  const wr_ws_opts opts = {.role = WR_WS_CLIENT};
  try_env(&t);
  wall = wall_ms;
  t.e.ctx.wall_ms = any_wall;
  MUST(wr_mempair_new(&t.e.ctx, 4096, &ours, &t.raw) == 0);
  t.raw->handler = &raw_handler;
  t.raw->user = &t;
  MUST(wr_link_read_start(t.raw) == 0);
  for (uint64_t i = 1; i <= 3; i++) {
    t.e.ctx.mem.fail_at = t.e.ctx.mem.total + i;
    EQ_INT(wr_ws_accept(ours, &opts, wr_slice_of(KEY), server, &link),
           WR_ENOMEM);
  }
  EQ_INT(wr_ws_accept(ours, &opts, wr_slice_of(KEY), server, &link), 0);
  peer_own(&t.client, link);
  wr_ctx_run_tasks(&t.e.ctx);
  EQ_STR(t.in, want);
  try_end(&t);
}

TEST(answer_of_the_server) {
  answer(NOW_MS, NULL,
         "HTTP/1.1 101 Switching Protocols\r\n"
         "Server: nginx/1.22.1\r\n"
         "Date: Tue, 02 Jun 2026 10:00:00 GMT\r\n"
         "Connection: upgrade\r\n"
         "Upgrade: websocket\r\n"
         "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n");
}

TEST(dates) {
  static const struct {
    int64_t s;
    const char *text;
  } cases[] = {{0, "Thu, 01 Jan 1970 00:00:00 GMT"},
               {-5, "Thu, 01 Jan 1970 00:00:00 GMT"},
               {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
               {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
               {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
               {1709251200, "Fri, 01 Mar 2024 00:00:00 GMT"},
               {1798761599, "Thu, 31 Dec 2026 23:59:59 GMT"},
               {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"}};
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    char want[400];
    snprintf(want, sizeof(want),
             "HTTP/1.1 101 Switching Protocols\r\nServer: me\r\nDate: %s\r\n"
             "Connection: upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
             cases[i].text);
    answer(cases[i].s * 1000, "me", want);
  }
}

/* Both together, as a server on 443 does it: the head is taken off the inner link,
   what follows stays there. */
typedef struct host {
  try t;
  wr_knock_cache cache;
  wr_firstbytes_opts opts;
  wr_firstbytes first;
  uint8_t head[4096];
  size_t len;
  wr_link *inner;
  wr_task task;
  peer server;
} host;

static size_t host_read(wr_link *link, uint8_t *data, size_t len) {
  host *h = link->user;
  size_t before = h->len;
  MUST(len <= sizeof(h->head) - h->len);
  memcpy(h->head + h->len, data, len);
  h->len += len;
  switch (wr_firstbytes_feed(&h->first, h->head, h->len, NOW_MS / 1000)) {
  case WR_FIRST_MORE:
    return len;
  case WR_FIRST_UPGRADE:
    wr_link_read_stop(link);
    wr_task_post(link->ctx, &h->task);
    return h->first.head.len - before;
  case WR_FIRST_SSH:
  case WR_FIRST_DECOY:
    break;
  }
  wr_link_close(link, WR_CLOSE_RESET);
  return len;
}

static void host_upgrade(wr_task *task) {
  host *h = wr_container_of(task, host, task);
  const wr_ws_opts opts = {.ping_ms = 0};
  wr_link *link;
  MUST(wr_ws_accept(h->inner, &opts, h->first.key, NULL, &link) == 0);
  peer_own(&h->server, link);
  peer_go(&h->server);
}

static void host_close(wr_link *link, int status) {
  WR_UNUSED(status);
  ((host *)link->user)->inner = NULL;
}

static const wr_link_handler host_handler = {
    .on_read = host_read, .on_eof = raw_eof, .on_close = host_close};

static void host_run(host *h, const char *client_secret,
                     const wr_mempair_faults *faults) {
  wr_link *ours;
  wr_ws_dial_opts opts = usual();
  memset(h, 0, sizeof(*h));
  try_env(&h->t);
  wr_knock_cache_init(&h->cache, &h->t.e.ctx.mem, 1, 0);
  h->opts = (wr_firstbytes_opts){.path = "/chat",
                                 .secret = wr_slice_of("secret"),
                                 .exporter = wr_slice_of("export"),
                                 .cache = &h->cache};
  wr_firstbytes_init(&h->first, &h->opts);
  MUST(wr_mempair_new(&h->t.e.ctx, 1000, &ours, &h->inner) == 0);
  wr_mempair_set_faults(ours, faults);
  wr_mempair_set_faults(h->inner, faults);
  wr_task_init(&h->task, host_upgrade);
  h->inner->handler = &host_handler;
  h->inner->user = h;
  MUST(wr_link_read_start(h->inner) == 0);
  opts.secret = wr_slice_of(client_secret);
  opts.exporter = wr_slice_of("export");
  h->t.client.out_seed = h->server.in_seed = 1;
  h->server.out_seed = h->t.client.in_seed = 2;
  h->server.to_send = 5000;
  MUST(wr_ws_dial_start(ours, &opts, on_dial, &h->t, &h->t.dial) == 0);
  wr_ctx_run_tasks(&h->t.e.ctx);
}

static void host_end(host *h) {
  if (h->server.link != NULL) {
    wr_link_close(h->server.link, WR_CLOSE_RESET);
  }
  wr_knock_cache_reset(&h->cache);
  wr_ctx_run_tasks(&h->t.e.ctx);
  try_end(&h->t);
}

TEST(client_and_server_with_a_knock) {
  static const wr_mempair_faults faults[] = {{0},
                                             {.max_write = 1},
                                             {.max_read = 1},
                                             {.max_write = 100, .max_read = 7}};
  for (size_t i = 0; i < WR_COUNTOF(faults); i++) {
    host h;
    host_run(&h, "secret", &faults[i]);
    EQ_INT(h.t.status, 0);
    EQ_INT(h.t.calls, 1);
    EQ_UINT(h.t.client.got, 5000);
    h.t.client.to_send = 5000;
    peer_go(&h.t.client);
    wr_ctx_run_tasks(&h.t.e.ctx);
    EQ_UINT(h.server.got, 5000);
    EQ_UINT(h.server.bad + h.t.client.bad, 0);
    host_end(&h);
  }
}

TEST(client_and_server_with_another_secret) {
  const wr_mempair_faults none = {0};
  host h;
  host_run(&h, "secrets", &none);
  EQ_INT(h.t.calls, 1);
  EQ_INT(h.t.status, UV_ECONNRESET);
  EQ_INT(h.first.knock, WR_KNOCK_WRONG);
  host_end(&h);
  host_run(&h, "", &none);
  EQ_INT(h.first.knock, WR_KNOCK_MALFORMED);
  host_end(&h);
}

TAP_MAIN()
