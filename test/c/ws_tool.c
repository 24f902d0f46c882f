/* WebSocket for the interop tests, on the loopback interface.
     ws_tool serve PATH [SECRET [PING_MS]]
       prints its port, answers upgrades to PATH and echoes; 404 for the rest
     ws_tool send PORT HOST PATH BYTES [SECRET [PING_MS]]
       sends BYTES of a pattern, wants them back, and tells how it went */

#include "net_help.h"

#include "base/wire.h"
#include "net/dial.h"
#include "net/firstbytes.h"
#include "net/ws_handshake.h"

typedef struct tool {
  env e;
  wr_knock_cache cache;
  wr_firstbytes_opts first;
  wr_ws_opts ws;
  bool over;
  /* of `send` */
  wr_dial dial;
  wr_ws_dial_opts upgrade;
  peer peer;
  const char *said;
  int http_status;
} tool;

/* The server: one connection. */
typedef struct visitor {
  tool *tool;
  wr_link *link;
  wr_firstbytes first;
  uint8_t head[WR_FIRSTBYTES_MAX];
  size_t len;
  wr_task task;
} visitor;

static size_t echo_read(wr_link *link, uint8_t *data, size_t len) {
  uv_buf_t buf = uv_buf_init((char *)data, (unsigned)len);
  size_t taken = 0;
  return wr_link_write(link, &buf, 1, &taken) == 0 ? taken : len;
}

static void echo_writable(wr_link *link) {
  (void)wr_link_read_start(link);
}

static void echo_eof(wr_link *link) {
  wr_link_close(link, WR_CLOSE_ORDERLY);
}

static void visitor_close(wr_link *link, int status) {
  WR_UNUSED(status);
  free(link->user);
}

static const wr_link_handler echo_handler = {.on_read = echo_read,
                                             .on_eof = echo_eof,
                                             .on_writable = echo_writable,
                                             .on_close = visitor_close};

static void visitor_upgrade(wr_task *task) {
  visitor *v = wr_container_of(task, visitor, task);
  wr_link *link;
  MUST(wr_ws_accept(v->link, &v->tool->ws, v->first.key, NULL, &link) == 0);
  link->handler = &echo_handler;
  link->user = v;
  (void)wr_link_read_start(link);
}

static void visitor_404(wr_link *link) {
  static const char text[] = "HTTP/1.1 404 Not Found\r\n"
                             "Content-Length: 0\r\n"
                             "Connection: close\r\n\r\n";
  uv_buf_t buf =
      uv_buf_init((char *)(uintptr_t)text, (unsigned)(sizeof(text) - 1));
  size_t taken;
  int err = wr_link_write(link, &buf, 1, &taken);
  wr_link_close(link, err == 0 ? WR_CLOSE_ORDERLY : WR_CLOSE_RESET);
}

static size_t visitor_read(wr_link *link, uint8_t *data, size_t len) {
  visitor *v = link->user;
  size_t before = v->len;
  size_t n = WR_MIN(len, sizeof(v->head) - v->len);
  uint64_t now_s = (uint64_t)wr_ctx_wall(link->ctx) / 1000;
  memcpy(v->head + v->len, data, n);
  v->len += n;
  switch (wr_firstbytes_feed(&v->first, v->head, v->len, now_s)) {
  case WR_FIRST_UPGRADE:
    wr_link_read_stop(link);
    wr_task_post(link->ctx, &v->task);
    return v->first.head.len - before;
  case WR_FIRST_MORE:
    if (n == len) {
      return len;
    }
    break;
  case WR_FIRST_SSH:
  case WR_FIRST_DECOY:
    break;
  }
  visitor_404(link);
  return len;
}

static const wr_link_handler visitor_handler = {
    .on_read = visitor_read, .on_eof = echo_eof, .on_close = visitor_close};

static void on_accept(wr_listener *l, wr_link *link) {
  visitor *v = calloc(1, sizeof(*v));
  MUST(v != NULL);
  v->tool = wr_listener_user(l);
  v->link = link;
  wr_firstbytes_init(&v->first, &v->tool->first);
  wr_task_init(&v->task, visitor_upgrade);
  link->handler = &visitor_handler;
  link->user = v;
  (void)wr_link_read_start(link);
}

