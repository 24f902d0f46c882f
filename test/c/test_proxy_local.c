#include "proxy_help.h"

#include "net/mempair.h"
#include "proxy/local.h"

#include <sys/stat.h>

/* The client's listeners over real sockets, with an opener that does as it is
   told: its channels are halves of in-memory pairs. */

struct wr_opening {
  int index;
};

#define MAX_OPENS 300

/* One channel that was asked for. */
typedef struct asked {
  wr_opening opening;
  wr_target target;
  wr_opening_cb cb; /* NULL: answered or cancelled */
  void *user;
  bool canceled;
} asked;

static struct {
  wr_opener opener;
  asked opens[MAX_OPENS];
  int n;
  int fail_with; /* of the call itself */
} fake;

static env v;

/* Takes the place of the SSH session's. */
void wr_opening_cancel(wr_opening *opening) {
  asked *a = &fake.opens[opening->index];
  CHECK(a->cb != NULL);
  a->cb = NULL;
  a->canceled = true;
}

static int fake_open(wr_opener *o, const wr_target *target, wr_opening_cb cb,
                     void *user, wr_opening **out) {
  CHECK(o == &fake.opener);
  if (fake.fail_with != 0) {
    return fake.fail_with;
  }
  MUST(fake.n < MAX_OPENS);
  asked *a = &fake.opens[fake.n];
  *a = (asked){.target = *target, .cb = cb, .user = user};
  a->opening.index = fake.n++;
  *out = &a->opening;
  return 0;
}

/* Answers channel i: with an error, or with a link whose far end is `far`. */
static void answer(int i, int status, end *far) {
  asked *a = &fake.opens[i];
  wr_opening_cb cb = a->cb;
  wr_link *near = NULL, *link = NULL;
  MUST(cb != NULL);
  a->cb = NULL;
  if (status == 0) {
    MUST(wr_mempair_new(&v.ctx, 65536, &near, &link) == 0);
    end_own(far, link);
  }
  cb(a->user, status, near);
}

static wr_local *start(const wr_local_opts *opts,
                       struct sockaddr_storage *addr) {
  wr_local *l;
  MUST(wr_local_start(&v.ctx, &fake.opener, opts, &l) == 0);
  wr_local_addr(l, addr);
  return l;
}

static wr_local *start_socks(struct sockaddr_storage *addr) {
  wr_local_opts opts = {.inbound = true};
  return start(&opts, addr);
}

static wr_local *start_plain(struct sockaddr_storage *addr) {
  wr_local_opts opts = {.target = {.host = "db.test", .port = 5432}};
  return start(&opts, addr);
}

static void on_local_closed(void *user) {
  *(bool *)user = true;
}

static void stop(wr_local *l) {
  bool closed = false;
  wr_local_close(l, on_local_closed, &closed);
  CHECK(!closed);
  RUN_UNTIL(&v, closed);
}

static void set_up(void) {
  memset(&fake, 0, sizeof(fake));
  fake.opener.open = fake_open;
  env_open(&v);
}

static void tear_down(void) {
  run_settle(&v);
  env_close(&v);
}

#define LIT(s) (s), sizeof(s) - 1
#define GREETING "\x05\x01\x00"
#define REQUEST "\x05\x01\x00\x03\x09host.test\x00\x50"
#define GRANTED "\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0"

/* A client with a granted SOCKS connection, and the far end of its channel. */
static void socks_up(const struct sockaddr_storage *addr, end *c, end *far) {
  int i = fake.n;
  end_connect(&v, c, addr);
  end_send(c, LIT(GREETING REQUEST));
  RUN_UNTIL(&v, fake.n > i);
  answer(i, 0, far);
  RUN_UNTIL(&v, c->len >= 12);
  EQ_MEM(c->in, c->len, GRANTED, 12);
}

static end c, far, c2, far2;

static void got(const end *e, const char *want, size_t len) {
  EQ_MEM(e->in, e->len, want, len);
}

