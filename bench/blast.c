/* Source, sink and clock of the benchmark, small enough not to be what is
   measured. Built by bench/tools.js.

     blast serve                             prints its port
     blast rate <via> up|down|both <n> <ms>  throughput over n streams
     blast ping <via> <ms>                   1-byte round trips
     blast conns <via> <n> <ms>              connections, n at a time
     blast first <via> <ms>                  from connect() to the first byte
     blast hold <via> <n>                    n connections that stay

   <via> is port (the tunnel's listener) or port:target (the tunnel's SOCKS5
   port and where to go). Clients print "ready", wait for a line or the end of
   stdin, and print their result as JSON. Each connection begins with one byte
   that says what it wants, and eight with the time in microseconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK ((size_t)256 * 1024)
#define MARK 'm' /* the last byte of a stream, and only that */
#define MAX_THREADS 64
#define MAX_PINGS ((size_t)1000000)

static struct {
  int port;
  int target; /* 0: port is a plain listener */
} via;

static void die(const char *what) {
  fprintf(stderr, "blast: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void *chunk(void) {
  void *p = malloc(CHUNK);
  if (p == NULL) {
    die("malloc");
  }
  memset(p, 0xa5, CHUNK);
  return p;
}

static int send_all(int fd, const void *data, size_t len) {
  const char *p = data;
  while (len > 0) {
    ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return -1;
    }
    p += n;
    len -= (size_t)n;
  }
  return 0;
}

static int read_all(int fd, void *data, size_t len) {
  char *p = data;
  while (len > 0) {
    ssize_t n = recv(fd, p, len, 0);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return -1;
    }
    p += n;
    len -= (size_t)n;
  }
  return 0;
}

static void send_for(int fd, uint64_t us) {
  char *buf = chunk();
  uint64_t end = now_ns() + us * 1000;
  while (now_ns() < end && send_all(fd, buf, CHUNK) == 0) {
  }
  free(buf);
}

/* Up to the byte that is not like the others: some tunnels end both directions
   when one ends. */
static uint64_t read_to_mark(int fd) {
  char *buf = chunk();
  uint64_t got = 0;
  ssize_t n;
  while ((n = recv(fd, buf, CHUNK, 0)) > 0 && buf[n - 1] != MARK) {
    got += (uint64_t)n;
  }
  free(buf);
  return n > 0 ? got + (uint64_t)n : 0;
}

static uint64_t read_to_end(int fd) {
  char *buf = chunk();
  uint64_t got = 0;
  ssize_t n;
  while ((n = recv(fd, buf, CHUNK, 0)) > 0 || (n < 0 && errno == EINTR)) {
    got += n > 0 ? (uint64_t)n : 0;
  }
  free(buf);
  return n == 0 ? got : 0;
}

/* SERVER */

static void echo(int fd) {
  char buf[4096];
  ssize_t n;
  while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
    if (send_all(fd, buf, (size_t)n) != 0) {
      return;
    }
  }
}

static void *on_connection(void *arg) {
  int fd = (int)(intptr_t)arg;
  char want = 0;
  char go = 0;
  uint64_t us = 0;
  if (read_all(fd, &want, 1) == 0 && read_all(fd, &us, sizeof(us)) == 0 &&
      send_all(fd, &want, 1) == 0) {
    if (want == 'u') {
      uint64_t got = read_to_mark(fd);
      (void)send_all(fd, &got, sizeof(got));
    } else if (want == 'd' && read_all(fd, &go, 1) == 0) {
      send_for(fd, us);
      shutdown(fd, SHUT_WR);
      (void)read_to_end(fd);
    } else if (want == 'e') {
      echo(fd);
    }
  }
  close(fd);
  return NULL;
}

static void *watch_stdin(void *arg) {
  char c;
  (void)arg;
  while (read(0, &c, 1) > 0) {
  }
  exit(0);
}

static void start_thread(void *(*run)(void *), void *arg) {
  pthread_t t;
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 64 * 1024);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  if (pthread_create(&t, &attr, run, arg) != 0) {
    die("pthread_create");
  }
  pthread_attr_destroy(&attr);
}

