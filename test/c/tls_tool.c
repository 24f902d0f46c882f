/* TLS links on real sockets, for test/interop: an echo server, which ends when
   its standard input does, or a client that joins the server to a socket it was
   given as descriptor 3.

     tls_tool serve CHAIN KEY [site]    prints the port, then echoes; a site looks
                                        like nginx, and tells what is no TLS
     tls_tool connect PORT NAME ROOTS   ROOTS: a PEM file, or "insecure"

   What was agreed on, and each end, is a line on stderr. */
#include <sys/socket.h>
#include <unistd.h>

#include "net_help.h"

#include "net/splice.h"
#include "net/tls.h"

typedef struct tool {
  env e;
  wr_tls_ctx *tls;
  const char *name;
  bool site;
  bool done;
  int rc;
} tool;

static wr_slice slurp(const char *path) {
  static uint8_t room[2][65536];
  static size_t used;
  MUST(used < 2);
  FILE *f = fopen(path, "rb");
  MUST(f != NULL);
  wr_slice text = {room[used], fread(room[used], 1, sizeof(room[used]), f)};
  used++;
  fclose(f);
  return text;
}

static void describe(const wr_tls *tls) {
  wr_tls_info i;
  uint8_t key[WR_TLS_EXPORT_LEN];
  wr_tls_query(tls, &i);
  fprintf(stderr,
          "version=%s cipher=%s group=%s sni=%s alpn=%.*s resumed=%d export=",
          i.version, i.cipher, i.group, i.sni, (int)i.alpn.len,
          i.alpn.len > 0 ? (const char *)i.alpn.data : "", i.resumed);
  if (wr_tls_export(tls, "wraith test", key) == 0) {
    for (size_t k = 0; k < sizeof(key); k++) {
      fprintf(stderr, "%02X", key[k]);
    }
  }
  fprintf(stderr, "\n");
}

/* The echo: what cannot be written yet stays with the link. */

static size_t on_echo_read(wr_link *link, uint8_t *data, size_t len) {
  uv_buf_t buf = uv_buf_init((char *)data, (unsigned)len);
  size_t taken = 0;
  return wr_link_write(link, &buf, 1, &taken) == 0 ? taken : len;
}

static void on_echo_writable(wr_link *link) {
  (void)wr_link_read_start(link);
}

static void on_echo_eof(wr_link *link) {
  wr_link_close(link, WR_CLOSE_ORDERLY);
}

static void on_echo_close(wr_link *link, int status) {
  WR_UNUSED(link);
  fprintf(stderr, "closed %s\n", status == 0 ? "0" : wr_error_code(status));
}

static const wr_link_handler echo = {.on_read = on_echo_read,
                                     .on_eof = on_echo_eof,
                                     .on_writable = on_echo_writable,
                                     .on_close = on_echo_close};

static void on_served(void *user, int status, wr_link *link) {
  WR_UNUSED(user);
  if (status != 0) {
    fprintf(stderr, "failed %s\n", wr_error_code(status));
    if (link == NULL) {
      return;
    }
  } else {
    describe(wr_tls_from_link(link));
  }
  link->handler = &echo;
  (void)wr_link_read_start(link);
}

static void on_accept(wr_listener *l, wr_link *link) {
  tool *t = wr_listener_user(l);
  wr_tls_options o = {.detect_plain = t->site};
  wr_tls *tls;
  if (wr_tls_start(link, t->tls, &o, on_served, t, &tls) != 0) {
    wr_link_close(link, WR_CLOSE_RESET);
  }
}

static const wr_listener_handler listener = {.on_accept = on_accept};

/* Standard input ends: so do we. */
static void on_stdin(uv_poll_t *poll, int status, int events) {
  tool *t = poll->data;
  char junk[256];
  WR_UNUSED(events);
  if (status < 0 || read(0, junk, sizeof(junk)) <= 0) {
    uv_poll_stop(poll);
    t->done = true;
  }
}

