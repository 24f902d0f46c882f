#include "app/server_internal.h"

#include <string.h>

#include "net/forwarded.h"
#include "net/proxy_header.h"
#include "net/unread.h"

/* Connections from a trusted load balancer, which says first whom it speaks for.
   Until then nothing is sent. Then the same link goes on to a session: the
   header is all that was taken off it, what follows it is still unread.

   One that begins like SSH or TLS, or like HTTP where that is spoken, is served as
   what it is; a web server in front says in the request whom it speaks for. One
   that says nothing, or nothing that makes sense, is turned away: a balancer that
   was set up without the header must not go unnoticed. */

typedef struct proxied {
  wr_list node;
  wr_server *server;
  wr_listen_kind kind;
  wr_link *link;
  wr_proxy_header header;
  wr_timer timer;
  wr_task task;                   /* hands the link on */
  char address[WR_ADDR_TEXT_MAX]; /* the balancer's */
  bool over;                      /* the link has been told to close */
} proxied;

static bool may_wait(wr_server *s, wr_listen_kind kind, const char *address) {
  return wr__has_visitors(kind)
             ? s->n_visitors < s->opts.max_visitors
             : wr__limits_startups(s, address, wr__transport_of(kind));
}

static void proxied_free(proxied *p) {
  wr_server *s = p->server;
  wr_list_remove(&p->node);
  wr_timer_stop(&p->timer);
  wr_task_cancel(&p->task);
  --*wr__counter_of(s, p->kind);
  wr_free(&s->ctx->mem, p);
}

static void drop(proxied *p, wr_close_mode mode) {
  p->over = true;
  wr_timer_stop(&p->timer);
  wr_task_cancel(&p->task);
  wr_link_close(p->link, mode);
}

static void refuse(proxied *p) {
  wr_server *s = p->server;
  uint64_t *quiet_ms = &s->rejects.quiet_ms[REJECT_PROXY_HEADER];
  wr__reject(s, p->address, wr__transport_of(p->kind), REJECT_PROXY_HEADER,
             wr__reject_is_due(s, quiet_ms));
  drop(p, WR_CLOSE_RESET);
}

/* Only HTTP begins like a header and goes on as something else. */
static bool is_nonsense(const proxied *p) {
  return p->header.state == WR_PROXY_NONE && p->header.len > 0 &&
         !wr__has_visitors(p->kind);
}

static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  proxied *p = link->user;
  size_t taken = 0;
  if (wr_proxy_header_feed(&p->header, data, len, &taken) != 0 ||
      is_nonsense(p)) {
    refuse(p);
    return len;
  }
  if (p->header.state != WR_PROXY_MORE) {
    wr_link_read_stop(link);
    wr_task_post(link->ctx, &p->task);
  }
  return taken;
}

/* A check of the balancer's that just connects is no reason for a record. */
static void on_eof(wr_link *link) {
  proxied *p = link->user;
  if (p->header.len > 0) {
    refuse(p);
  } else {
    drop(p, WR_CLOSE_ORDERLY);
  }
}

static void on_close(wr_link *link, int status) {
  proxied *p = link->user;
  wr_server *s = p->server;
  WR_UNUSED(status);
  proxied_free(p);
  wr__server_gone(s);
}

static const wr_link_handler link_handler = {
    .on_read = on_read, .on_eof = on_eof, .on_close = on_close};

static void on_timer(wr_timer *timer) {
  refuse(wr_container_of(timer, proxied, timer));
}

/* Whom the connection comes from; "" if that has no address. */
static void source_of(const proxied *p, char address[WR_ADDR_TEXT_MAX]) {
  struct sockaddr_storage ss;
  address[0] = '\0';
  if (p->header.state == WR_PROXY_SOURCE) {
    wr_ip_to_sockaddr(&p->header.source, 0, &ss);
    wr_sockaddr_host((const struct sockaddr *)&ss, address);
  } else if (p->header.state != WR_PROXY_UNIX) {
    snprintf(address, WR_ADDR_TEXT_MAX, "%s", p->address);
  }
}

