#include "net/listener_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/errors.h"
#include "net/addr.h"
#include "net/listener.h"

static int last_error(void) {
  return uv_translate_sys_error(errno);
}

/* A non-blocking socket; below zero: an error. */
static int open_socket(int family) {
#ifdef SOCK_CLOEXEC
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
  int fd = socket(family, SOCK_STREAM, 0);
  if (fd >= 0) {
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
  }
#endif
  return fd < 0 ? last_error() : fd;
}

static int set_flag(int fd, int level, int option, int on) {
  int err = setsockopt(fd, level, option, &on, sizeof(on));
  return err != 0 ? last_error() : 0;
}

/* A listening socket on one address; below zero: an error. */
static int listen_tcp(const struct sockaddr *sa, bool dual_stack) {
  bool v6 = sa->sa_family == AF_INET6;
  int fd = open_socket(sa->sa_family);
  if (fd < 0) {
    return fd;
  }
  int err = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (err == 0 && v6) {
    err = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, dual_stack ? 0 : 1);
  }
  socklen_t len = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
  if (err == 0 && bind(fd, sa, len) != 0) {
    err = last_error();
  }
  if (err == 0 && listen(fd, WR_LISTEN_BACKLOG) != 0) {
    err = last_error();
  }
  if (err != 0) {
    close(fd);
    return err;
  }
  return fd;
}

/* An address in text; brackets allowed around IPv6, a scope as well. */
static bool parse_host(const char *host, uint16_t port,
                       struct sockaddr_storage *ss) {
  char inner[WR_ADDR_TEXT_MAX];
  size_t len = strnlen(host, WR_ADDR_TEXT_MAX);
  memset(ss, 0, sizeof(*ss));
  if (uv_ip4_addr(host, port, (struct sockaddr_in *)ss) == 0) {
    return true;
  }
  if (len > 2 && len < WR_ADDR_TEXT_MAX && host[0] == '[' &&
      host[len - 1] == ']') {
    memcpy(inner, host + 1, len - 2);
    inner[len - 2] = '\0';
    host = inner;
  }
  return uv_ip6_addr(host, port, (struct sockaddr_in6 *)ss) == 0;
}

/* Tries two addresses in turn: the second when the system lacks the family of
   the first. A port that is taken is no reason. */
static int listen_either(const char *first, const char *second, uint16_t port,
                         bool dual_stack, int *family) {
  struct sockaddr_storage ss;
  WR_ASSERT(parse_host(first, port, &ss));
  *family = ss.ss_family;
  int fd = listen_tcp((struct sockaddr *)&ss, dual_stack);
  if (fd >= 0 || fd == UV_EADDRINUSE || fd == UV_EACCES || fd == UV_EMFILE ||
      fd == UV_ENFILE) {
    return fd;
  }
  WR_ASSERT(parse_host(second, port, &ss));
  *family = ss.ss_family;
  return listen_tcp((struct sockaddr *)&ss, dual_stack);
}

int wr__listen_host(const char *host, uint16_t port, bool dual_stack,
                    int *family) {
  struct sockaddr_storage ss;
  if (host[0] == '\0' || strcmp(host, "*") == 0) {
    return listen_either("::", "0.0.0.0", port, true, family);
  }
  if (strcasecmp(host, "localhost") == 0) {
    return listen_either("127.0.0.1", "::1", port, false, family);
  }
  if (!parse_host(host, port, &ss)) {
    return WR_EINVAL;
  }
  *family = ss.ss_family;
  return listen_tcp((struct sockaddr *)&ss, dual_stack);
}

/* Inherited sockets. */

static int socket_option(int fd, int option) {
  int value = 0;
  socklen_t len = sizeof(value);
  int err = getsockopt(fd, SOL_SOCKET, option, &value, &len);
  return err != 0 ? last_error() : value;
}

/* What a parent has handed down may be anything. */
int wr__listen_adopt(int fd, int *family) {
  struct sockaddr_storage ss;
  socklen_t len = sizeof(ss);
  int type = socket_option(fd, SO_TYPE);
  int listens = socket_option(fd, SO_ACCEPTCONN);
  if (type < 0 || listens < 0) {
    return type < 0 ? type : listens;
  }
  if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0) {
    return last_error();
  }
  if (type != SOCK_STREAM || listens == 0 ||
      (ss.ss_family != AF_INET && ss.ss_family != AF_INET6)) {
    return WR_EINVAL;
  }
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    return last_error();
  }
  *family = ss.ss_family;
  return 0;
}

/* Unix sockets. */

static void fill_path(struct sockaddr_un *un, const char *path) {
  memset(un, 0, sizeof(*un));
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, strlen(path));
}

/* Is it a socket file that nobody listens on? Only a refusal proves that. The
   connect cannot wait: Unix sockets answer at once. */
static bool is_stale(const char *path) {
  struct sockaddr_un un;
  int fd = open_socket(AF_UNIX);
  if (fd < 0) {
    return false;
  }
  fill_path(&un, path);
  int err = connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0 ? errno : 0;
  close(fd);
  return err == ECONNREFUSED;
}

static int remove_stale(const char *path) {
  struct stat before;
  struct stat after;
  if (lstat(path, &before) != 0) {
    return errno == ENOENT ? 0 : last_error();
  }
  if (!S_ISSOCK(before.st_mode) || !is_stale(path)) {
    return UV_EADDRINUSE;
  }
  /* Another process may have replaced it while we asked. */
  if (lstat(path, &after) != 0 || after.st_dev != before.st_dev ||
      after.st_ino != before.st_ino) {
    return UV_EADDRINUSE;
  }
  return unlink(path) == 0 || errno == ENOENT ? 0 : last_error();
}

/* Nobody can connect before listen(), so the mode is right in time; the process
   wide umask is left alone. On Linux the mode of the socket goes over to the
   file, elsewhere it is set after bind(). */
static int bind_path(int fd, const char *path, struct stat *st) {
  struct sockaddr_un un;
  fill_path(&un, path);
  (void)fchmod(fd, S_IRUSR | S_IWUSR);
  if (bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0) {
    return last_error();
  }
  int err = lstat(path, st) != 0 ? last_error() : 0;
  if (err == 0 && (st->st_mode & 0777) != (S_IRUSR | S_IWUSR) &&
      chmod(path, S_IRUSR | S_IWUSR) != 0) {
    err = last_error();
  }
  if (err == 0 && listen(fd, WR_LISTEN_BACKLOG) != 0) {
    err = last_error();
  }
  if (err != 0) {
    (void)unlink(path);
  }
  return err;
}

int wr__listen_path(const char *path, struct stat *st) {
  int err = remove_stale(path);
  if (err != 0) {
    return err;
  }
  int fd = open_socket(AF_UNIX);
  if (fd < 0) {
    return fd;
  }
  err = bind_path(fd, path, st);
  if (err != 0) {
    close(fd);
    return err;
  }
  return fd;
}
