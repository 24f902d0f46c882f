/* The server behind a load balancer: whom it speaks for, and that nobody else
   can. */
#include "app_tunnel.h"

#define BALANCED "PROXY TCP4 203.0.113.7 192.0.2.1 1000 22\r\n"

/* A client of the balancer's: what it says goes over a real socket, what the
   server says is kept. */
typedef struct dialled {
  wr_stream *stream;
  wr_link *link;
  bool connected;
  bool closed;
  bool ended;
  char got[512];
  size_t len;
} dialled;

static size_t dialled_read(wr_link *link, uint8_t *data, size_t len) {
  dialled *d = link->user;
  size_t n = WR_MIN(len, sizeof(d->got) - 1 - d->len);
  memcpy(d->got + d->len, data, n);
  d->len += n;
  return len;
}

static void dialled_eof(wr_link *link) {
  ((dialled *)link->user)->ended = true;
}

static void dialled_close(wr_link *link, int status) {
  dialled *d = link->user;
  WR_UNUSED(status);
  d->link = NULL;
  d->closed = true;
}

static const wr_link_handler dialled_handler = {
    .on_read = dialled_read, .on_eof = dialled_eof, .on_close = dialled_close};

/* It may have been turned away by the time this is heard of. */
static void dialled_connect(wr_stream *s, int status) {
  dialled *d = wr_stream_link(s)->user;
  d->connected = true;
  if (status != 0 || wr_link_read_start(d->link) != 0) {
    wr_link_close(d->link, WR_CLOSE_RESET);
  }
}

static void dial_server(dialled *d) {
  struct sockaddr_storage ss;
  wr_ip ip;
  memset(d, 0, sizeof(*d));
  MUST(wr_ip_parse("127.0.0.1", &ip) == 0);
  wr_ip_to_sockaddr(&ip, a.port, &ss);
  MUST(wr_stream_new(&a.e.ctx, AF_INET, &d->stream) == 0);
  d->link = wr_stream_link(d->stream);
  d->link->user = d;
  d->link->handler = &dialled_handler;
  MUST(wr_stream_connect(d->stream, (const struct sockaddr *)&ss,
                         dialled_connect) == 0);
  env_until(&a.e, &d->connected);
}

static void dialled_say(dialled *d, const void *text, size_t len) {
  size_t taken = 0;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)len);
  MUST(wr_link_write(d->link, &buf, 1, &taken) == 0 && taken == len);
}

static void dialled_leave(dialled *d) {
  if (d->link != NULL) {
    wr_link_close(d->link, WR_CLOSE_RESET);
  }
  env_until(&a.e, &d->closed);
}

static uint64_t rejected(void) {
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  return st.rejected;
}

static uint32_t startups(void) {
  wr_server_stats st;
  wr_server_get_stats(a.server, &st);
  return st.startups;
}

/* Begins like that; returns when the server has said something or hung up. */
static void come_as(dialled *d, const char *head) {
  dial_server(d);
  dialled_say(d, head, strlen(head));
  UNTIL(d->len > 0 || d->closed);
}

static void all_leave(dialled *d, int n) {
  for (int i = 0; i < n; i++) {
    dialled_leave(&d[i]);
  }
  UNTIL(startups() == 0);
  app_close(&a);
}

static wr_cidr trusted;

static void serve_trusted(const char *network) {
  MUST(wr_cidr_parse(network, &trusted) == 0);
  a.opts.trust_proxy = &trusted;
  a.opts.n_trust_proxy = 1;
  app_serve(&a, 1, NULL);
  app_listen(&a);
  app_forget_log(&a);
}

TEST(a_balancer_speaks_for_others) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.0/8");
  dial_server(&d);
  UNTIL(startups() == 1);
  EQ_INT(a.n_log, 0);
  dialled_say(&d, BALANCED, strlen(BALANCED) - 1);
  dialled_say(&d, "\nSSH-2.0-x\r\n", 12); /* in one with what follows */
  UNTIL(strstr(d.got, "\r\n") != NULL);
  CHECK(strncmp(d.got, "SSH-2.0-", 8) == 0);
  EQ_UINT(startups(), 1);
  LOGGED(&a, "INFO connection opened remote_addr=203.0.113.7 transport=tcp"
             " session=1");
  all_leave(&d, 1);
}

