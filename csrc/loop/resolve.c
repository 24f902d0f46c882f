#include "loop/resolve.h"

#include <string.h>

#include "base/errors.h"
#include "loop/internal.h"

#define HOST_MAX 255

static wr_resolve_job *job_of(wr_list *node) {
  return wr_container_of(node, wr_resolve_job, node);
}

wr_resolver *wr__resolver_new(wr_mem *mem) {
  wr_resolver *resolver = wr_calloc(mem, 1, sizeof(*resolver));
  if (resolver == NULL) {
    return NULL;
  }
  wr_list_init(&resolver->queued);
  wr_list_init(&resolver->active);
  resolver->lookup = uv_getaddrinfo;
  resolver->cancel = uv_cancel;
  resolver->free_result = uv_freeaddrinfo;
  return resolver;
}

/* Ends a request; the callback may start it anew or free it. */
static void finish(wr_resolve *r, int status,
                   const struct sockaddr_storage *addrs, size_t n) {
  wr_resolve_cb cb = r->cb;
  if (r->job != NULL) {
    r->job->r = NULL;
    r->job = NULL;
  }
  r->cb = NULL;
  wr_timer_stop(&r->timer);
  wr_task_cancel(&r->task);
  cb(r, status, addrs, n);
}

static void finish_later(wr_resolve *r, int status) {
  r->status = status;
  wr_task_post(r->ctx, &r->task);
}

static void on_task(wr_task *task) {
  wr_resolve *r = wr_container_of(task, wr_resolve, task);
  if (r->status == 0) {
    struct sockaddr_storage addr = r->addr;
    finish(r, 0, &addr, 1);
    return;
  }
  finish(r, r->status, NULL, 0);
}

/* Takes a job that no thread has yet out of the queue. */
static void drop_queued(wr_resolve_job *job) {
  wr_ctx *ctx = job->ctx;
  wr_list_remove(&job->node);
  ctx->resolver->n_queued--;
  wr_free(&ctx->mem, job);
}

/* Parts a request and its job: one that waits goes at once, one that runs is
   left to its thread, unless libuv has not begun it either. */
static void abandon(wr_resolve *r) {
  wr_resolve_job *job = r->job;
  if (job == NULL) {
    return;
  }
  r->job = NULL;
  job->r = NULL;
  if (job->round == 0) {
    job->ctx->resolver->cancel((uv_req_t *)&job->req);
    return;
  }
  drop_queued(job);
}

static bool same_address(const struct sockaddr_storage *a,
                         const struct sockaddr *sa) {
  if (a->ss_family != sa->sa_family) {
    return false;
  }
  if (sa->sa_family == AF_INET) {
    const struct sockaddr_in *x = (const void *)a;
    const struct sockaddr_in *y = (const void *)sa;
    return x->sin_addr.s_addr == y->sin_addr.s_addr;
  }
  const struct sockaddr_in6 *x = (const void *)a;
  const struct sockaddr_in6 *y = (const void *)sa;
  return x->sin6_scope_id == y->sin6_scope_id &&
         memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0;
}

static void add_address(struct sockaddr_storage *addrs, size_t *n,
                        const struct sockaddr *sa) {
  size_t len = sa->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                        : sizeof(struct sockaddr_in6);
  for (size_t i = 0; i < *n; i++) {
    if (same_address(&addrs[i], sa)) {
      return;
    }
  }
  memset(&addrs[*n], 0, sizeof(addrs[*n]));
  memcpy(&addrs[*n], sa, len);
  (*n)++;
}

static size_t collect(const struct addrinfo *res,
                      struct sockaddr_storage *addrs) {
  size_t n = 0;
  for (; res != NULL && n < WR_RESOLVE_MAX_ADDRS; res = res->ai_next) {
    if (res->ai_addr != NULL && (res->ai_addr->sa_family == AF_INET ||
                                 res->ai_addr->sa_family == AF_INET6)) {
      add_address(addrs, &n, res->ai_addr);
    }
  }
  return n;
}

static void start_jobs(wr_ctx *ctx);

static void on_uv_getaddrinfo(uv_getaddrinfo_t *req, int status,
                              struct addrinfo *res) {
  struct sockaddr_storage addrs[WR_RESOLVE_MAX_ADDRS];
  wr_resolve_job *job = wr_container_of(req, wr_resolve_job, req);
  wr_ctx *ctx = job->ctx;
  wr_resolve *r = job->r;
  size_t n = status == 0 && !ctx->exiting ? collect(res, addrs) : 0;
  if (res != NULL) {
    ctx->resolver->free_result(res);
  }
  wr_ctx_req_done(ctx);
  wr_list_remove(&job->node);
  ctx->resolver->n_active--;
  if (r != NULL) {
    r->job = NULL;
  }
  wr_free(&ctx->mem, job);
  start_jobs(ctx);
  if (r != NULL) {
    int err = ctx->exiting ? WR_ECANCELED : WR_EUNRESOLVED;
    finish(r, n > 0 ? 0 : err, addrs, n);
  }
}

