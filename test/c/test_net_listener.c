/* Listeners: addresses, files, running out of descriptors. */
#include "net_help.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

typedef struct host {
  env e;
  wr_listener *l;
  int n_accept;
  bool accepted;
  bool closed;
  bool close_in_accept;
  char dir[256];
  char path[300];
} host;

static void on_accept(wr_listener *l, wr_link *link) {
  host *h = wr_listener_user(l);
  wr_link_info info;
  h->n_accept++;
  h->accepted = true;
  wr_link_query(link, &info);
  if (h->path[0] == '\0') {
    CHECK(info.has_peer);
    EQ_STR(info.transport, "tcp");
  } else {
    EQ_STR(info.transport, "unix");
  }
  wr_link_close(link, WR_CLOSE_ORDERLY);
  if (h->close_in_accept) {
    wr_listener_close(l);
  }
}

static void on_close(wr_listener *l) {
  host *h = wr_listener_user(l);
  h->closed = true;
}

static const wr_listener_handler handler = {.on_accept = on_accept,
                                            .on_close = on_close};

static void host_open(host *h) {
  memset(h, 0, sizeof(*h));
  env_open(&h->e);
}

static int listen_on(host *h, const char *name, uint16_t port, bool dual) {
  h->closed = false;
  return wr_listener_tcp(&h->e.ctx, name, port, dual, &handler, h, &h->l);
}

static void close_listener(host *h) {
  wr_listener_close(h->l);
  wr_listener_close(h->l);
  CHECK(!h->closed);
  env_until(&h->e, &h->closed);
}

static void host_close(host *h) {
  env_settle(&h->e);
  env_close(&h->e);
}

/* A non-blocking connect; returns the descriptor. */
static int connect_to(const struct sockaddr *sa, socklen_t len) {
  int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  MUST(fd >= 0);
  CHECK(connect(fd, sa, len) == 0 || errno == EINPROGRESS);
  return fd;
}

static int connect_port(uint16_t port) {
  struct sockaddr_in in;
  uv_ip4_addr("127.0.0.1", port, &in);
  return connect_to((struct sockaddr *)&in, sizeof(in));
}

static uint16_t port_of(const host *h) {
  struct sockaddr_storage ss;
  wr_listener_addr(h->l, &ss);
  return wr_sockaddr_port((struct sockaddr *)&ss);
}

static const char *bound_to(const host *h) {
  static char text[WR_ADDR_TEXT_MAX];
  struct sockaddr_storage ss;
  wr_listener_addr(h->l, &ss);
  wr_sockaddr_host((struct sockaddr *)&ss, text);
  return text;
}

static bool have_ipv6(void) {
  struct sockaddr_in6 in6;
  int fd = socket(AF_INET6, SOCK_STREAM, 0);
  uv_ip6_addr("::1", 0, &in6);
  bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;
  close(fd);
  return ok;
}

TEST(addresses_to_listen_on) {
  static const char *const cases[][2] = {
      {"127.0.0.1", "127.0.0.1"},
      {"localhost", "127.0.0.1"},
      {"LOCALHOST", "127.0.0.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"::1", "::1"},
      {"[::1]", "::1"},
      {"::", "::"},
      {"", "::"},
      {"*", "::"},
  };
  host h;
  bool v6 = have_ipv6();
  host_open(&h);
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    if (strchr(cases[i][1], ':') != NULL && !v6) {
      continue;
    }
    if (OK(listen_on(&h, cases[i][0], 0, false) == 0, "\"%s\" listens",
           cases[i][0])) {
      EQ_STR(bound_to(&h), cases[i][1]);
      close_listener(&h);
    }
  }
  EQ_INT(listen_on(&h, "name.test", 0, false), WR_EINVAL);
  EQ_INT(listen_on(&h, "127.0.0.1 ", 0, false), WR_EINVAL);
  EQ_INT(listen_on(&h, "[::1", 0, false), WR_EINVAL);
  EQ_INT(listen_on(&h, "192.0.2.1", 0, false), UV_EADDRNOTAVAIL);
  h.e.ctx.mem.fail_at = h.e.ctx.mem.total + 1;
  EQ_INT(listen_on(&h, "127.0.0.1", 0, false), WR_ENOMEM);
  host_close(&h);
}

