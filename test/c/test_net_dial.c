/* Dials: order of addresses, failures, filters, time limits, cancel. */
#include "net_help.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>

#include "loop/internal.h"
#include "net/dial.h"

/* What "example.test" resolves to. */
static struct {
  uv_getaddrinfo_t *req;
  uv_getaddrinfo_cb cb;
} lookup;

static int fake_lookup(uv_loop_t *loop, uv_getaddrinfo_t *req,
                       uv_getaddrinfo_cb cb, const char *node,
                       const char *service, const struct addrinfo *hints) {
  WR_UNUSED(loop);
  WR_UNUSED(node);
  WR_UNUSED(service);
  WR_UNUSED(hints);
  lookup.req = req;
  lookup.cb = cb;
  return 0;
}

static int fake_cancel(uv_req_t *req) {
  WR_UNUSED(req);
  return UV_EBUSY;
}

static void fake_free(struct addrinfo *res) {
  WR_UNUSED(res);
}

static void resolves_to(const char *const *texts, size_t n) {
  struct sockaddr_storage ss[8];
  struct addrinfo ai[8];
  memset(ai, 0, sizeof(ai));
  for (size_t i = 0; i < n; i++) {
    wr_ip ip;
    MUST(wr_ip_parse(texts[i], &ip) == 0);
    wr_ip_to_sockaddr(&ip, 0, &ss[i]);
    ai[i].ai_addr = (struct sockaddr *)&ss[i];
    ai[i].ai_next = i + 1 < n ? &ai[i + 1] : NULL;
  }
  uv_getaddrinfo_cb cb = lookup.cb;
  lookup.cb = NULL;
  cb(lookup.req, 0, ai);
}

typedef struct call {
  env e;
  wr_dial d;
  wr_listener *l;
  uint16_t port;
  wr_link *accepted;
  wr_link *link;
  bool done;
  int n_calls;
  int status;
  char asked[16][WR_ADDR_TEXT_MAX]; /* what the filter saw */
  size_t n_asked;
  size_t deny_from; /* the filter's answer from this question on is no */
  bool free_in_cb;
} call;

static void on_accept(wr_listener *l, wr_link *link) {
  call *c = wr_listener_user(l);
  wr_link_close(link, WR_CLOSE_ORDERLY);
  c->accepted = link;
}

static const wr_listener_handler listener = {.on_accept = on_accept};

static void on_dial(wr_dial *d, int status, wr_link *link) {
  call *c = d->user;
  c->n_calls++;
  c->status = status;
  c->link = link;
  c->done = true;
  CHECK((status == 0) == (link != NULL));
  wr_dial_cancel(d);           /* does nothing any more */
  memset(d, 0xa5, sizeof(*d)); /* it is the owner's again */
}

static bool allow(void *data, const struct sockaddr *sa) {
  call *c = data;
  wr_sockaddr_text(sa, c->asked[c->n_asked]);
  return c->n_asked++ < c->deny_from;
}

static void call_open(call *c) {
  memset(c, 0, sizeof(*c));
  env_open(&c->e);
  MUST(wr_listener_tcp(&c->e.ctx, "127.0.0.1", 0, false, &listener, c, &c->l) ==
       0);
  struct sockaddr_storage ss;
  wr_listener_addr(c->l, &ss);
  c->port = wr_sockaddr_port((struct sockaddr *)&ss);
  c->deny_from = 100;
}

static void use_fake_names(call *c) {
  c->e.ctx.resolver->lookup = fake_lookup;
  c->e.ctx.resolver->cancel = fake_cancel;
  c->e.ctx.resolver->free_result = fake_free;
}

static int dial(call *c, const char *name, uint64_t timeout_ms) {
  wr_dial_opts opts = {.host = name,
                       .port = c->port,
                       .timeout_ms = timeout_ms,
                       .allow = allow,
                       .allow_data = c};
  c->done = false;
  memset(&c->d, 0, sizeof(c->d));
  c->d.user = c;
  return wr_dial_start(&c->e.ctx, &c->d, &opts, on_dial);
}

static void call_close(call *c) {
  if (c->link != NULL) {
    wr_link_close(c->link, WR_CLOSE_RESET);
  }
  if (c->l != NULL) {
    wr_listener_close(c->l);
  }
  env_settle(&c->e);
  env_close(&c->e);
}

