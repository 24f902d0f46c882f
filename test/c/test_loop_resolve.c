/* Name resolution: against a lookup of our own, and the system's. */
#include "net_help.h"

#include <netdb.h>

#include "loop/internal.h"
#include "loop/resolve.h"

/* The lookups that "threads" work at. */
static struct {
  uv_getaddrinfo_t *req[64];
  uv_getaddrinfo_cb cb[64];
  char host[64][256];
  int n;
  int n_cancel;
  int fail;
} pool;

static int fake_lookup(uv_loop_t *loop, uv_getaddrinfo_t *req,
                       uv_getaddrinfo_cb cb, const char *node,
                       const char *service, const struct addrinfo *hints) {
  WR_UNUSED(loop);
  WR_UNUSED(service);
  CHECK(hints->ai_socktype == SOCK_STREAM);
  if (pool.fail != 0) {
    return pool.fail;
  }
  pool.req[pool.n] = req;
  pool.cb[pool.n] = cb;
  snprintf(pool.host[pool.n], sizeof(pool.host[0]), "%s", node);
  pool.n++;
  return 0;
}

static int fake_cancel(uv_req_t *req) {
  WR_UNUSED(req);
  pool.n_cancel++;
  return UV_EBUSY;
}

static void fake_free(struct addrinfo *res) {
  WR_UNUSED(res);
}

/* Ends lookup i with n addresses, some of them twice. */
static void answer(int i, int status, size_t n) {
  struct sockaddr_in in[40];
  struct addrinfo ai[40];
  uv_getaddrinfo_cb cb = pool.cb[i];
  memset(ai, 0, sizeof(ai));
  for (size_t k = 0; k < n; k++) {
    char text[32];
    snprintf(text, sizeof(text), "10.0.0.%zu", k / 2 + 1);
    uv_ip4_addr(text, 7, &in[k]);
    ai[k].ai_addr = (struct sockaddr *)&in[k];
    ai[k].ai_next = k + 1 < n ? &ai[k + 1] : NULL;
  }
  pool.cb[i] = NULL;
  cb(pool.req[i], status, n > 0 ? ai : NULL);
}

static void env_open_fake(env *e) {
  env_open(e);
  memset(&pool, 0, sizeof(pool));
  wr_ctx_fake_clock(&e->ctx);
  e->ctx.resolver->lookup = fake_lookup;
  e->ctx.resolver->cancel = fake_cancel;
  e->ctx.resolver->free_result = fake_free;
}

typedef struct query {
  wr_resolve r;
  int n_calls;
  int status;
  size_t n;
  struct sockaddr_storage first;
  bool done;
  wr_resolve *cancel; /* another one, from inside the callback */
} query;

static void on_query(wr_resolve *r, int status,
                     const struct sockaddr_storage *addrs, size_t n) {
  query *q = wr_container_of(r, query, r);
  q->n_calls++;
  q->status = status;
  q->n = n;
  q->done = true;
  if (n > 0) {
    q->first = addrs[0];
  }
  if (q->cancel != NULL) {
    wr_resolve_cancel(q->cancel);
  }
}

static int ask(env *e, query *q, int owner, const char *host) {
  memset(q, 0, sizeof(*q));
  return wr_resolve_start(&e->ctx, &q->r, (void *)(uintptr_t)(owner + 1), host,
                          on_query);
}