TEST(socks5_connects_and_carries_both_ways) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  EQ_INT(addr.ss_family, AF_INET);
  socks_up(&addr, &c, &far);
  const wr_target *t = &fake.opens[0].target;
  EQ_INT(t->kind, WR_TARGET_TCP);
  EQ_STR(t->host, "host.test");
  EQ_INT(t->port, 80);
  EQ_STR(t->origin_host, "127.0.0.1");
  EQ_INT(t->origin_port, 0);
  EQ_INT(wr_local_connections(l), 1);
  end_send(&c, LIT("ping"));
  RUN_UNTIL(&v, far.len == 4);
  EQ_STR(far.in, "ping");
  end_send(&far, LIT("pong"));
  RUN_UNTIL(&v, c.len == 16);
  EQ_STR(c.in + 12, "pong");
  end_shutdown(&c);
  RUN_UNTIL(&v, far.eof);
  CHECK(!c.eof);
  end_send(&far, LIT("more"));
  end_shutdown(&far);
  RUN_UNTIL(&v, c.eof);
  EQ_STR(c.in + 12, "pongmore");
  RUN_UNTIL(&v, wr_local_connections(l) == 0);
  end_close(&c, WR_CLOSE_ORDERLY);
  end_close(&far, WR_CLOSE_ORDERLY);
  stop(l);
}

TEST(what_follows_the_request_at_once_is_not_lost) {
  struct sockaddr_storage addr;
  static char big[60000];
  wr_local *l = start_socks(&addr);
  memset(big, 'x', sizeof(big));
  end_connect(&v, &c, &addr);
  end_send(&c, LIT(GREETING REQUEST "early"));
  end_send(&c, big, sizeof(big));
  end_shutdown(&c);
  RUN_UNTIL(&v, fake.n == 1);
  run_moment(&v, 20);
  answer(0, 0, &far);
  RUN_UNTIL(&v, far.eof);
  EQ_INT(far.len, 5 + sizeof(big));
  EQ_MEM(far.in, 5, "early", 5);
  end_send(&far, LIT("reply"));
  end_shutdown(&far);
  RUN_UNTIL(&v, c.eof);
  got(&c, LIT(GRANTED "reply"));
  end_close(&c, WR_CLOSE_ORDERLY);
  end_close(&far, WR_CLOSE_ORDERLY);
  stop(l);
}

TEST(the_target_may_speak_first) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  end_connect(&v, &c, &addr);
  end_send(&c, LIT(GREETING REQUEST));
  RUN_UNTIL(&v, fake.n == 1);
  answer(0, 0, &far);
  end_send(&far, LIT("SSH-2.0-"));
  RUN_UNTIL(&v, c.len == 20);
  got(&c, LIT(GRANTED "SSH-2.0-"));
  end_close(&c, WR_CLOSE_RESET);
  RUN_UNTIL(&v, far.closed);
  OK(far.status != 0, "a reset is carried over");
  stop(l);
}

static void refused(const struct sockaddr_storage *addr, const char *request,
                    size_t len, int status, const char *want, size_t want_len) {
  int i = fake.n;
  end_connect(&v, &c, addr);
  end_send(&c, request, len);
  RUN_UNTIL(&v, fake.n > i);
  /* Unread bytes would turn our close into a reset that eats the reply. */
  end_send(&c, LIT("GET / HTTP/1.1\r\n\r\n"));
  run_moment(&v, 5);
  answer(i, status, NULL);
  RUN_UNTIL(&v, c.eof || c.closed);
  CHECK(c.eof && !c.closed);
  EQ_MEM(c.in, WR_MIN(c.len, want_len), want, want_len);
  end_send(&c, LIT("still here"));
  run_moment(&v, 5);
  CHECK(!c.closed);
  end_close(&c, WR_CLOSE_ORDERLY);
}