static void nodelay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void serve(void) {
  struct sockaddr_in sa = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(sa);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
      listen(fd, 4096) != 0 ||
      getsockname(fd, (struct sockaddr *)&sa, &len) != 0) {
    die("listen");
  }
  printf("%d\n", ntohs(sa.sin_port));
  fflush(stdout);
  start_thread(watch_stdin, NULL);
  for (;;) {
    int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (c < 0) {
      continue;
    }
    nodelay(c);
    start_thread(on_connection, (void *)(intptr_t)c);
  }
}

/* CLIENT */

static int socks(int fd) {
  unsigned char ask[13] = {5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1};
  unsigned char answer[12];
  ask[11] = (unsigned char)(via.target >> 8);
  ask[12] = (unsigned char)(via.target & 255);
  /* The method is known beforehand: no round trip for it. */
  if (send_all(fd, ask, sizeof(ask)) != 0 ||
      read_all(fd, answer, sizeof(answer)) != 0) {
    return -1;
  }
  return answer[1] == 0 && answer[3] == 0 ? 0 : -1;
}

static int open_stream(char want, uint64_t us) {
  struct sockaddr_in sa = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                           .sin_port = htons((uint16_t)via.port)};
  unsigned char head[9];
  char ready = 0;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
    die("connect");
  }
  nodelay(fd);
  head[0] = (unsigned char)want;
  memcpy(head + 1, &us, sizeof(us));
  if ((via.target != 0 && socks(fd) != 0) ||
      send_all(fd, head, sizeof(head)) != 0 || read_all(fd, &ready, 1) != 0 ||
      ready != want) {
    fprintf(stderr, "blast: the tunnel gave no connection\n");
    exit(1);
  }
  return fd;
}

static void wait_for_go(void) {
  char c;
  printf("ready\n");
  fflush(stdout);
  while (read(0, &c, 1) > 0 && c != '\n') {
  }
}

typedef struct job {
  pthread_t thread;
  int fd;
  char want;
  uint64_t us;
  uint64_t bytes;
  uint64_t end_ns;
} job;

static void *transfer(void *arg) {
  job *j = arg;
  const char mark = MARK;
  if (j->want == 'u') {
    send_for(j->fd, j->us);
    if (send_all(j->fd, &mark, 1) != 0 ||
        read_all(j->fd, &j->bytes, sizeof(j->bytes)) != 0) {
      j->bytes = 0;
    }
  } else if (send_all(j->fd, "g", 1) == 0) {
    j->bytes = read_to_end(j->fd);
  }
  j->end_ns = now_ns();
  close(j->fd);
  return NULL;
}