TEST(a_header_may_come_byte_by_byte) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  for (size_t i = 0; i < strlen(BALANCED); i++) {
    EQ_UINT(d.len, 0); /* nothing is said before it is through */
    dialled_say(&d, BALANCED + i, 1);
    uv_run(&a.e.loop, UV_RUN_NOWAIT);
  }
  UNTIL(strstr(d.got, "\r\n") != NULL);
  EQ_INT(app_log_holds(&a, "opened remote_addr=203.0.113.7 "), 1);
  all_leave(&d, 1);
}

/* What is recorded of one connection that begins like that. */
static void balanced(const void *head, size_t len, const char *address) {
  char want[128];
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  dialled_say(&d, head, len);
  UNTIL(strstr(d.got, "\r\n") != NULL);
  snprintf(want, sizeof(want), "connection opened remote_addr=%s transport=tcp",
           address);
  OK(app_log_holds(&a, want) == 1, "%s", want);
  all_leave(&d, 1);
}

TEST(whom_a_balancer_speaks_for) {
  static const uint8_t local[16] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
  static uint8_t path[16 + 216] = "\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8";
  balanced(local, sizeof(local), "127.0.0.1");
  balanced("PROXY UNKNOWN\r\n", 15, "127.0.0.1");
  balanced("SSH-2.0-x\r\n", 11, "127.0.0.1");
  balanced(path, sizeof(path), "-");
  balanced("PROXY TCP6 2001:db8::7 ::1 1 2\r\n", 32, "2001:db8::7");
}

TEST(nobody_else_may_speak_for_others) {
  dialled d;
  app_open(&a, false);
  serve_trusted("10.0.0.0/8");
  dial_server(&d);
  UNTIL(strstr(d.got, "\r\n") != NULL); /* it is greeted at once */
  dialled_say(&d, BALANCED, strlen(BALANCED));
  UNTIL(d.ended || d.closed);
  EQ_INT(app_log_holds(&a, "opened remote_addr=127.0.0.1 "), 1);
  EQ_INT(app_log_holds(&a, "203.0.113.7"), 0);
  all_leave(&d, 1);
}

static void turned_away(const char *text, bool end) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  dialled_say(&d, text, strlen(text));
  if (end) {
    MUST(wr_link_shutdown(d.link) == 0);
  }
  env_until(&a.e, &d.closed);
  EQ_UINT(d.len, 0);
  LOGGED(&a, "WARN connection rejected remote_addr=127.0.0.1 transport=tcp"
             " reason=proxy-header");
  LOG_ENDS(&a);
  UNTIL(startups() == 0);
  EQ_UINT(rejected(), 1);
  app_close(&a);
}

TEST(broken_headers_are_turned_away) {
  turned_away("PROXY TCP4 nonsense\r\n", false);
  turned_away("\r\n\r\n\r\n", false);
  turned_away("PROXY TCP4 203.0.113.7", true);
}

TEST(a_balancer_that_just_connects_is_no_news) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  MUST(wr_link_shutdown(d.link) == 0);
  UNTIL(d.ended);
  dialled_leave(&d);
  UNTIL(startups() == 0);
  LOG_ENDS(&a);
  app_close(&a);
}

TEST(a_header_has_its_time) {
  dialled d;
  app_open(&a, false);
  a.opts.login_grace_ms = 30;
  serve_trusted("127.0.0.1");
  dial_server(&d);
  dialled_say(&d, "PROXY ", 6);
  env_until(&a.e, &d.closed);
  EQ_INT(app_log_holds(&a, "reason=proxy-header"), 1);
  UNTIL(startups() == 0);
  app_close(&a);
}

TEST(limits_are_for_the_client_behind) {
  dialled d[3];
  app_open(&a, false);
  a.opts.max_connections_per_ip = 1;
  serve_trusted("127.0.0.1");
  come_as(&d[0], BALANCED);
  come_as(&d[1], BALANCED);
  CHECK(d[0].len > 0 && d[1].len == 0);
  EQ_INT(app_log_holds(&a, "rejected remote_addr=203.0.113.7 transport=tcp"
                           " reason=max-connections-per-ip"),
         1);
  come_as(&d[2], "PROXY TCP4 203.0.113.8 192.0.2.1 1 2\r\n");
  CHECK(d[2].len > 0);
  all_leave(d, 3);
}