TEST(a_refusal_reaches_the_client_whole) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  refused(&addr, LIT(GREETING REQUEST), WR_ECHANNEL_REFUSED,
          LIT("\x05\x00\x05\x05\x00\x01\0\0\0\0\0\0"));
  refused(&addr, LIT(GREETING REQUEST), WR_ECHANNEL_UNRESOLVED,
          LIT("\x05\x00\x05\x04\x00\x01\0\0\0\0\0\0"));
  refused(&addr, LIT("\x04\x01\x00\x50\x0a\0\0\x01\0"), WR_ECHANNEL_REFUSED,
          LIT("\x00\x5b\0\0\0\0\0\0"));
  refused(&addr, LIT("CONNECT host.test:1 HTTP/1.1\r\n\r\n"),
          WR_ECHANNEL_TIMEOUT, LIT("HTTP/1.1 504 Gateway Timeout\r\n"));
  refused(&addr, LIT("GET http://host.test/ HTTP/1.1\r\n\r\n"),
          WR_ECHANNEL_DENIED, LIT("HTTP/1.1 403 Forbidden\r\n"));
  RUN_UNTIL(&v, wr_local_connections(l) == 0);
  stop(l);
}

TEST(a_refused_client_that_does_not_go_is_closed) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  static char junk[30000];
  uint64_t from = uv_hrtime();
  end_connect(&v, &c, &addr);
  end_send(&c, LIT("\x05\x01\x01"));
  RUN_UNTIL(&v, c.eof);
  got(&c, LIT("\x05\xff"));
  EQ_INT(wr_local_connections(l), 1);
  end_send(&c, junk, sizeof(junk));
  end_send(&c, junk, sizeof(junk));
  run_moment(&v, 20);
  EQ_INT(wr_local_connections(l), 1);
  end_send(&c, junk, sizeof(junk));
  RUN_UNTIL(&v, wr_local_connections(l) == 0);
  OK(uv_hrtime() - from < UINT64_C(1500000000), "before its time is over");
  end_close(&c, WR_CLOSE_RESET);
  /* One that says nothing has a little time. */
  end_connect(&v, &c, &addr);
  end_send(&c, LIT("\x05\x01\x01"));
  RUN_UNTIL(&v, c.eof);
  RUN_UNTIL(&v, wr_local_connections(l) == 0);
  end_close(&c, WR_CLOSE_RESET);
  stop(l);
}

TEST(unknown_protocols_are_closed_without_an_answer) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  end_connect(&v, &c, &addr);
  end_send(&c, LIT("\x16\x03\x01\x02\x00\x01\x00"));
  RUN_UNTIL(&v, c.eof || c.closed);
  EQ_INT(c.len, 0);
  end_close(&c, WR_CLOSE_ORDERLY);
  RUN_UNTIL(&v, wr_local_connections(l) == 0);
  stop(l);
}

TEST(without_a_tunnel_there_is_an_answer_at_once) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  fake.fail_with = WR_ETUNNEL_DOWN;
  end_connect(&v, &c, &addr);
  end_send(&c, LIT("CONNECT host.test:1 HTTP/1.1\r\n\r\n"));
  RUN_UNTIL(&v, c.eof);
  EQ_MEM(c.in, 12, "HTTP/1.1 503", 12);
  end_close(&c, WR_CLOSE_ORDERLY);
  end_connect(&v, &c, &addr);
  end_send(&c, LIT(GREETING REQUEST));
  RUN_UNTIL(&v, c.eof);
  got(&c, LIT("\x05\x00\x05\x01\x00\x01\0\0\0\0\0\0"));
  end_close(&c, WR_CLOSE_ORDERLY);
  stop(l);
}

TEST(a_client_that_leaves_cancels_its_channel) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  wr_local *p = NULL;
  end_connect(&v, &c, &addr);
  end_send(&c, LIT(GREETING REQUEST));
  RUN_UNTIL(&v, fake.n == 1);
  end_close(&c, WR_CLOSE_ORDERLY);
  RUN_UNTIL(&v, fake.opens[0].canceled);
  end_connect(&v, &c, &addr);
  end_send(&c, LIT("CONNECT host.test:1 HTTP/1.1\r\n\r\n"));
  RUN_UNTIL(&v, fake.n == 2);
  end_close(&c, WR_CLOSE_RESET);
  RUN_UNTIL(&v, fake.opens[1].canceled);
  p = start_plain(&addr);
  end_connect(&v, &c, &addr);
  RUN_UNTIL(&v, fake.n == 3);
  end_close(&c, WR_CLOSE_RESET);
  RUN_UNTIL(&v, fake.opens[2].canceled);
  RUN_UNTIL(&v, wr_local_connections(p) == 0);
  stop(l);
  stop(p);
}