/* A socket as a parent may hand it down. */
static int bound_socket(int family, int type) {
  struct sockaddr_storage ss;
  memset(&ss, 0, sizeof(ss));
  if (family == AF_INET) {
    uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)(void *)&ss);
  } else {
    uv_ip6_addr("::1", 0, (struct sockaddr_in6 *)(void *)&ss);
  }
  int fd = socket(family, type, 0);
  MUST(fd >= 0);
  MUST(bind(fd, (struct sockaddr *)&ss,
            family == AF_INET ? sizeof(struct sockaddr_in)
                              : sizeof(struct sockaddr_in6)) == 0);
  return fd;
}

static void adopted(int family, const char *address) {
  host h;
  host_open(&h);
  int fd = bound_socket(family, SOCK_STREAM);
  MUST(listen(fd, 5) == 0);
  MUST(wr_listener_fd(&h.e.ctx, fd, &handler, &h, &h.l) == 0);
  EQ_STR(bound_to(&h), address);
  EQ_INT(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EQ_INT(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  if (family == AF_INET) {
    int client = connect_port(port_of(&h));
    env_until(&h.e, &h.accepted);
    close(client);
  }
  close_listener(&h);
  EQ_INT(fcntl(fd, F_GETFD), -1); /* it was taken over */
  host_close(&h);
}

TEST(inherited_sockets) {
  adopted(AF_INET, "127.0.0.1");
  if (have_ipv6()) {
    adopted(AF_INET6, "::1");
  }
}

TEST(what_else_may_be_inherited) {
  struct sockaddr_un un = {.sun_family = AF_UNIX}; /* a name of the system's */
  int pipes[2];
  int fds[5];
  host h;
  host_open(&h);
  MUST(pipe(pipes) == 0);
  fds[0] = bound_socket(AF_INET, SOCK_STREAM); /* does not listen */
  fds[1] = bound_socket(AF_INET, SOCK_DGRAM);
  fds[2] = socket(AF_UNIX, SOCK_STREAM, 0);
  MUST(bind(fds[2], (struct sockaddr *)&un, sizeof(sa_family_t)) == 0);
  MUST(listen(fds[2], 5) == 0);
  fds[3] = pipes[0];
  fds[4] = pipes[1];
  for (size_t i = 0; i < WR_COUNTOF(fds); i++) {
    int err = wr_listener_fd(&h.e.ctx, fds[i], &handler, &h, &h.l);
    EQ_INT(err, i < 3 ? WR_EINVAL : UV_ENOTSOCK);
    EQ_INT(fcntl(fds[i], F_GETFD), 0); /* as it was, and the caller's */
    close(fds[i]);
  }
  EQ_INT(wr_listener_fd(&h.e.ctx, fds[0], &handler, &h, &h.l), UV_EBADF);
  int fd = bound_socket(AF_INET, SOCK_STREAM);
  MUST(listen(fd, 5) == 0);
  h.e.ctx.mem.fail_at = h.e.ctx.mem.total + 1;
  EQ_INT(wr_listener_fd(&h.e.ctx, fd, &handler, &h, &h.l), WR_ENOMEM);
  EQ_INT(close(fd), 0);
  host_close(&h);
}

TEST(wildcard_takes_ipv4_as_told) {
  host h;
  host_open(&h);
  MUST(listen_on(&h, "*", 0, false) == 0);
  int fd = connect_port(port_of(&h));
  env_until(&h.e, &h.accepted);
  close(fd);
  close_listener(&h);
  if (have_ipv6()) {
    struct sockaddr_in in;
    MUST(listen_on(&h, "::", 0, false) == 0);
    uv_ip4_addr("127.0.0.1", port_of(&h), &in);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0);
    close(fd);
    close_listener(&h);
  }
  host_close(&h);
}

TEST(port_in_use_is_reported_and_free_after_close) {
  host h;
  wr_listener *other;
  host_open(&h);
  MUST(listen_on(&h, "127.0.0.1", 0, false) == 0);
  uint16_t port = port_of(&h);
  EQ_INT(
      wr_listener_tcp(&h.e.ctx, "127.0.0.1", port, false, &handler, &h, &other),
      UV_EADDRINUSE);
  wr_listener_close(h.l);

  EQ_INT(listen_on(&h, "127.0.0.1", port, false), 0); /* at once */
  env_until(&h.e, &h.closed);
  h.closed = false;
  close_listener(&h);
  host_close(&h);
}

TEST(paused_listener_leaves_connections_waiting) {
  host h;
  host_open(&h);
  MUST(listen_on(&h, "127.0.0.1", 0, false) == 0);
  wr_listener_pause(h.l, true);
  int fd = connect_port(port_of(&h));
  for (int i = 0; i < 5; i++) {
    uv_run(&h.e.loop, UV_RUN_NOWAIT);
  }
  EQ_INT(h.n_accept, 0);
  wr_listener_pause(h.l, false);
  env_until(&h.e, &h.accepted);
  EQ_INT(h.n_accept, 1);
  close(fd);
  close_listener(&h);
  host_close(&h);
}

TEST(close_inside_accept) {
  host h;
  int fds[5];
  host_open(&h);
  h.close_in_accept = true;
  MUST(listen_on(&h, "127.0.0.1", 0, false) == 0);
  for (int i = 0; i < 5; i++) {
    fds[i] = connect_port(port_of(&h));
  }
  env_until(&h.e, &h.closed);
  EQ_INT(h.n_accept, 1);
  for (int i = 0; i < 5; i++) {
    close(fds[i]);
  }
  host_close(&h);
}

static bool pause_over;
static void on_pause(wr_timer *timer) {
  WR_UNUSED(timer);
  pause_over = true;
}

static int turns;
static void count_turn(wr_ctx *ctx) {
  WR_UNUSED(ctx);
  turns++;
}

/* Neither spins nor drops who waits. */
TEST(out_of_descriptors_is_a_pause) {
  host h;
  wr_timer timer;
  struct rlimit limit;
  host_open(&h);
  MUST(listen_on(&h, "127.0.0.1", 0, false) == 0);
  int fd = connect_port(port_of(&h));
  MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  struct rlimit none = {.rlim_cur = (rlim_t)fd + 1, .rlim_max = limit.rlim_max};
  MUST(setrlimit(RLIMIT_NOFILE, &none) == 0);
  pause_over = false;
  turns = 0;
  h.e.ctx.on_turn = count_turn;
  wr_timer_init(&timer, &h.e.ctx, on_pause);
  wr_timer_start(&timer, 250);
  env_until(&h.e, &pause_over);
  EQ_INT(h.n_accept, 0);
  CHECK(turns < 100);
  MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  env_until(&h.e, &h.accepted);
  EQ_INT(h.n_accept, 1);
  close(fd);
  close_listener(&h);
  host_close(&h);
}

/* Unix sockets. */

static void make_dir(host *h) {
  const char *tmp = getenv("TMPDIR");
  snprintf(h->dir, sizeof(h->dir), "%s/wr-XXXXXX", tmp != NULL ? tmp : "/tmp");
  MUST(mkdtemp(h->dir) != NULL);
  snprintf(h->path, sizeof(h->path), "%s/a socket", h->dir);
}

static int listen_path(host *h, wr_listener **l) {
  return wr_listener_unix(&h->e.ctx, h->path, &handler, h, l);
}

static int connect_path(const host *h) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  memcpy(un.sun_path, h->path, strlen(h->path));
  return connect_to((struct sockaddr *)&un, sizeof(un));
}