static int rate(const char *direction, int n, uint64_t us) {
  job jobs[MAX_THREADS] = {{0}};
  int up = strcmp(direction, "down") != 0;
  int down = strcmp(direction, "up") != 0;
  int total = 0;
  for (int i = 0; i < n && total + 2 <= MAX_THREADS; i++) {
    if (up) {
      jobs[total++] = (job){.want = 'u'};
    }
    if (down) {
      jobs[total++] = (job){.want = 'd'};
    }
  }
  for (int i = 0; i < total; i++) {
    jobs[i].us = us;
    jobs[i].fd = open_stream(jobs[i].want, us);
  }
  wait_for_go();
  uint64_t start = now_ns();
  uint64_t end = start;
  uint64_t bytes = 0;
  for (int i = 0; i < total; i++) {
    pthread_create(&jobs[i].thread, NULL, transfer, &jobs[i]);
  }
  for (int i = 0; i < total; i++) {
    pthread_join(jobs[i].thread, NULL);
    if (jobs[i].bytes == 0) {
      fprintf(stderr, "blast: a stream broke\n");
      return 1;
    }
    bytes += jobs[i].bytes;
    end = jobs[i].end_ns > end ? jobs[i].end_ns : end;
  }
  printf("{\"bytes\":%llu,\"seconds\":%.6f}\n", (unsigned long long)bytes,
         (double)(end - start) / 1e9);
  return 0;
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a;
  uint64_t y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static uint64_t *times(void) {
  uint64_t *t = malloc(MAX_PINGS * sizeof(*t));
  if (t == NULL) {
    die("malloc");
  }
  return t;
}

/* Microseconds; frees them. */
static void print_times(uint64_t *t, size_t n) {
  qsort(t, n, sizeof(*t), by_value);
  printf("{\"count\":%zu,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}\n", n,
         (double)t[n / 2] / 1e3, (double)t[n * 99 / 100] / 1e3,
         (double)t[n - 1] / 1e3);
  free(t);
}

static int ping(uint64_t us) {
  uint64_t *t = times();
  size_t n = 0;
  int fd = open_stream('e', 0);
  char c = 0;
  wait_for_go();
  uint64_t end = now_ns() + us * 1000;
  uint64_t before = now_ns();
  while (before < end && n < MAX_PINGS) {
    if (send_all(fd, &c, 1) != 0 || read_all(fd, &c, 1) != 0) {
      die("ping");
    }
    uint64_t after = now_ns();
    t[n++] = after - before;
    before = after;
  }
  print_times(t, n);
  return 0;
}

/* The target answers as soon as it has what a connection begins with. */
static int first(uint64_t us) {
  uint64_t *t = times();
  size_t n = 0;
  close(open_stream('c', 0));
  wait_for_go();
  uint64_t end = now_ns() + us * 1000;
  uint64_t before = now_ns();
  while (before < end && n < MAX_PINGS) {
    int fd = open_stream('c', 0);
    t[n++] = now_ns() - before;
    close(fd);
    before = now_ns();
  }
  print_times(t, n);
  return 0;
}

static uint64_t conns_end;

static void *connections(void *arg) {
  job *j = arg;
  while (now_ns() < conns_end) {
    close(open_stream('c', 0));
    j->bytes++;
  }
  return NULL;
}

static int conns(int n, uint64_t us) {
  job jobs[MAX_THREADS] = {{0}};
  uint64_t count = 0;
  n = n < MAX_THREADS ? n : MAX_THREADS;
  close(open_stream('c', 0));
  wait_for_go();
  uint64_t start = now_ns();
  conns_end = start + us * 1000;
  for (int i = 0; i < n; i++) {
    pthread_create(&jobs[i].thread, NULL, connections, &jobs[i]);
  }
  for (int i = 0; i < n; i++) {
    pthread_join(jobs[i].thread, NULL);
    count += jobs[i].bytes;
  }
  printf("{\"count\":%llu,\"seconds\":%.6f}\n", (unsigned long long)count,
         (double)(now_ns() - start) / 1e9);
  return 0;
}

static int hold(int n) {
  char c = 0;
  for (int i = 0; i < n; i++) {
    int fd = open_stream('e', 0);
    if (send_all(fd, &c, 1) != 0 || read_all(fd, &c, 1) != 0) {
      die("hold");
    }
  }
  wait_for_go();
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  signal(SIGPIPE, SIG_IGN);
  if (strcmp(what, "serve") == 0) {
    serve();
  }
  if (argc > 3 && sscanf(argv[2], "%d:%d", &via.port, &via.target) >= 1) {
    if (strcmp(what, "rate") == 0 && argc == 6) {
      return rate(argv[3], atoi(argv[4]), strtoull(argv[5], NULL, 10) * 1000);
    }
    if (strcmp(what, "ping") == 0 && argc == 4) {
      return ping(strtoull(argv[3], NULL, 10) * 1000);
    }
    if (strcmp(what, "first") == 0 && argc == 4) {
      return first(strtoull(argv[3], NULL, 10) * 1000);
    }
    if (strcmp(what, "conns") == 0 && argc == 5) {
      return conns(atoi(argv[3]), strtoull(argv[4], NULL, 10) * 1000);
    }
    if (strcmp(what, "hold") == 0 && argc == 4) {
      return hold(atoi(argv[3]));
    }
  }
  fprintf(stderr, "blast: see the head of bench/blast.c\n");
  return 2;
}