TEST(a_plain_forward_opens_and_resets) {
  struct sockaddr_storage addr;
  wr_local *l = start_plain(&addr);
  end_connect(&v, &c, &addr);
  end_send(&c, LIT("hello"));
  RUN_UNTIL(&v, fake.n == 1);
  EQ_STR(fake.opens[0].target.host, "db.test");
  EQ_INT(fake.opens[0].target.port, 5432);
  answer(0, 0, &far);
  RUN_UNTIL(&v, far.len == 5);
  end_close(&far, WR_CLOSE_RESET);
  RUN_UNTIL(&v, c.closed);
  EQ_INT(c.status, UV_ECONNRESET);
  end_connect(&v, &c, &addr);
  RUN_UNTIL(&v, fake.n == 2);
  answer(1, WR_ECHANNEL_REFUSED, NULL);
  RUN_UNTIL(&v, c.closed);
  EQ_INT(c.status, UV_ECONNRESET);
  EQ_INT(c.len, 0);
  stop(l);
}

/* nc -N host port </dev/null: it has nothing to say but wants to hear. */
TEST(an_early_half_close_of_a_plain_forward_is_kept) {
  struct sockaddr_storage addr;
  wr_local *l = start_plain(&addr);
  end_connect(&v, &c, &addr);
  end_shutdown(&c);
  RUN_UNTIL(&v, fake.n == 1);
  run_moment(&v, 20);
  CHECK(!fake.opens[0].canceled);
  answer(0, 0, &far);
  RUN_UNTIL(&v, far.eof);
  end_send(&far, LIT("the time is now"));
  end_shutdown(&far);
  RUN_UNTIL(&v, c.eof);
  EQ_STR(c.in, "the time is now");
  RUN_UNTIL(&v, wr_local_connections(l) == 0);
  end_close(&c, WR_CLOSE_ORDERLY);
  end_close(&far, WR_CLOSE_ORDERLY);
  stop(l);
}

TEST(a_target_that_is_a_socket) {
  struct sockaddr_storage addr;
  wr_local_opts opts = {.target = {.is_unix = true, .host = "/run/x.sock"}};
  wr_local *l = start(&opts, &addr);
  end_connect(&v, &c, &addr);
  RUN_UNTIL(&v, fake.n == 1);
  EQ_INT(fake.opens[0].target.kind, WR_TARGET_UNIX);
  EQ_STR(fake.opens[0].target.host, "/run/x.sock");
  stop(l);
  CHECK(fake.opens[0].canceled);
  end_close(&c, WR_CLOSE_RESET);
}

TEST(forwards_listen_on_both_loopback_addresses) {
  struct sockaddr_storage addr, six;
  wr_ip one = {.family = 6, .bytes = {[15] = 1}};
  wr_local *l = start_plain(&addr);
  wr_ip_to_sockaddr(&one, wr_sockaddr_port((struct sockaddr *)&addr), &six);
  end_connect(&v, &c, &addr);
  CHECK(c.connected);
  end_connect(&v, &c2, &six);
  if (c2.connect_status == UV_EADDRNOTAVAIL) {
    DIAG("no IPv6 here");
  } else {
    CHECK(c2.connected);
    RUN_UNTIL(&v, fake.n == 2);
  }
  stop(l);
  end_close(&c, WR_CLOSE_RESET);
  end_close(&c2, WR_CLOSE_RESET);
}