static void on_stream(wr_stream *s, int status) {
  peer *p = wr_stream_link(s)->user;
  EQ_INT(status, 0);
  peer_own(p, wr_stream_link(s));
  wr_link_read_start(p->link);
}

TEST(unix_socket_file_is_private_and_removed) {
  host h;
  struct stat st;
  struct sockaddr_storage ss;
  host_open(&h);
  make_dir(&h);
  mode_t mask = umask(0);
  MUST(listen_path(&h, &h.l) == 0);
  umask(mask);
  MUST(lstat(h.path, &st) == 0);
  EQ_INT(st.st_mode & 0777, 0600);
  wr_listener_addr(h.l, &ss);
  EQ_INT(ss.ss_family, AF_UNIX);
  wr_stream *s;
  peer p = {.got = 0};
  MUST(wr_stream_new(&h.e.ctx, AF_UNIX, &s) == 0);
  wr_stream_link(s)->user = &p;
  MUST(wr_stream_connect_path(s, h.path, on_stream) == 0);
  env_until(&h.e, &h.accepted);
  env_until(&h.e, &p.eof);
  wr_link_close(p.link, WR_CLOSE_ORDERLY);
  close_listener(&h);
  CHECK(lstat(h.path, &st) != 0);
  rmdir(h.dir);
  host_close(&h);
}