TEST(connects_to_an_address_and_to_a_name) {
  static const char *const names[] = {"127.0.0.1", "localhost"};
  for (size_t i = 0; i < WR_COUNTOF(names); i++) {
    call c;
    call_open(&c);
    MUST(dial(&c, names[i], 0) == 0);
    EQ_INT(c.n_calls, 0);
    env_until(&c.e, &c.done);
    EQ_INT(c.status, 0);
    EQ_INT(c.n_calls, 1);
    CHECK(c.n_asked >= 2); /* each address before, the winner again */
    call_close(&c);
  }
}

TEST(refused_unresolved_and_malformed) {
  call c;
  call_open(&c);
  wr_listener_close(c.l);
  c.l = NULL;
  MUST(dial(&c, "127.0.0.1", 0) == 0);
  env_until(&c.e, &c.done);
  EQ_INT(c.status, UV_ECONNREFUSED);
  MUST(dial(&c, "no-such.invalid", 0) == 0);
  env_until(&c.e, &c.done);
  EQ_INT(c.status, WR_EUNRESOLVED);
  EQ_INT(dial(&c, "", 0), WR_EINVAL);
  EQ_INT(dial(&c, NULL, 0), WR_EINVAL);
  c.port = 0;
  EQ_INT(dial(&c, "127.0.0.1", 0), WR_EINVAL);
  EQ_INT(c.n_calls, 2);
  call_close(&c);
}

TEST(second_address_after_a_dead_first_one) {
  static const char *const addrs[] = {"::1", "127.0.0.3", "127.0.0.1"};
  call c;
  call_open(&c);
  use_fake_names(&c);
  MUST(dial(&c, "[example.test]", 0) == 0);
  resolves_to(addrs, 3);
  env_until(&c.e, &c.done);
  EQ_INT(c.status, 0);
  call_close(&c);
}

TEST(families_take_turns) {
  static const char *const addrs[] = {"::1", "2001:db8::1", "2001:db8::2",
                                      "127.0.0.1", "127.0.0.2"};
  call c;
  call_open(&c);
  use_fake_names(&c);
  c.deny_from = 0;
  MUST(dial(&c, "example.test", 0) == 0);
  resolves_to(addrs, 5);
  env_until(&c.e, &c.done);
  EQ_INT(c.status, WR_ECHANNEL_DENIED);
  EQ_UINT(c.n_asked, 5);
  char want[WR_ADDR_TEXT_MAX];
  static const int order[] = {0, 3, 1, 4, 2};
  for (size_t i = 0; i < 5; i++) {
    bool v6 = strchr(addrs[order[i]], ':') != NULL;
    snprintf(want, sizeof(want), "%s%s%s:%u", v6 ? "[" : "", addrs[order[i]],
             v6 ? "]" : "", c.port);
    EQ_STR(c.asked[i], want);
  }
  call_close(&c);
}

TEST(first_address_decides_the_error) {
  static const char *const addrs[] = {"127.0.0.9", "255.255.255.255"};
  call c;
  call_open(&c);
  use_fake_names(&c);
  MUST(dial(&c, "example.test", 0) == 0);
  resolves_to(addrs, 2); /* the second one fails sooner, inside the call */
  env_until(&c.e, &c.done);
  EQ_INT(c.status, UV_ECONNREFUSED);
  call_close(&c);
}

TEST(policy_is_asked_again_for_the_winner) {
  call c;
  call_open(&c);
  c.deny_from = 1;
  MUST(dial(&c, "127.0.0.1", 0) == 0);
  env_until(&c.e, &c.done);
  EQ_INT(c.status, WR_ECHANNEL_DENIED);
  EQ_UINT(c.n_asked, 2);
  EQ_STR(c.asked[0], c.asked[1]);
  call_close(&c);
}

/* A socket that listens and has no place left: connecting to it hangs. */
typedef struct hole {
  int fd;
  int fill[16];
} hole;

static bool hole_open(hole *h, const char *address, uint16_t *port) {
  struct sockaddr_in in;
  socklen_t len = sizeof(in);
  uv_ip4_addr(address, *port, &in);
  h->fd = socket(AF_INET, SOCK_STREAM, 0);
  bool ok = bind(h->fd, (struct sockaddr *)&in, sizeof(in)) == 0 &&
            listen(h->fd, 0) == 0 &&
            getsockname(h->fd, (struct sockaddr *)&in, &len) == 0;
  *port = ntohs(in.sin_port);
  for (size_t i = 0; i < WR_COUNTOF(h->fill); i++) {
    h->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ok = ok && (connect(h->fill[i], (struct sockaddr *)&in, sizeof(in)) == 0 ||
                errno == EINPROGRESS);
  }
  return ok;
}