TEST(a_listening_socket_in_a_file) {
  char path[64];
  struct sockaddr_storage addr;
  struct stat st;
  snprintf(path, sizeof(path), "/tmp/wraith-test-%d.sock", (int)getpid());
  wr_local_opts opts = {.bind_path = path,
                        .target = {.host = "db.test", .port = 1}};
  wr_local *l = start(&opts, &addr);
  EQ_INT(addr.ss_family, AF_UNIX);
  end_connect_path(&v, &c, path);
  RUN_UNTIL(&v, fake.n == 1);
  answer(0, 0, &far);
  end_send(&c, LIT("hi"));
  RUN_UNTIL(&v, far.len == 2);
  stop(l);
  CHECK(stat(path, &st) != 0);
  RUN_UNTIL(&v, (c.closed || c.eof) && far.closed);
  end_close(&c, WR_CLOSE_ORDERLY);
}

TEST(a_port_that_is_taken_is_reported) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  wr_local *second = NULL;
  wr_local_opts opts = {.inbound = true,
                        .bind_host = "127.0.0.1",
                        .bind_port = wr_sockaddr_port((struct sockaddr *)&addr),
                        .user = "u",
                        .password = "p"};
  EQ_INT(wr_local_start(&v.ctx, &fake.opener, &opts, &second), UV_EADDRINUSE);
  CHECK(second == NULL);
  stop(l);
}

TEST(slow_clients_are_dropped_and_hold_up_nobody) {
  struct sockaddr_storage addr;
  wr_local_opts opts = {.inbound = true, .handshake_ms = 60};
  wr_local *l = start(&opts, &addr);
  end_connect(&v, &c2, &addr);
  end_send(&c2, LIT("\x05"));
  socks_up(&addr, &c, &far);
  CHECK(!c2.closed);
  RUN_UNTIL(&v, c2.closed);
  EQ_INT(c2.len, 0);
  run_moment(&v, 80);
  end_send(&c, LIT("x"));
  RUN_UNTIL(&v, far.len == 1);
  stop(l);
  RUN_UNTIL(&v, c.closed && far.closed);
}

/* Bytes that trickle do not prolong the handshake. */
TEST(the_handshake_time_is_for_the_whole_of_it) {
  struct sockaddr_storage addr;
  wr_local_opts opts = {.inbound = true, .handshake_ms = 100};
  wr_local *l = start(&opts, &addr);
  end_connect(&v, &c, &addr);
  uint64_t from = uv_hrtime();
  end_send(&c, LIT("GET http://a/ HTTP/1.1\r\n"));
  while (!c.closed && uv_hrtime() - from < UINT64_C(3000000000)) {
    if (c.link != NULL) {
      size_t taken;
      uv_buf_t buf = {.base = (char *)(uintptr_t) "a", .len = 1};
      (void)!wr_link_write(c.link, &buf, 1, &taken);
    }
    run_moment(&v, 10);
  }
  CHECK(c.closed);
  stop(l);
}

TEST(more_connections_than_allowed_wait) {
  struct sockaddr_storage addr;
  wr_local_opts opts = {.inbound = true, .max_connections = 1};
  wr_local *l = start(&opts, &addr);
  socks_up(&addr, &c, &far);
  end_connect(&v, &c2, &addr);
  end_send(&c2, LIT(GREETING REQUEST));
  run_moment(&v, 30);
  EQ_INT(c2.len, 0);
  EQ_INT(wr_local_connections(l), 1);
  end_close(&c, WR_CLOSE_RESET);
  RUN_UNTIL(&v, fake.n == 2);
  answer(1, 0, &far2);
  RUN_UNTIL(&v, c2.len == 12);
  stop(l);
  RUN_UNTIL(&v, c2.closed && far2.closed && far.closed);
}