static const wr_listener_handler listener_handler = {.on_accept = on_accept};

static int serve(tool *t, const char *path) {
  wr_listener *l;
  struct sockaddr_storage ss;
  t->first.path = path;
  t->first.cache = &t->cache;
  wr_knock_cache_init(&t->cache, &t->e.ctx.mem, 1, 0);
  MUST(wr_ws_path_ok(path));
  MUST(wr_listener_tcp(&t->e.ctx, "127.0.0.1", 0, false, &listener_handler, t,
                       &l) == 0);
  wr_listener_addr(l, &ss);
  printf("%u\n", ntohs(((const struct sockaddr_in *)&ss)->sin_port));
  fflush(stdout);
  env_until(&t->e, &t->over); /* until it is killed */
  return 0;
}

/* The client. */

static size_t send_read(wr_link *link, uint8_t *data, size_t len) {
  tool *t = wr_container_of(link->user, tool, peer);
  size_t used = peer_on_read(link, data, len);
  if (t->peer.got == t->peer.to_send) {
    wr_link_shutdown(link);
  }
  return used;
}

static void send_close(wr_link *link, int status) {
  tool *t = wr_container_of(link->user, tool, peer);
  peer_on_close(link, status);
  t->said = status == 0 ? "clean" : wr_error_code(status);
  t->over = true;
}

static const wr_link_handler send_handler = {.on_read = send_read,
                                             .on_eof = peer_on_eof,
                                             .on_writable = peer_on_writable,
                                             .on_close = send_close};

static void on_upgrade(void *user, int status, int http_status, wr_link *link) {
  tool *t = user;
  t->http_status = http_status;
  if (status != 0) {
    t->said = wr_error_code(status);
    t->over = true;
    return;
  }
  peer_own(&t->peer, link);
  link->handler = &send_handler;
  t->peer.out_seed = t->peer.in_seed = 1;
  t->peer.close_on_eof = true;
  peer_go(&t->peer);
}

static void on_dial(wr_dial *d, int status, wr_link *link) {
  tool *t = d->user;
  wr_ws_dial *upgrade;
  MUST(status == 0);
  MUST(wr_ws_dial_start(link, &t->upgrade, on_upgrade, t, &upgrade) == 0);
}

static int send_bytes(tool *t, char **argv) {
  const wr_dial_opts opts = {.host = "127.0.0.1",
                             .port = (uint16_t)strtoul(argv[0], NULL, 10)};
  t->upgrade.host = argv[1];
  t->upgrade.path = argv[2];
  t->upgrade.ws = t->ws;
  t->upgrade.secret = t->first.secret;
  t->peer.to_send = strtoul(argv[3], NULL, 10);
  t->dial.user = t;
  MUST(wr_dial_start(&t->e.ctx, &t->dial, &opts, on_dial) == 0);
  env_until(&t->e, &t->over);
  printf("{\"said\":\"%s\",\"http\":%d,\"got\":%" PRIu64 ",\"bad\":%" PRIu64
         ",\"eof\":%d}\n",
         t->said, t->http_status, t->peer.got, t->peer.bad, t->peer.eof);
  env_settle(&t->e);
  env_close(&t->e);
  return 0;
}

static void read_options(tool *t, int argc, char **argv) {
  if (argc > 0) {
    t->first.secret = wr_slice_of(argv[0]);
  }
  if (argc > 1) {
    t->ws.ping_ms = strtoul(argv[1], NULL, 10);
  }
}

int main(int argc, char **argv) {
  static tool t;
  signal(SIGPIPE, SIG_IGN);
  env_open(&t.e);
  if (argc >= 3 && strcmp(argv[1], "serve") == 0) {
    read_options(&t, argc - 3, argv + 3);
    return serve(&t, argv[2]);
  }
  if (argc >= 6 && strcmp(argv[1], "send") == 0) {
    read_options(&t, argc - 6, argv + 6);
    return send_bytes(&t, argv + 2);
  }
  fprintf(stderr, "usage: see the first lines of ws_tool.c\n");
  return 2;
}