static void start_job(wr_ctx *ctx, wr_resolve_job *job) {
  /* Not AI_ADDRCONFIG: it hides the addresses of machines that have the
     loopback interface only. Families without a route fail fast in a dial. */
  const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                 .ai_socktype = SOCK_STREAM};
  wr_resolver *resolver = ctx->resolver;
  wr_list_remove(&job->node);
  resolver->n_queued--;
  resolver->round = job->round;
  job->round = 0; /* marks it as one that has left the queue */
  int err = resolver->lookup(ctx->loop, &job->req, on_uv_getaddrinfo, job->host,
                             NULL, &hints);
  if (err == 0) {
    wr_ctx_req_started(ctx);
    wr_list_push(&resolver->active, &job->node);
    resolver->n_active++;
    return;
  }
  job->r->job = NULL;
  finish_later(job->r, WR_EUNRESOLVED);
  wr_free(&ctx->mem, job);
}

static void start_jobs(wr_ctx *ctx) {
  wr_resolver *resolver = ctx->resolver;
  while (resolver->n_active < WR_RESOLVE_MAX_ACTIVE &&
         !wr_list_empty(&resolver->queued) && !ctx->exiting) {
    start_job(ctx, job_of(resolver->queued.next));
  }
}

/* Every owner has one place in each round. A new job gets the round after its
   owner's last waiting one, but none that is over. What already runs counts as
   the current round. Returns how many of the owner's jobs wait. */
static size_t find_round(const wr_resolver *resolver, wr_resolve_job *job) {
  size_t n = 0;
  job->round = WR_MAX(resolver->round, 1);
  wr_list_each(it, &resolver->active) {
    if (job_of(it)->owner == job->owner) {
      job->round = resolver->round + 1;
    }
  }
  wr_list_each(it, &resolver->queued) {
    const wr_resolve_job *other = job_of(it);
    if (other->owner == job->owner) {
      job->round = WR_MAX(job->round, other->round + 1);
      n++;
    }
  }
  return n;
}

static void enqueue(wr_resolver *resolver, wr_resolve_job *job) {
  wr_list *at = resolver->queued.prev;
  while (at != &resolver->queued && job_of(at)->round > job->round) {
    at = at->prev;
  }
  wr_list_insert_after(at, &job->node);
  resolver->n_queued++;
}

static void on_timeout(wr_timer *timer) {
  wr_resolve *r = wr_container_of(timer, wr_resolve, timer);
  abandon(r);
  finish(r, WR_ETIMEOUT, NULL, 0);
}

static bool is_numeric(const char *host, struct sockaddr_storage *addr) {
  memset(addr, 0, sizeof(*addr));
  return uv_ip4_addr(host, 0, (struct sockaddr_in *)addr) == 0 ||
         uv_ip6_addr(host, 0, (struct sockaddr_in6 *)addr) == 0;
}

static int start_lookup(wr_ctx *ctx, wr_resolve *r, const void *owner,
                        const char *host, size_t len) {
  wr_resolver *resolver = ctx->resolver;
  if (resolver->n_queued >= WR_RESOLVE_MAX_QUEUED) {
    return WR_EBUSY;
  }
  wr_resolve_job *job = wr_calloc(&ctx->mem, 1, sizeof(*job) + len + 1);
  if (job == NULL) {
    return WR_ENOMEM;
  }
  wr_list_init(&job->node);
  job->ctx = ctx;
  job->owner = owner;
  memcpy(job->host, host, len);
  if (find_round(resolver, job) >= WR_RESOLVE_MAX_PER_OWNER) {
    wr_free(&ctx->mem, job);
    return WR_EBUSY;
  }
  job->r = r;
  r->job = job;
  enqueue(resolver, job);
  wr_timer_start(&r->timer, WR_RESOLVE_TIMEOUT_MS);
  start_jobs(ctx);
  return 0;
}

int wr_resolve_start(wr_ctx *ctx, wr_resolve *r, const void *owner,
                     const char *host, wr_resolve_cb cb) {
  size_t len = strnlen(host, HOST_MAX + 1);
  if (len == 0 || len > HOST_MAX || ctx->exiting) {
    return WR_EINVAL;
  }
  *r = (wr_resolve){.ctx = ctx};
  wr_timer_init(&r->timer, ctx, on_timeout);
  wr_task_init(&r->task, on_task);
  if (is_numeric(host, &r->addr)) {
    finish_later(r, 0);
  } else {
    int err = start_lookup(ctx, r, owner, host, len);
    if (err != 0) {
      return err;
    }
  }
  r->cb = cb;
  return 0;
}

void wr_resolve_cancel(wr_resolve *r) {
  if (r->cb == NULL) {
    return;
  }
  abandon(r);
  r->cb = NULL;
  wr_timer_stop(&r->timer);
  wr_task_cancel(&r->task);
}

void wr__resolver_shutdown(wr_ctx *ctx) {
  wr_resolver *resolver = ctx->resolver;
  wr_list_each(it, &resolver->active) {
    resolver->cancel((uv_req_t *)&job_of(it)->req);
  }
  while (!wr_list_empty(&resolver->queued)) {
    wr_resolve_job *job = job_of(resolver->queued.next);
    job->r->job = NULL;
    finish_later(job->r, WR_ECANCELED);
    drop_queued(job);
  }
}