TEST(one_http_request_goes_to_one_origin) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  end_connect(&v, &c, &addr);
  end_send(&c, LIT("POST http://host.test/x HTTP/1.1\r\n"
                   "Content-Length: 4\r\n\r\nbo"));
  RUN_UNTIL(&v, fake.n == 1);
  EQ_STR(fake.opens[0].target.host, "host.test");
  EQ_INT(fake.opens[0].target.port, 80);
  answer(0, 0, &far);
  RUN_UNTIL(&v, strstr(far.in, "\r\n\r\nbo") != NULL);
  got(&far, LIT("POST /x HTTP/1.1\r\nHost: host.test\r\nContent-Length: 4\r\n"
                "Connection: close\r\n\r\nbo"));
  EQ_INT(c.len, 0);
  end_send(&c, LIT("dyGET http://other.test/secret HTTP/1.1\r\n\r\n"));
  RUN_UNTIL(&v, far.eof);
  OK(strstr(far.in, "secret") == NULL, "the next request goes nowhere");
  CHECK(strstr(far.in, "\r\n\r\nbody") != NULL);
  end_send(&far, LIT("HTTP/1.1 204 No Content\r\n\r\n"));
  end_shutdown(&far);
  RUN_UNTIL(&v, c.eof);
  EQ_STR(c.in, "HTTP/1.1 204 No Content\r\n\r\n");
  end_close(&c, WR_CLOSE_ORDERLY);
  end_close(&far, WR_CLOSE_ORDERLY);
  stop(l);
}

TEST(a_malformed_chunk_ends_both_sides) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  end_connect(&v, &c, &addr);
  end_send(&c, LIT("POST http://host.test/ HTTP/1.1\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nXX"));
  RUN_UNTIL(&v, fake.n == 1);
  answer(0, 0, &far);
  RUN_UNTIL(&v, c.closed && far.closed);
  OK(far.status != 0, "the origin sees a reset");
  stop(l);
}

/* printf 'GET http://… ' | nc -N */
TEST(an_http_client_may_end_after_its_request) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  end_connect(&v, &c, &addr);
  end_send(&c, LIT("GET http://host.test/ HTTP/1.1\r\n\r\n"));
  end_shutdown(&c);
  RUN_UNTIL(&v, fake.n == 1);
  run_moment(&v, 20);
  CHECK(!fake.opens[0].canceled);
  answer(0, 0, &far);
  RUN_UNTIL(&v, far.eof);
  end_send(&far, LIT("HTTP/1.1 200 OK\r\n\r\npage"));
  end_shutdown(&far);
  RUN_UNTIL(&v, c.eof);
  CHECK(strstr(c.in, "page") != NULL);
  end_close(&c, WR_CLOSE_ORDERLY);
  end_close(&far, WR_CLOSE_ORDERLY);
  stop(l);
}

/* A body of 300 kB in both framings, in pieces, through a slow channel. */
static void big_body(bool chunked) {
  struct sockaddr_storage addr;
  wr_local *l = start_socks(&addr);
  static char piece[10000];
  int i = fake.n;
  memset(piece, 'b', sizeof(piece));
  end_connect(&v, &c, &addr);
  end_send(&c, LIT("POST http://host.test/ HTTP/1.1\r\n"));
  if (chunked) {
    end_send(&c, LIT("Transfer-Encoding: chunked\r\n\r\n"));
  } else {
    end_send(&c, LIT("Content-Length: 60000\r\n\r\n"));
  }
  RUN_UNTIL(&v, fake.n > i);
  answer(i, 0, &far);
  for (int n = 0; n < 6; n++) {
    if (chunked) {
      end_send(&c, LIT("2710\r\n"));
    }
    end_send(&c, piece, sizeof(piece));
    if (chunked) {
      end_send(&c, LIT("\r\n"));
    }
    run_moment(&v, 1);
  }
  if (chunked) {
    end_send(&c, LIT("0\r\n\r\n"));
  }
  end_send(&c, LIT("EXTRA"));
  RUN_UNTIL(&v, far.eof);
  const char *body = strstr(far.in, "\r\n\r\n") + 4;
  EQ_INT(far.len - (size_t)(body - far.in),
         chunked ? 6 * (6 + 10000 + 2) + 5 : 60000);
  end_close(&far, WR_CLOSE_ORDERLY);
  RUN_UNTIL(&v, wr_local_connections(l) == 0);
  end_close(&c, WR_CLOSE_RESET);
  stop(l);
}

TEST(long_bodies_pass_whole) {
  big_body(false);
  big_body(true);
}

