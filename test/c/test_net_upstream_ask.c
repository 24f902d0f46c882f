/* Asking a proxy over a link, and dials through one. */
#include "proxy_help.h"

#include "loop/internal.h"
#include "net/dial.h"
#include "net/mempair.h"

static env e;
static end proxy; /* the other end of the link */
static wr_upstream url;
static wr_upstream_ask *ask;
static wr_link *mine;
static int calls;
static int status;
static bool given; /* target is the new owner of the link */
static end target;

static void on_asked(void *user, int err, wr_link *link) {
  CHECK(user == &e);
  CHECK((err == 0) == (link != NULL));
  calls++;
  status = err;
  ask = NULL;
  given = link != NULL;
  if (given) {
    end_own(&target, link);
  }
}

static int new_ask(const char *text) {
  const char *why;
  MUST(wr_upstream_parse(text, &url, &why) == 0);
  int err =
      wr_upstream_ask_new(&e.ctx, &url, "db.example", 5432, on_asked, &e, &ask);
  wr_upstream_wipe(&url); /* it was copied */
  return err;
}

static void set_up(void) {
  env_open(&e);
  calls = 0;
  status = 1;
  given = false;
  ask = NULL;
}

static void pair_up(const wr_mempair_faults *faults) {
  wr_link *theirs;
  MUST(wr_mempair_new(&e.ctx, 4096, &mine, &theirs) == 0);
  wr_mempair_set_faults(mine, faults);
  wr_mempair_set_faults(theirs, faults);
  end_own(&proxy, theirs);
}

static void begin(const char *text) {
  static const wr_mempair_faults none = {0};
  set_up();
  pair_up(&none);
  MUST(new_ask(text) == 0);
  wr_upstream_ask_start(ask, mine);
}

static void tear_down(void) {
  end_close(&proxy, WR_CLOSE_RESET);
  env_settle(&e);
  env_close(&e);
}

static void hears(const char *bytes, size_t len) {
  RUN_UNTIL(&e, proxy.len >= len);
  EQ_UINT(proxy.len, len);
  CHECK(memcmp(proxy.in, bytes, len) == 0);
  proxy.len = 0;
}
#define HEARS(text) hears(text, sizeof(text) - 1)
#define ANSWER(text) end_send(&proxy, text, sizeof(text) - 1)

TEST(the_link_comes_with_what_the_target_said) {
  begin("socks5://ann:pw@p:1");
  HEARS("\5\2\0\2");
  ANSWER("\5\2");
  HEARS("\1\3ann\2pw");
  CHECK(!wr_upstream_ask_sent(ask));
  ANSWER("\1\0");
  HEARS("\5\1\0\3\12db.example\x15\x38");
  CHECK(wr_upstream_ask_sent(ask));
  EQ_INT(calls, 0);
  ANSWER("\5\0\0\1\0\0\0\0\0\0SSH-2.0-x\r\n");
  RUN_UNTIL(&e, calls > 0);
  EQ_INT(status, 0);
  RUN_UNTIL(&e, target.len == 11);
  EQ_STR(target.in, "SSH-2.0-x\r\n");
  end_send(&target, "hello", 5);
  HEARS("hello");
  end_shutdown(&proxy);
  RUN_UNTIL(&e, target.eof);
  EQ_INT(calls, 1);
  end_close(&target, WR_CLOSE_ORDERLY);
  tear_down();
}

/* Bytes that follow at once, then the end: nothing is lost. */
TEST(a_target_that_speaks_and_ends_at_once) {
  begin("http://p:1");
  HEARS("CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n");
  ANSWER("HTTP/1.1 200 OK\r\n\r\n");
  ANSWER("bye");
  end_shutdown(&proxy);
  RUN_UNTIL(&e, calls > 0);
  EQ_INT(status, 0);
  RUN_UNTIL(&e, target.eof);
  EQ_STR(target.in, "bye");
  end_close(&target, WR_CLOSE_ORDERLY);
  tear_down();
}

TEST(byte_by_byte) {
  static const wr_mempair_faults faults = {.max_write = 1, .max_read = 1};
  set_up();
  pair_up(&faults);
  MUST(new_ask("http://p:1") == 0);
  wr_upstream_ask_start(ask, mine);
  HEARS("CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n");
  wr_mempair_set_faults(proxy.link, &(wr_mempair_faults){.max_read = 1});
  ANSWER("HTTP/1.1 200 OK\r\n\r\nx");
  RUN_UNTIL(&e, calls > 0);
  EQ_INT(status, 0);
  RUN_UNTIL(&e, target.len == 1);
  end_close(&target, WR_CLOSE_ORDERLY);
  tear_down();
}

TEST(failures_close_the_link) {
  begin("socks5://p:1");
  HEARS("\5\1\0");
  ANSWER("\5\0");
  HEARS("\5\1\0\3\12db.example\x15\x38");
  ANSWER("\5\5\0\1\0\0\0\0\0\0");
  RUN_UNTIL(&e, calls > 0);
  EQ_INT(status, UV_ECONNREFUSED);
  RUN_UNTIL(&e, proxy.closed || proxy.eof);
  tear_down();
}