TEST(umask_of_the_host_cannot_lock_us_out) {
  host h;
  struct stat st;
  host_open(&h);
  make_dir(&h);
  mode_t mask = umask(0777);
  EQ_INT(listen_path(&h, &h.l), 0);
  umask(mask);
  MUST(lstat(h.path, &st) == 0);
  EQ_INT(st.st_mode & 0777, 0600);
  close_listener(&h);
  rmdir(h.dir);
  host_close(&h);
}

TEST(stale_socket_is_replaced_and_a_live_one_is_not) {
  host h;
  wr_listener *second;
  host_open(&h);
  make_dir(&h);
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  memcpy(un.sun_path, h.path, strlen(h.path));
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  MUST(bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
  close(fd); /* leaves the file */
  MUST(listen_path(&h, &h.l) == 0);
  EQ_INT(listen_path(&h, &second), UV_EADDRINUSE);
  /* Asking whether somebody is there is a connection, too. */
  env_until(&h.e, &h.accepted);
  close_listener(&h);
  rmdir(h.dir);
  host_close(&h);
}

TEST(other_files_are_left_alone) {
  host h;
  struct stat st;
  host_open(&h);
  make_dir(&h);
  int fd = open(h.path, O_CREAT | O_WRONLY, 0600);
  close(fd);
  EQ_INT(listen_path(&h, &h.l), UV_EADDRINUSE);
  CHECK(lstat(h.path, &st) == 0);
  unlink(h.path);
  MUST(listen_path(&h, &h.l) == 0);
  unlink(h.path);
  fd = open(h.path, O_CREAT | O_WRONLY, 0600);
  close(fd);
  close_listener(&h);
  CHECK(lstat(h.path, &st) == 0); /* not ours any more */
  unlink(h.path);
  rmdir(h.dir);
  EQ_INT(listen_path(&h, &h.l), UV_ENOENT); /* no such directory */
  host_close(&h);
}

TEST(paths_that_are_refused) {
  host h;
  char longest[200];
  host_open(&h);
  memset(longest, 'x', sizeof(longest) - 1);
  longest[sizeof(longest) - 1] = '\0';
  EQ_INT(wr_listener_unix(&h.e.ctx, longest, &handler, &h, &h.l),
         UV_ENAMETOOLONG);
  EQ_INT(wr_listener_unix(&h.e.ctx, "", &handler, &h, &h.l), WR_EINVAL);
  EQ_INT(wr_listener_unix(&h.e.ctx, "@abstract", &handler, &h, &h.l),
         WR_EUNSUPPORTED);
  make_dir(&h);
  for (uint64_t i = 1; i <= 2; i++) {
    h.e.ctx.mem.fail_at = h.e.ctx.mem.total + i;
    EQ_INT(listen_path(&h, &h.l), WR_ENOMEM);
  }
  rmdir(h.dir);
  host_close(&h);
}

TEST(full_backlog_is_not_stale) {
  host h;
  wr_listener *second;
  int waiting;
  host_open(&h);
  make_dir(&h);
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  memcpy(un.sun_path, h.path, strlen(h.path));
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  MUST(bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
  MUST(listen(fd, 0) == 0);
  waiting = connect_path(&h);
  EQ_INT(listen_path(&h, &second), UV_EADDRINUSE);
  close(waiting);
  close(fd);
  unlink(h.path);
  rmdir(h.dir);
  host_close(&h);
}

TAP_MAIN()