TEST(at_most_two_lookups_and_results_without_doubles) {
  env e;
  query q[4];
  env_open_fake(&e);
  for (int i = 0; i < 4; i++) {
    EQ_INT(ask(&e, &q[i], 0, "name.test"), 0);
  }
  EQ_INT(pool.n, 2);
  answer(0, 0, 6);
  EQ_INT(pool.n, 3);
  EQ_INT(q[0].status, 0);
  EQ_UINT(q[0].n, 3);
  EQ_INT(q[0].first.ss_family, AF_INET);
  EQ_INT(((struct sockaddr_in *)&q[0].first)->sin_port, htons(7));
  answer(1, UV_EAI_NONAME, 0);
  EQ_INT(q[1].status, WR_EUNRESOLVED);
  answer(2, 0, 40);
  EQ_UINT(q[2].n, WR_RESOLVE_MAX_ADDRS);
  answer(3, 0, 0);
  EQ_INT(q[3].status, WR_EUNRESOLVED);
  for (int i = 0; i < 4; i++) {
    EQ_INT(q[i].n_calls, 1);
  }
  env_close(&e);
}

TEST(owners_take_turns) {
  env e;
  query q[12];
  const char *names[] = {"a0", "a1", "a2", "a3", "a4", "a5",
                         "b0", "b1", "b2", "c0", "c1", "c2"};
  const char *want[] = {"a0", "a1", "b0", "c0", "a2", "b1",
                        "c1", "a3", "b2", "c2", "a4", "a5"};
  env_open_fake(&e);
  for (int i = 0; i < 12; i++) {
    EQ_INT(ask(&e, &q[i], names[i][0], names[i]), 0);
  }
  for (int i = 0; i < 12; i++) {
    EQ_STR(pool.host[i], want[i]);
    answer(i, 0, 1);
  }
  env_close(&e);
}

TEST(queue_and_share_of_one_owner_are_bounded) {
  static query q[WR_RESOLVE_MAX_QUEUED + 16];
  env e;
  int n = 0;
  int refused = 0;
  env_open_fake(&e);
  for (int i = 0; i < WR_RESOLVE_MAX_PER_OWNER + 10; i++) {
    refused += ask(&e, &q[n], 0, "greedy.test") == WR_EBUSY ? 1 : (n++, 0);
  }
  EQ_INT(n, WR_RESOLVE_MAX_PER_OWNER + WR_RESOLVE_MAX_ACTIVE);
  EQ_INT(refused, 10 - WR_RESOLVE_MAX_ACTIVE);
  for (int i = 0; n < WR_RESOLVE_MAX_QUEUED + WR_RESOLVE_MAX_ACTIVE; i++, n++) {
    MUST(ask(&e, &q[n], 1 + i % 8, "others.test") == 0);
  }
  EQ_INT(ask(&e, &q[n], 99, "full.test"), WR_EBUSY);
  for (int i = 0; i < n; i++) {
    wr_resolve_cancel(&q[i].r);
    EQ_INT(q[i].n_calls, 0);
  }
  EQ_INT(pool.n_cancel, 2);
  /* The threads are still at it; only then is the memory gone. */
  EQ_INT(pool.n, 2);
  answer(0, UV_ECANCELED, 0);
  answer(1, 0, 2);
  env_close(&e);
}

TEST(time_limit_counts_the_wait_too) {
  env e;
  query q[3];
  env_open_fake(&e);
  for (int i = 0; i < 3; i++) {
    EQ_INT(ask(&e, &q[i], i, "slow.test"), 0);
  }
  q[0].cancel = &q[1].r;
  wr_ctx_advance(&e.ctx, WR_RESOLVE_TIMEOUT_MS - 1);
  EQ_INT(q[0].n_calls + q[1].n_calls + q[2].n_calls, 0);
  wr_ctx_advance(&e.ctx, 1);
  EQ_INT(q[0].status, WR_ETIMEOUT);
  EQ_INT(q[1].n_calls, 0);
  EQ_INT(q[2].status, WR_ETIMEOUT);
  /* The threads' places stay taken until they are done. */
  EQ_INT(ask(&e, &q[0], 0, "next.test"), 0);
  EQ_INT(pool.n, 2);
  answer(0, 0, 1);
  EQ_INT(pool.n, 3);
  answer(1, 0, 1);
  answer(2, 0, 1);
  EQ_INT(q[0].status, 0);
  env_close(&e);
}