static int serve(tool *t, char **argv, bool site) {
  static const char *const alpn[] = {"h2", "http/1.1"};
  wr_tls_server_options o = {.chain = slurp(argv[0]),
                             .key = slurp(argv[1]),
                             .alpn = alpn,
                             .n_alpn = WR_COUNTOF(alpn),
                             .as_nginx = site};
  const char *why;
  struct sockaddr_storage ss;
  wr_listener *l;
  uv_poll_t poll;
  int err = wr_tls_server_new(&t->e.ctx, &o, &t->tls, &why);
  if (err != 0) {
    fprintf(stderr, "%s: %s\n", wr_error_code(err), why != NULL ? why : "");
    return 1;
  }
  t->site = site;
  MUST(wr_listener_tcp(&t->e.ctx, "127.0.0.1", 0, false, &listener, t, &l) ==
       0);
  wr_listener_addr(l, &ss);
  printf("%d\n", ntohs(((struct sockaddr_in *)(void *)&ss)->sin_port));
  fflush(stdout);
  MUST(uv_poll_init(&t->e.loop, &poll, 0) == 0);
  poll.data = t;
  uv_poll_start(&poll, UV_READABLE, on_stdin);
  env_until(&t->e, &t->done);
  return 0;
}

static void on_spliced(void *user, int status, uint64_t out, uint64_t in) {
  tool *t = user;
  WR_UNUSED(out);
  WR_UNUSED(in);
  fprintf(stderr, "closed %s\n", status == 0 ? "0" : wr_error_code(status));
  t->rc = status == 0 ? 0 : 1;
  t->done = true;
}

static void on_connected(void *user, int status, wr_link *link) {
  tool *t = user;
  wr_stream *local;
  wr_splice *splice;
  if (status != 0) {
    fprintf(stderr, "failed %s\n", wr_error_code(status));
    t->rc = 1;
    t->done = true;
    return;
  }
  describe(wr_tls_from_link(link));
  MUST(wr_stream_from_fd(&t->e.ctx, 3, AF_UNIX, &local) == 0);
  MUST(wr_splice_start(&t->e.ctx, wr_stream_link(local), link,
                       (wr_slice){NULL, 0}, on_spliced, t, &splice) == 0);
}

static void on_dialled(wr_stream *s, int status) {
  tool *t = wr_stream_link(s)->user;
  wr_tls_options o = {.server_name = t->name};
  wr_tls *tls;
  MUST(status == 0);
  MUST(wr_tls_start(wr_stream_link(s), t->tls, &o, on_connected, t, &tls) == 0);
}

static int connect_to(tool *t, char **argv) {
  bool insecure = strcmp(argv[2], "insecure") == 0;
  wr_tls_client_options o = {.insecure = insecure,
                             .roots_file = insecure ? NULL : argv[2]};
  struct sockaddr_in to;
  wr_stream *out;
  MUST(wr_tls_client_new(&t->e.ctx, &o, &t->tls, NULL) == 0);
  t->name = argv[1];
  MUST(uv_ip4_addr("127.0.0.1", (int)strtol(argv[0], NULL, 10), &to) == 0);
  MUST(wr_stream_new(&t->e.ctx, AF_INET, &out) == 0);
  wr_stream_link(out)->user = t;
  MUST(wr_stream_connect(out, (struct sockaddr *)&to, on_dialled) == 0);
  env_until(&t->e, &t->done);
  return t->rc;
}

int main(int argc, char **argv) {
  static tool t;
  env_open(&t.e);
  if (argc >= 4 && strcmp(argv[1], "serve") == 0) {
    return serve(&t, argv + 2, argc > 4);
  }
  if (argc == 5 && strcmp(argv[1], "connect") == 0) {
    return connect_to(&t, argv + 2);
  }
  fprintf(stderr, "usage: tls_tool serve CHAIN KEY [site]\n"
                  "       tls_tool connect PORT NAME ROOTS\n");
  return 2;
}
