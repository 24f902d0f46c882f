/* A TCP relay that keeps every byte for half a round trip in each direction,
   without a limit on what it keeps: a long way, not a narrow one. Built by
   bench/tools.js.

     delay <round trip in ms> <port>     prints its own port */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK ((size_t)256 * 1024)
#define POOL_MAX 512

/* Bytes that came at one time, or close to it. */
typedef struct piece {
  struct piece *next;
  uint64_t due_ns;
  size_t at;
  size_t len; /* 0: the direction has ended */
  bool end;
  char data[CHUNK];
} piece;

typedef struct way {
  piece *first;
  piece *last;
  bool blocked; /* the socket that it leads to takes no more */
} way;

typedef struct relay relay;

typedef struct side {
  relay *r;
  int fd;
  way in; /* what came from this side */
  struct side *other;
  bool ended;
} side;

struct relay {
  relay *next;
  side a;
  side b;
  bool dead;
};

static relay *relays;
static piece *pool;
static unsigned pooled;
static int ep;
static uint64_t half_ns;
static int target;

static void die(const char *what) {
  fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static piece *take_piece(void) {
  piece *p = pool;
  if (p != NULL) {
    pool = p->next;
    pooled--;
  } else {
    p = malloc(sizeof(*p));
    if (p == NULL) {
      die("malloc");
    }
  }
  p->next = NULL;
  p->at = 0;
  p->len = 0;
  p->end = false;
  return p;
}

static void give_piece(piece *p) {
  if (pooled >= POOL_MAX) {
    free(p);
    return;
  }
  p->next = pool;
  pool = p;
  pooled++;
}

static void watch(side *s) {
  struct epoll_event ev = {.data.ptr = s};
  ev.events = (s->ended ? 0u : (uint32_t)EPOLLIN) |
              (s->other->in.blocked ? (uint32_t)EPOLLOUT : 0u);
  epoll_ctl(ep, EPOLL_CTL_MOD, s->fd, &ev);
}

/* Goes into the last piece if that is young enough, else into a new one. */
static void on_input(side *s) {
  uint64_t now = now_ns();
  way *w = &s->in;
  piece *p = w->last;
  bool fresh = p == NULL || p->end || CHUNK - p->len < CHUNK / 4 ||
               p->due_ns + 200000 < now + half_ns;
  if (fresh) {
    p = take_piece();
    p->due_ns = now + half_ns;
  }
  ssize_t n = recv(s->fd, p->data + p->len, CHUNK - p->len, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    if (fresh) {
      give_piece(p);
    }
    return;
  }
  if (n <= 0) {
    s->ended = true;
    s->r->dead = s->r->dead || n < 0;
    if (!fresh) {
      p = take_piece();
      p->due_ns = now + half_ns;
      fresh = true;
    }
    p->end = true;
    watch(s);
  } else {
    p->len += (size_t)n;
  }
  if (fresh && w->last != NULL) {
    w->last->next = p;
  } else if (fresh) {
    w->first = p;
  }
  w->last = p;
}

static void on_output(side *from, uint64_t now) {
  way *w = &from->in;
  side *to = from->other;
  while (w->first != NULL && w->first->due_ns <= now && !from->r->dead) {
    piece *p = w->first;
    while (p->at < p->len) {
      ssize_t n = send(to->fd, p->data + p->at, p->len - p->at,
                       MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) {
        if (!w->blocked) {
          w->blocked = true;
          watch(to);
        }
        return;
      }
      if (n < 0) {
        from->r->dead = true;
        return;
      }
      p->at += (size_t)n;
    }
    if (p->end) {
      shutdown(to->fd, SHUT_WR);
    }
    w->first = p->next;
    if (w->first == NULL) {
      w->last = NULL;
    }
    give_piece(p);
  }
  if (w->blocked) {
    w->blocked = false;
    watch(to);
  }
}

static void drop_way(way *w) {
  while (w->first != NULL) {
    piece *p = w->first;
    w->first = p->next;
    give_piece(p);
  }
}

/* Sends what is due; returns when the next is, or 0. */
static uint64_t sweep(uint64_t now) {
  uint64_t next = 0;
  for (relay **at = &relays; *at != NULL;) {
    relay *r = *at;
    side *sides[2] = {&r->a, &r->b};
    for (int i = 0; i < 2; i++) {
      on_output(sides[i], now);
    }
    bool over = r->a.ended && r->b.ended && r->a.in.first == NULL &&
                r->b.in.first == NULL;
    if (r->dead || over) {
      *at = r->next;
      close(r->a.fd);
      close(r->b.fd);
      drop_way(&r->a.in);
      drop_way(&r->b.in);
      free(r);
      continue;
    }
    for (int i = 0; i < 2; i++) {
      const way *w = &sides[i]->in;
      if (w->first != NULL && !w->blocked &&
          (next == 0 || w->first->due_ns < next)) {
        next = w->first->due_ns;
      }
    }
    at = &r->next;
  }
  return next;
}

static void add_side(relay *r, side *s, side *other, int fd) {
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};
  int on = 1;
  s->r = r;
  s->fd = fd;
  s->other = other;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) != 0) {
    die("epoll_ctl");
  }
}

static void on_connection(int listener) {
  struct sockaddr_in sa = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                           .sin_port = htons((uint16_t)target)};
  int a = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  int b = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  relay *r = calloc(1, sizeof(*r));
  if (r == NULL || b < 0) {
    die("connection");
  }
  if (a < 0 || connect(b, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
    close(a);
    close(b);
    free(r);
    return;
  }
  add_side(r, &r->a, &r->b, a);
  add_side(r, &r->b, &r->a, b);
  r->next = relays;
  relays = r;
}

static int listen_any(void) {
  struct sockaddr_in sa = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(sa);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
      listen(fd, 128) != 0 ||
      getsockname(fd, (struct sockaddr *)&sa, &len) != 0) {
    die("listen");
  }
  printf("%d\n", ntohs(sa.sin_port));
  fflush(stdout);
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "delay: see the head of bench/delay.c\n");
    return 2;
  }
  half_ns = (uint64_t)(atof(argv[1]) * 1e6 / 2);
  target = atoi(argv[2]);
  signal(SIGPIPE, SIG_IGN);
  ep = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_any();
  /* The two that are no side of a connection are known by these addresses. */
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &listener};
  struct epoll_event in = {.events = EPOLLIN, .data.ptr = &ep};
  if (epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) != 0 ||
      epoll_ctl(ep, EPOLL_CTL_ADD, 0, &in) != 0) {
    die("epoll_ctl");
  }
  for (;;) {
    struct epoll_event events[64];
    uint64_t now = now_ns();
    uint64_t due = sweep(now);
    uint64_t wait = due > now ? due - now : 0;
    struct timespec ts = {.tv_sec = (time_t)(wait / 1000000000u),
                          .tv_nsec = (long)(wait % 1000000000u)};
    int n = epoll_pwait2(ep, events, 64, due == 0 ? NULL : &ts, NULL);
    for (int i = 0; i < n; i++) {
      char c;
      if (events[i].data.ptr == &listener) {
        on_connection(listener);
      } else if (events[i].data.ptr == &ep) {
        if (read(0, &c, 1) <= 0) {
          return 0; /* whoever started us has ended */
        }
      } else {
        side *s = events[i].data.ptr;
        if ((events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 &&
            !s->ended) {
          on_input(s);
        } else if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0) {
          s->r->dead = s->other->ended || s->r->dead;
        }
      }
    }
  }
}