TEST(cancel_in_every_state) {
  env e;
  query q[4];
  env_open_fake(&e);
  memset(q, 0, sizeof(q));
  wr_resolve_cancel(&q[0].r); /* never started */
  EQ_INT(ask(&e, &q[0], 0, "a.test"), 0);
  EQ_INT(ask(&e, &q[1], 0, "b.test"), 0);
  EQ_INT(ask(&e, &q[2], 0, "c.test"), 0);
  EQ_INT(ask(&e, &q[3], 0, "127.0.0.1"), 0);
  wr_resolve_cancel(&q[2].r);
  wr_resolve_cancel(&q[2].r);
  wr_resolve_cancel(&q[3].r);
  wr_resolve_cancel(&q[0].r);
  answer(0, 0, 1);
  answer(1, 0, 1);
  wr_resolve_cancel(&q[1].r); /* done already */
  wr_ctx_run_tasks(&e.ctx);
  EQ_INT(pool.n, 2);
  EQ_INT(q[0].n_calls + q[2].n_calls + q[3].n_calls, 0);
  EQ_INT(q[1].n_calls, 1);
  env_close(&e);
}

TEST(addresses_in_text_need_no_thread) {
  env e;
  query q[2];
  env_open_fake(&e);
  EQ_INT(ask(&e, &q[0], 0, "192.0.2.7"), 0);
  EQ_INT(ask(&e, &q[1], 0, "2001:db8::7"), 0);
  EQ_INT(q[0].n_calls, 0);
  wr_ctx_run_tasks(&e.ctx);
  EQ_INT(pool.n, 0);
  EQ_INT(q[0].status, 0);
  EQ_INT(q[0].first.ss_family, AF_INET);
  EQ_INT(q[1].first.ss_family, AF_INET6);
  EQ_INT(q[1].n_calls, 1);
  env_close(&e);
}

TEST(bad_names_and_failing_starts) {
  env e;
  query q;
  char longest[258];
  env_open_fake(&e);
  memset(longest, 'a', sizeof(longest));
  longest[256] = '\0';
  EQ_INT(ask(&e, &q, 0, longest), WR_EINVAL);
  EQ_INT(ask(&e, &q, 0, ""), WR_EINVAL);
  longest[255] = '\0';
  pool.fail = UV_EINVAL;
  EQ_INT(ask(&e, &q, 0, longest), 0);
  wr_ctx_run_tasks(&e.ctx);
  EQ_INT(q.status, WR_EUNRESOLVED);
  e.ctx.mem.fail_at = e.ctx.mem.total + 1;
  EQ_INT(ask(&e, &q, 0, "name.test"), WR_ENOMEM);
  env_close(&e);
}

TEST(system_resolver) {
  env e;
  query good;
  query bad;
  env_open(&e);
  EQ_INT(ask(&e, &good, 0, "localhost"), 0);
  EQ_INT(ask(&e, &bad, 0, "no-such.invalid"), 0);
  env_until(&e, &good.done);
  env_until(&e, &bad.done);
  EQ_INT(good.status, 0);
  EQ_INT(bad.status, WR_EUNRESOLVED);
  env_settle(&e);
  env_close(&e);
}

TEST(teardown_waits_for_lookups_under_way) {
  env e;
  query q[6];
  env_open(&e);
  for (int i = 0; i < 6; i++) {
    EQ_INT(ask(&e, &q[i], i, "no-such.invalid"), 0);
  }
  wr_ctx_close(&e.ctx, env_on_closed);
  uv_run(&e.loop, UV_RUN_DEFAULT);
  CHECK(e.closed);
  for (int i = 0; i < 6; i++) {
    EQ_INT(q[i].n_calls, 1);
    EQ_INT(q[i].status, WR_ECANCELED);
  }
  EQ_UINT(e.ctx.mem.live_blocks, 0);
  EQ_INT(uv_loop_close(&e.loop), 0);
}

TAP_MAIN()