TEST(a_proxy_that_breaks_off) {
  begin("socks5://p:1");
  HEARS("\5\1\0");
  end_shutdown(&proxy);
  RUN_UNTIL(&e, calls > 0);
  EQ_INT(status, WR_EPROXY_PROTOCOL);
  tear_down();
  begin("socks5://p:1");
  wr_mempair_cut(mine, UV_ECONNRESET);
  RUN_UNTIL(&e, calls > 0);
  EQ_INT(status, WR_EPROXY_PROTOCOL);
  EQ_INT(calls, 1);
  tear_down();
}

/* Between the proxy's answer and the next turn. */
TEST(a_link_that_breaks_before_it_is_handed_over) {
  begin("http://p:1");
  RUN_UNTIL(&e, strstr(proxy.in, "\r\n\r\n") != NULL);
  ANSWER("HTTP/1.1 200 OK\r\n\r\n");
  wr_mempair_cut(mine, UV_ECONNRESET);
  RUN_UNTIL(&e, calls > 0);
  if (given) {
    end_close(&target, WR_CLOSE_RESET);
  }
  EQ_INT(calls, 1);
  tear_down();
}

TEST(cancel_in_every_state) {
  set_up();
  MUST(new_ask("socks5://p:1") == 0);
  wr_upstream_ask_cancel(ask); /* not begun */
  env_close(&e);
  for (int stage = 0; stage < 3; stage++) {
    begin("socks5://p:1");
    if (stage > 0) {
      HEARS("\5\1\0");
      ANSWER("\5\0");
    }
    if (stage > 1) {
      HEARS("\5\1\0\3\12db.example\x15\x38");
      ANSWER("\5\0\0\1\0\0\0\0\0\0");
    }
    wr_upstream_ask_cancel(ask);
    RUN_UNTIL(&e, proxy.closed || proxy.eof);
    EQ_INT(calls, 0);
    tear_down();
  }
}

/* DIALS */

static wr_listener *listener;
static wr_dial dial;
static bool accepted;
static int dialled; /* what it came to; 1: nothing yet */
static int proxy_error;
static char lookup_of[256];

static void on_accept(wr_listener *l, wr_link *link) {
  WR_UNUSED(l);
  accepted = true;
  end_own(&proxy, link);
}

static const wr_listener_handler listen_handler = {.on_accept = on_accept};

static void on_dial(wr_dial *d, int err, wr_link *link) {
  dialled = err;
  calls++;
  given = link != NULL;
  if (given) {
    end_own(&target, link);
  }
  proxy_error = d->proxy_error;
  memset(d, 0xa5, sizeof(*d)); /* it is the owner's again */
}

static bool deny(void *data, const struct sockaddr *sa) {
  WR_UNUSED(data);
  WR_UNUSED(sa);
  return false;
}

/* The only look-up that may come is the proxy's own. */
static int note_lookup(uv_loop_t *loop, uv_getaddrinfo_t *req,
                       uv_getaddrinfo_cb cb, const char *node,
                       const char *service, const struct addrinfo *hints) {
  snprintf(lookup_of, sizeof(lookup_of), "%s", node);
  WR_UNUSED(loop);
  WR_UNUSED(req);
  WR_UNUSED(cb);
  WR_UNUSED(service);
  WR_UNUSED(hints);
  return UV_EAI_FAIL;
}

static void listen_up(void) {
  set_up();
  accepted = false;
  dialled = 1;
  lookup_of[0] = '\0';
  memset(&proxy, 0, sizeof(proxy));
  MUST(wr_listener_tcp(&e.ctx, "127.0.0.1", 0, false, &listen_handler, NULL,
                       &listener) == 0);
}

static int start(const char *format, uint64_t timeout_ms) {
  struct sockaddr_storage ss;
  char text[64];
  const char *why;
  wr_listener_addr(listener, &ss);
  snprintf(text, sizeof(text), "%s127.0.0.1:%u", format,
           wr_sockaddr_port((struct sockaddr *)&ss));
  MUST(wr_upstream_parse(text, &url, &why) == 0);
  wr_dial_opts opts = {.host = "hidden.example",
                       .port = 80,
                       .proxy = &url,
                       .allow = deny,
                       .timeout_ms = timeout_ms};
  memset(&dial, 0, sizeof(dial));
  return wr_dial_start(&e.ctx, &dial, &opts, on_dial);
}

static void listen_down(void) {
  if (given) {
    end_close(&target, WR_CLOSE_RESET);
  }
  end_close(&proxy, WR_CLOSE_RESET);
  if (listener != NULL) {
    wr_listener_close(listener);
  }
  env_settle(&e);
  env_close(&e);
}