static int begin_session(wr_server *s, wr_link *link, const char *address) {
  uint32_t id;
  if (!wr__limits_address(s, address, "tcp") ||
      !wr__limits_sessions(s, address, "tcp")) {
    return WR_ELIMIT;
  }
  return wr__session_start(s, link, address, "tcp", &id);
}

/* What was taken for a header's first bytes is offered again. */
static int give_back(proxied *p) {
  wr_slice taken = {p->header.head, p->header.len};
  return p->header.state == WR_PROXY_NONE && taken.len > 0
             ? wr_unread_new(p->link, taken, &p->link)
             : 0;
}

/* It has its place among the startups already, and its session takes that. */
static void on_task(wr_task *task) {
  proxied *p = wr_container_of(task, proxied, task);
  wr_server *s = p->server;
  wr_listen_kind kind = p->kind;
  char address[WR_ADDR_TEXT_MAX];
  if (give_back(p) != 0) {
    drop(p, WR_CLOSE_RESET);
    return;
  }
  wr_link *link = p->link;
  source_of(p, address);
  proxied_free(p);
  link->handler = NULL;
  int err = kind == WR_LISTEN_TCP ? begin_session(s, link, address)
                                  : wr__arrive(s, kind, true, link, address);
  if (err != 0) {
    wr_link_close(link, WR_CLOSE_RESET);
  }
}

bool wr__proxy_trusts(const wr_server *s, const wr_link_info *info) {
  wr_ip ip;
  return info->has_peer &&
         wr_ip_from_sockaddr((const struct sockaddr *)&info->peer, &ip) &&
         wr_cidrs_contain(s->trusted, s->opts.n_trust_proxy, &ip);
}

void wr__proxy_forwarded(const wr_server *s, const wr_http_head *h,
                         const uint8_t *text, char address[WR_ADDR_TEXT_MAX]) {
  size_t n = s->opts.n_trust_proxy;
  struct sockaddr_storage ss;
  wr_ip ip;
  if (wr_ip_parse(address, &ip) == 0 && wr_cidrs_contain(s->trusted, n, &ip) &&
      wr_forwarded_for(h, text, s->trusted, n, &ip)) {
    wr_ip_to_sockaddr(&ip, 0, &ss);
    wr_sockaddr_host((const struct sockaddr *)&ss, address);
  }
}

int wr__proxy_wait(wr_server *s, wr_listen_kind kind, wr_link *link,
                   const char *address) {
  if (!may_wait(s, kind, address)) {
    return WR_ELIMIT;
  }
  proxied *p = wr_calloc(&s->ctx->mem, 1, sizeof(*p));
  if (p == NULL) {
    return WR_ENOMEM;
  }
  p->server = s;
  p->kind = kind;
  p->link = link;
  snprintf(p->address, sizeof(p->address), "%s", address);
  wr_proxy_header_init(&p->header);
  wr_timer_init(&p->timer, s->ctx, on_timer);
  wr_task_init(&p->task, on_task);
  wr_list_push(&s->proxied, &p->node);
  ++*wr__counter_of(s, kind);
  link->handler = &link_handler;
  link->user = p;
  wr_timer_start(&p->timer, s->opts.login_grace_ms);
  if (wr_link_read_start(link) != 0) {
    drop(p, WR_CLOSE_RESET);
  }
  return 0;
}

void wr__proxy_stop(wr_server *s) {
  wr_list_each(it, &s->proxied) {
    proxied *p = wr_container_of(it, proxied, node);
    if (!p->over) {
      drop(p, WR_CLOSE_RESET);
    }
  }
}

int wr__proxy_init(wr_server *s) {
  return wr__copy_cidrs(s, s->opts.trust_proxy, s->opts.n_trust_proxy,
                        &s->trusted);
}