TEST(closing_ends_connections_in_every_state) {
  struct sockaddr_storage addr;
  static end ends[6];
  wr_local *l = start_socks(&addr);
  end_connect(&v, &ends[0], &addr); /* nothing said */
  end_connect(&v, &ends[1], &addr); /* greeting */
  end_send(&ends[1], LIT(GREETING));
  RUN_UNTIL(&v, ends[1].len == 2);
  end_connect(&v, &ends[2], &addr); /* opening */
  end_send(&ends[2], LIT(GREETING REQUEST));
  RUN_UNTIL(&v, fake.n == 1);
  socks_up(&addr, &ends[3], &far);  /* spliced */
  end_connect(&v, &ends[4], &addr); /* refused */
  end_send(&ends[4], LIT("\x05\x01\x01"));
  RUN_UNTIL(&v, ends[4].len == 2);
  EQ_INT(wr_local_connections(l), 5);
  stop(l);
  CHECK(fake.opens[0].canceled);
  for (int i = 0; i < 5; i++) {
    RUN_UNTIL(&v, ends[i].closed || ends[i].eof);
    end_close(&ends[i], WR_CLOSE_RESET);
  }
  RUN_UNTIL(&v, far.closed);
}

TEST(a_hundred_clients_at_once) {
  struct sockaddr_storage addr;
  static end ends[100], fars[100];
  wr_local *l = start_socks(&addr);
  for (int i = 0; i < 100; i++) {
    socks_up(&addr, &ends[i], &fars[i]);
  }
  for (int i = 0; i < 100; i++) {
    end_send(&ends[i], &"0123456789"[i % 10], 1);
  }
  for (int i = 0; i < 100; i++) {
    RUN_UNTIL(&v, fars[i].len == 1);
    EQ_INT(fars[i].in[0], '0' + i % 10);
    end_close(&fars[i], WR_CLOSE_ORDERLY);
    RUN_UNTIL(&v, ends[i].eof);
    end_close(&ends[i], WR_CLOSE_ORDERLY);
  }
  RUN_UNTIL(&v, wr_local_connections(l) == 0);
  stop(l);
}

/* Whatever allocation fails: a connection or the whole may fail, nothing is
   lost. */
TEST(failing_memory_leaks_nothing) {
  for (uint64_t n = 1; n < 40; n++) {
    wr_local *l = NULL;
    struct sockaddr_storage addr;
    wr_local_opts opts = {.inbound = true, .user = NULL};
    fake.n = 0;
    v.ctx.mem.fail_at = v.ctx.mem.total + n;
    if (wr_local_start(&v.ctx, &fake.opener, &opts, &l) != 0) {
      continue;
    }
    wr_local_addr(l, &addr);
    memset(&c, 0, sizeof(c));
    memset(&far, 0, sizeof(far));
    wr_stream *s;
    if (wr_stream_new(&v.ctx, AF_INET, &s) == 0) {
      c.link = wr_stream_link(s);
      c.link->handler = &end_handler;
      c.link->user = &c;
      MUST(wr_stream_connect(s, (struct sockaddr *)&addr, end_on_connect) == 0);
      RUN_UNTIL(&v, c.connected || c.closed);
      size_t taken;
      uv_buf_t buf = {.base =
                          (char *)(uintptr_t) "GET http://a/ HTTP/1.1\r\n\r\n",
                      .len = 26};
      if (c.link != NULL && wr_link_write(c.link, &buf, 1, &taken) == 0) {
        RUN_UNTIL(&v, fake.n == 1 || c.closed || c.eof);
      }
      wr_link *near = NULL, *link = NULL;
      if (fake.n == 1 && fake.opens[0].cb != NULL &&
          wr_mempair_new(&v.ctx, 65536, &near, &link) == 0) {
        end_own(&far, link);
        fake.opens[0].cb(fake.opens[0].user, 0, near);
        fake.opens[0].cb = NULL;
        RUN_UNTIL(&v, far.len > 0 || far.closed);
      }
    }
    v.ctx.mem.fail_at = 0;
    stop(l);
    end_close(&c, WR_CLOSE_RESET);
    end_close(&far, WR_CLOSE_RESET);
    run_settle(&v);
  }
}

TAP_MAIN_WITH(set_up, tear_down)