TEST(a_dial_gives_the_name_and_looks_nothing_up) {
  listen_up();
  e.ctx.resolver->lookup = note_lookup;
  MUST(start("socks5://", 0) == 0);
  RUN_UNTIL(&e, accepted && proxy.len == 3);
  HEARS("\5\1\0");
  ANSWER("\5\0");
  HEARS("\5\1\0\3\16hidden.example\0\120");
  ANSWER("\5\0\0\1\0\0\0\0\0\0");
  RUN_UNTIL(&e, dialled != 1);
  EQ_INT(dialled, 0);
  EQ_STR(lookup_of, "");
  listen_down();
}

TEST(a_proxy_that_is_not_there) {
  listen_up();
  MUST(start("socks5://", 0) == 0);
  wr_dial_cancel(&dial);
  wr_listener_close(listener);
  struct sockaddr_storage ss;
  wr_listener_addr(listener, &ss);
  wr_dial_opts opts = {.host = "hidden.example", .port = 80, .proxy = &url};
  listener = NULL;
  MUST(wr_dial_start(&e.ctx, &dial, &opts, on_dial) == 0);
  RUN_UNTIL(&e, dialled != 1);
  EQ_INT(dialled, WR_EPROXY_UNREACHABLE);
  EQ_INT(proxy_error, UV_ECONNREFUSED);
  EQ_INT(calls, 1);
  listen_down();
}

TEST(a_proxy_whose_name_does_not_resolve) {
  const char *why;
  listen_up();
  e.ctx.resolver->lookup = note_lookup;
  MUST(wr_upstream_parse("socks5://proxy.example:1", &url, &why) == 0);
  wr_dial_opts opts = {.host = "hidden.example", .port = 80, .proxy = &url};
  MUST(wr_dial_start(&e.ctx, &dial, &opts, on_dial) == 0);
  RUN_UNTIL(&e, dialled != 1);
  EQ_INT(dialled, WR_EPROXY_UNREACHABLE);
  EQ_INT(proxy_error, WR_EUNRESOLVED);
  EQ_STR(lookup_of, "proxy.example");
  listen_down();
}

TEST(what_the_proxy_says_of_the_target) {
  listen_up();
  MUST(start("http://", 0) == 0);
  RUN_UNTIL(&e, accepted && strstr(proxy.in, "\r\n\r\n") != NULL);
  ANSWER("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
  RUN_UNTIL(&e, dialled != 1);
  EQ_INT(dialled, WR_EPROXY_AUTH);
  listen_down();
}

/* Who took too long is told apart. */
TEST(time_limits) {
  listen_up();
  wr_ctx_fake_clock(&e.ctx);
  MUST(start("socks5://", 5000) == 0);
  RUN_UNTIL(&e, accepted && proxy.len == 3);
  wr_ctx_advance(&e.ctx, 4999);
  EQ_INT(dialled, 1);
  wr_ctx_advance(&e.ctx, 1);
  EQ_INT(dialled, WR_EPROXY_UNREACHABLE);
  EQ_INT(proxy_error, WR_ETIMEOUT);
  RUN_UNTIL(&e, proxy.closed || proxy.eof);
  listen_down();
  listen_up();
  wr_ctx_fake_clock(&e.ctx);
  MUST(start("http://", 5000) == 0);
  RUN_UNTIL(&e, accepted && strstr(proxy.in, "\r\n\r\n") != NULL);
  wr_ctx_advance(&e.ctx, 5000);
  EQ_INT(dialled, WR_ETIMEOUT);
  EQ_INT(proxy_error, 0);
  EQ_INT(calls, 1);
  listen_down();
}

TEST(a_dial_is_given_up_while_the_proxy_is_asked) {
  listen_up();
  MUST(start("socks5://", 0) == 0);
  RUN_UNTIL(&e, accepted && proxy.len == 3);
  wr_dial_cancel(&dial);
  RUN_UNTIL(&e, proxy.closed || proxy.eof);
  EQ_INT(calls, 0);
  listen_down();
}

TEST(every_allocation_may_fail) {
  listen_up();
  for (uint64_t i = 1;; i++) {
    accepted = false;
    dialled = 1;
    e.ctx.mem.fail_at = e.ctx.mem.total + i;
    int err = start("http://", 0);
    if (err != 0) {
      EQ_INT(err, WR_ENOMEM);
      continue;
    }
    RUN_UNTIL(&e, dialled != 1 ||
                      (accepted && strstr(proxy.in, "\r\n\r\n") != NULL));
    if (dialled != 1) {
      CHECK(dialled != 0);
      CHECK(i < 30);
      continue;
    }
    e.ctx.mem.fail_at = 0;
    ANSWER("HTTP/1.1 200 OK\r\n\r\n");
    RUN_UNTIL(&e, dialled != 1);
    EQ_INT(dialled, 0);
    break;
  }
  e.ctx.mem.fail_at = 0;
  listen_down();
}

TAP_MAIN()