static void hole_close(hole *h) {
  close(h->fd);
  for (size_t i = 0; i < WR_COUNTOF(h->fill); i++) {
    close(h->fill[i]);
  }
}

TEST(time_limit_of_a_connect_that_hangs) {
  call c;
  hole h;
  call_open(&c);
  c.port = 0;
  MUST(hole_open(&h, "127.0.0.1", &c.port));
  uint64_t start = uv_hrtime();
  MUST(dial(&c, "127.0.0.1", 100) == 0);
  env_until(&c.e, &c.done);
  EQ_INT(c.status, WR_ETIMEOUT);
  CHECK(uv_hrtime() - start >= 100000000);
  hole_close(&h);
  call_close(&c);
}

TEST(next_address_while_the_first_hangs) {
  static const char *const addrs[] = {"127.0.0.2", "127.0.0.1"};
  call c;
  hole h;
  call_open(&c);
  if (!hole_open(&h, "127.0.0.2", &c.port)) {
    hole_close(&h);
    call_close(&c);
    SKIP("no second loopback address");
  }
  use_fake_names(&c);
  uint64_t start = uv_hrtime();
  MUST(dial(&c, "example.test", 0) == 0);
  resolves_to(addrs, 2);
  env_until(&c.e, &c.done);
  EQ_INT(c.status, 0);
  CHECK(uv_hrtime() - start >= UINT64_C(1000000) * WR_DIAL_STAGGER_MS);
  hole_close(&h);
  call_close(&c);
}

TEST(time_limit_counts_the_resolver_too) {
  call c;
  call_open(&c);
  use_fake_names(&c);
  MUST(dial(&c, "example.test", 50) == 0);
  env_until(&c.e, &c.done);
  EQ_INT(c.status, WR_ETIMEOUT);
  lookup.cb(lookup.req, UV_EAI_FAIL, NULL);
  EQ_INT(c.n_calls, 1);
  call_close(&c);
}

TEST(cancel_in_every_state) {
  static const char *const addrs[] = {"127.0.0.1", "::1"};
  call c;
  call_open(&c);
  wr_dial_cancel(&c.d); /* never started */
  MUST(dial(&c, "127.0.0.1", 0) == 0);
  wr_dial_cancel(&c.d);
  wr_dial_cancel(&c.d);
  MUST(dial(&c, "localhost", 0) == 0);
  wr_dial_cancel(&c.d); /* a thread is at it */
  while (c.e.ctx.uv_reqs > 0) {
    uv_run(&c.e.loop, UV_RUN_ONCE);
  }
  use_fake_names(&c);
  MUST(dial(&c, "example.test", 0) == 0);
  resolves_to(addrs, 2);
  CHECK(c.d.n_pending > 0);
  wr_dial_cancel(&c.d); /* connecting */
  MUST(dial(&c, "example.test", 0) == 0);
  wr_dial_cancel(&c.d);
  resolves_to(addrs, 2); /* too late */
  for (int i = 0; i < 10; i++) {
    uv_run(&c.e.loop, UV_RUN_NOWAIT);
  }
  EQ_INT(c.n_calls, 0);
  call_close(&c);
}

TEST(unix_path) {
  call c;
  wr_dial_opts opts = {.path = "no-such-directory/socket"};
  call_open(&c);
  c.d.user = &c;
  MUST(wr_dial_start(&c.e.ctx, &c.d, &opts, on_dial) == 0);
  EQ_INT(c.n_calls, 0);
  env_until(&c.e, &c.done);
  EQ_INT(c.status, UV_ENOENT);
  opts.path = "@abstract";
  EQ_INT(wr_dial_start(&c.e.ctx, &c.d, &opts, on_dial), WR_EUNSUPPORTED);
  EQ_INT(c.n_calls, 1);
  call_close(&c);
}

TEST(every_allocation_may_fail) {
  call c;
  call_open(&c);
  for (uint64_t i = 1;; i++) {
    c.e.ctx.mem.fail_at = c.e.ctx.mem.total + i;
    int err = dial(&c, "localhost", 0);
    if (err != 0) {
      EQ_INT(err, WR_ENOMEM);
      continue;
    }
    env_until(&c.e, &c.done);
    if (c.status == 0) {
      break;
    }
    EQ_INT(c.status, WR_ENOMEM);
    CHECK(i < 20);
  }
  c.e.ctx.mem.fail_at = 0;
  call_close(&c);
}

TAP_MAIN()