TEST(penalties_are_for_the_client_behind) {
  dialled d[3];
  app_open(&a, false);
  a.opts.penalty_ms = 300000;
  serve_trusted("127.0.0.1");
  come_as(&d[0], BALANCED "nonsense\r\n");
  UNTIL(app_log_holds(&a, "penalty remote_addr=203.0.113.7 "));
  come_as(&d[1], BALANCED);
  EQ_UINT(d[1].len, 0);
  EQ_INT(app_log_holds(&a, "rejected remote_addr=203.0.113.7 transport=tcp"
                           " reason=penalty"),
         1);
  come_as(&d[2], "PROXY TCP4 203.0.113.8 192.0.2.1 1 2\r\n");
  CHECK(d[2].len > 0);
  all_leave(d, 3);
}

TEST(a_balancer_is_not_kept_out_itself) {
  dialled d;
  app_open(&a, false);
  a.opts.penalty_ms = 300000;
  serve_trusted("127.0.0.1");
  for (int i = 0; i < 3; i++) {
    dial_server(&d);
    dialled_say(&d, "PROXY UNKNOWN\r\nnonsense\r\n", 25);
    UNTIL(d.ended || d.closed);
    CHECK(d.len > 0);
    dialled_leave(&d);
    UNTIL(startups() == 0);
  }
  EQ_INT(app_log_holds(&a, "penalty"), 0);
  app_close(&a);
}

TEST(connections_that_wait_count_as_startups) {
  dialled d[3];
  app_open(&a, false);
  a.opts.max_startups = 2;
  a.opts.startups_start = 2;
  serve_trusted("127.0.0.1");
  for (int i = 0; i < 3; i++) {
    dial_server(&d[i]);
    UNTIL(i == 2 ? d[i].closed : startups() == (uint32_t)i + 1);
  }
  EQ_INT(app_log_holds(&a, "reason=max-startups"), 1);
  dialled_say(&d[0], BALANCED, strlen(BALANCED)); /* it has its place */
  UNTIL(d[0].len > 0);
  EQ_UINT(startups(), 2);
  all_leave(d, 3);
}

TEST(the_sessions_are_counted_when_they_begin) {
  dialled d[2];
  app_open(&a, false);
  a.opts.max_sessions = 1;
  serve_trusted("127.0.0.1");
  dial_server(&d[0]);
  dial_server(&d[1]);
  UNTIL(startups() == 2);
  dialled_say(&d[0], BALANCED, strlen(BALANCED));
  UNTIL(d[0].len > 0);
  dialled_say(&d[1], BALANCED, strlen(BALANCED));
  env_until(&a.e, &d[1].closed);
  EQ_INT(app_log_holds(&a, "reason=max-sessions"), 1);
  dialled_leave(&d[0]);
  UNTIL(startups() == 0);
  app_close(&a);
}

TEST(a_server_that_stops_does_not_wait_for_headers) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  UNTIL(startups() == 1);
  wr_server_close(a.server, 10000);
  env_until(&a.e, &a.closed);
  env_until(&a.e, &d.closed);
  EQ_INT(app_log_holds(&a, "rejected"), 0);
  app_close(&a);
}

TEST(any_allocation_may_fail) {
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  wr_mem *mem = &a.e.ctx.mem;
  int n = 0;
  for (bool over = false; !over; n++) {
    dialled d;
    dial_server(&d);
    mem->fail_at = mem->total + (uint64_t)n + 1;
    dialled_say(&d, BALANCED, strlen(BALANCED));
    UNTIL(d.len > 0 || d.closed);
    over = mem->total < mem->fail_at;
    mem->fail_at = 0;
    dialled_leave(&d);
    UNTIL(startups() == 0);
  }
  CHECK(n > 3);
  app_close(&a);
}

TEST(teardown_with_a_header_awaited) {
  dialled d;
  app_open(&a, false);
  serve_trusted("127.0.0.1");
  dial_server(&d);
  UNTIL(startups() == 1);
  for (size_t i = 0; i < WR_COUNTOF(a.keys); i++) {
    wr_key_unref(a.keys[i]);
  }
  wr_key_unref(a.host);
  app_stop_waking(&a);
  wr_ctx_close(&a.e.ctx, env_on_closed);
  wr_link_close(d.link, WR_CLOSE_RESET);
  uv_run(&a.e.loop, UV_RUN_DEFAULT);
  CHECK(a.e.closed && a.closed);
  EQ_UINT(a.e.ctx.mem.live_blocks, 0);
  EQ_INT(uv_loop_close(&a.e.loop), 0);
}

TAP_MAIN()
