#include "net/upstream_talk.h"

#include <stdio.h>
#include <string.h>

#include "base/errors.h"
#include "base/wire.h"

#define OUT_MAX ((size_t)2048) /* the longest names and credentials need 1300 */

#define METHOD_NONE 0x00
#define METHOD_PASSWORD 0x02
#define METHOD_REFUSED 0xff
#define COMMAND_CONNECT 1
#define ADDRESS_IPV4 1
#define ADDRESS_NAME 3
#define ADDRESS_IPV6 4
/* Version, code, a reserved byte, the type of the address and its first byte. */
#define REPLY_HEAD ((size_t)5)

typedef enum talk_step { STEP_METHOD = 0, STEP_LOGIN, STEP_REPLY } talk_step;

/* WHAT IS ASKED FOR */

typedef struct talk_target {
  const char *host;
  uint16_t port;
  wr_ip ip; /* family 0: it is a name */
} talk_target;

/* Bytes that are in no name, but would end or change a request. */
static bool is_plain(const char *host) {
  for (const char *p = host; *p != '\0'; p++) {
    uint8_t c = (uint8_t)*p;
    if (c <= ' ' || c >= 0x7f || strchr("\"#%/:<>?@[\\]^`{|}", c) != NULL) {
      return false;
    }
  }
  return true;
}

/* Without brackets and without a dot at the end. False: it is too long to be
   one. */
static bool bare_address(const char *host, char dst[WR_ADDR_TEXT_MAX]) {
  size_t len = strnlen(host, WR_ADDR_TEXT_MAX);
  if (len == 0 || len == WR_ADDR_TEXT_MAX) {
    return false;
  }
  bool brackets = len > 2 && host[0] == '[' && host[len - 1] == ']';
  size_t n = len - (brackets ? 2 : host[len - 1] == '.' ? 1 : 0);
  memcpy(dst, host + (brackets ? 1 : 0), n);
  dst[n] = '\0';
  return true;
}

static int read_target(const char *host, uint16_t port, talk_target *to) {
  char text[WR_ADDR_TEXT_MAX];
  *to = (talk_target){.host = host, .port = port};
  if (port == 0) {
    return WR_EINVAL;
  }
  /* A zone would be one of this machine's. */
  if (bare_address(host, text) && strchr(text, '%') == NULL &&
      wr_ip_parse_as_is(text, &to->ip) == 0) {
    return 0;
  }
  to->ip.family = 0;
  size_t len = strnlen(host, WR_HOST_MAX + 1);
  return len > 0 && len <= WR_HOST_MAX && is_plain(host) ? 0 : WR_EUNRESOLVED;
}

/* For a run of writes with one check at its end. */
static void also(int *err, int next) {
  *err = *err != 0 ? *err : next;
}

/* WHAT SOCKS5 SAYS */

static int put_text(wr_buf *b, const char *text) {
  size_t len = strlen(text);
  int err = wr_buf_put_u8(b, (uint8_t)len);
  return err != 0 ? err : wr_buf_append(b, text, len);
}

/* With credentials both methods are offered: a proxy that wants none takes none. */
static int put_greeting(wr_buf *b, const wr_upstream *u) {
  static const uint8_t plain[] = {5, 1, METHOD_NONE};
  static const uint8_t login[] = {5, 2, METHOD_NONE, METHOD_PASSWORD};
  return u->has_login ? wr_buf_append(b, login, sizeof(login))
                      : wr_buf_append(b, plain, sizeof(plain));
}

static int put_login(wr_buf *b, const wr_upstream *u) {
  if (!u->has_login) {
    return 0;
  }
  int err = wr_buf_put_u8(b, 1);
  also(&err, put_text(b, u->user));
  also(&err, put_text(b, u->password));
  return err;
}

static int put_request(wr_buf *b, const talk_target *to) {
  static const uint8_t head[] = {5, COMMAND_CONNECT, 0};
  uint8_t port[2];
  int err = wr_buf_append(b, head, sizeof(head));
  if (to->ip.family == 0) {
    also(&err, wr_buf_put_u8(b, ADDRESS_NAME));
    also(&err, put_text(b, to->host));
  } else {
    bool v4 = to->ip.family == 4;
    also(&err, wr_buf_put_u8(b, v4 ? ADDRESS_IPV4 : ADDRESS_IPV6));
    also(&err, wr_buf_append(b, to->ip.bytes, v4 ? 4 : 16));
  }
  wr_put_u16(port, to->port);
  also(&err, wr_buf_append(b, port, sizeof(port)));
  return err;
}

static int put_socks5(wr_upstream_talk *t, const wr_upstream *u,
                      const talk_target *to) {
  int err = put_greeting(&t->out, u);
  size_t greeting = t->out.len;
  also(&err, put_login(&t->out, u));
  t->login = t->out.len - greeting;
  also(&err, put_request(&t->out, to));
  t->held = t->out.len - greeting;
  return err;
}

/* WHAT HTTP SAYS */

static int put_credentials(wr_buf *b, const wr_upstream *u) {
  char plain[2 * WR_UPSTREAM_LOGIN_MAX + 2];
  char text[4 * ((sizeof(plain) + 2) / 3) + 1];
  int n = snprintf(plain, sizeof(plain), "%s:%s", u->user, u->password);
  wr_base64_encode(text, (const uint8_t *)plain, (size_t)n, true);
  int err = wr_buf_printf(b, "Proxy-Authorization: Basic %s\r\n", text);
  wr_bzero(plain, sizeof(plain));
  wr_bzero(text, sizeof(text));
  return err;
}

static int put_connect(wr_upstream_talk *t, const wr_upstream *u,
                       const talk_target *to) {
  char address[WR_ADDR_TEXT_MAX];
  const char *host = to->host;
  if (to->ip.family != 0) {
    uv_inet_ntop(to->ip.family == 4 ? AF_INET : AF_INET6, to->ip.bytes, address,
                 sizeof(address));
    host = address;
  }
  bool v6 = to->ip.family == 6;
  char authority[WR_HOST_MAX + 16];
  snprintf(authority, sizeof(authority), "%s%s%s:%u", v6 ? "[" : "", host,
           v6 ? "]" : "", (unsigned)to->port);
  int err = wr_buf_printf(&t->out, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n",
                          authority, authority);
  if (u->has_login) {
    also(&err, put_credentials(&t->out, u));
  }
  also(&err, wr_buf_append(&t->out, "\r\n", 2));
  return err;
}

int wr_upstream_talk_init(wr_upstream_talk *t, wr_mem *mem,
                          const wr_upstream *u, const char *host,
                          uint16_t port) {
  talk_target to;
  int err = read_target(host, port, &to);
  if (err != 0) {
    return err;
  }
  *t = (wr_upstream_talk){.kind = u->kind,
                          .has_login = u->has_login,
                          .by_name = to.ip.family == 0,
                          .line_empty = true};
  wr_buf_init(&t->out, mem, OUT_MAX);
  /* In one block, so that none with a secret is left behind by growing. */
  err = wr_buf_reserve(&t->out, OUT_MAX);
  also(&err, u->kind == WR_UPSTREAM_HTTP ? put_connect(t, u, &to)
                                         : put_socks5(t, u, &to));
  if (err != 0) {
    wr_upstream_talk_free(t);
  }
  return err;
}

void wr_upstream_talk_free(wr_upstream_talk *t) {
  wr_buf_wipe(&t->out);
}

wr_slice wr_upstream_talk_out(const wr_upstream_talk *t) {
  return (wr_slice){t->out.data, t->out.len - t->held};
}

void wr_upstream_talk_sent(wr_upstream_talk *t, size_t len) {
  WR_ASSERT(len <= t->out.len - t->held);
  wr_buf_consume(&t->out, len);
}

bool wr_upstream_talk_asked(const wr_upstream_talk *t) {
  return t->out.len == 0;
}

/* WHAT SOCKS5 ANSWERS */

static int on_method(wr_upstream_talk *t) {
  if (t->in[1] == METHOD_REFUSED) {
    return WR_EPROXY_AUTH;
  }
  if (t->in[1] == METHOD_PASSWORD && t->has_login) {
    t->held -= t->login;
    t->step = STEP_LOGIN;
    return 0;
  }
  if (t->in[1] != METHOD_NONE) {
    return WR_EPROXY_PROTOCOL;
  }
  wr_buf_consume(&t->out, t->login);
  t->held = 0;
  t->step = STEP_REPLY;
  return 0;
}

static int on_login(wr_upstream_talk *t) {
  if (t->in[1] != 0) {
    return WR_EPROXY_AUTH;
  }
  t->held = 0;
  t->step = STEP_REPLY;
  return 0;
}

/* "Host unreachable" is also what is said of a name that does not resolve, as
   it is here. */
static int reply_error(const wr_upstream_talk *t) {
  switch (t->in[1]) {
  case 0:
    return 0;
  case 2:
    return WR_EPROXY_DENIED;
  case 3:
    return UV_ENETUNREACH;
  case 4:
    return t->by_name ? WR_EUNRESOLVED : UV_EHOSTUNREACH;
  case 5:
    return UV_ECONNREFUSED;
  case 6:
    return UV_ETIMEDOUT;
  default:
    return WR_EPROXY_FAILED;
  }
}

/* How long a good reply is; 0: no such type of address. */
static size_t reply_len(const wr_upstream_talk *t) {
  switch (t->in[3]) {
  case ADDRESS_IPV4:
    return 4 + 4 + 2;
  case ADDRESS_IPV6:
    return 4 + 16 + 2;
  case ADDRESS_NAME:
    return REPLY_HEAD + t->in[4] + 2;
  default:
    return 0;
  }
}

/* The bound address in it is nobody's business. After a failure some proxies
   say no more than the code. */
static int on_reply(wr_upstream_talk *t) {
  if (t->len == 2) {
    return reply_error(t);
  }
  if (t->len < REPLY_HEAD) {
    return 0;
  }
  size_t len = reply_len(t);
  if (len == 0) {
    return WR_EPROXY_PROTOCOL;
  }
  t->done = t->len == len;
  return 0;
}

/* The version of an answer to a login is 1, but some proxies say 5. */
static bool version_ok(const wr_upstream_talk *t) {
  return t->in[0] == 5 || (t->step == STEP_LOGIN && t->in[0] == 1);
}

static int socks5_byte(wr_upstream_talk *t, uint8_t byte) {
  if (t->len < sizeof(t->in)) {
    t->in[t->len] = byte;
  }
  t->len++;
  if (t->len == 1) {
    /* Nothing is answered before it has been asked. */
    return version_ok(t) && t->out.len == t->held ? 0 : WR_EPROXY_PROTOCOL;
  }
  if (t->step == STEP_REPLY) {
    return on_reply(t);
  }
  t->len = 0;
  return t->step == STEP_METHOD ? on_method(t) : on_login(t);
}

/* WHAT HTTP ANSWERS */

static bool is_digit(uint8_t c) {
  return c >= '0' && c <= '9';
}

/* "HTTP/1.x NNN", looked at byte by byte: whatever is none is noticed at once. */
static bool status_line_fits(uint8_t byte, size_t at) {
  static const char form[] = "HTTP/1.# ###";
  return form[at] == '#' ? is_digit(byte) : byte == (uint8_t)form[at];
}

static int status_of(const wr_upstream_talk *t) {
  return (t->in[9] - '0') * 100 + (t->in[10] - '0') * 10 + (t->in[11] - '0');
}

/* 401 is what tinyproxy says of a wrong password. Why a target cannot be reached
   is not said by 502 and 503. */
static int status_error(int status) {
  switch (status) {
  case 403:
    return WR_EPROXY_DENIED;
  case 401:
  case 407:
    return WR_EPROXY_AUTH;
  case 502:
  case 503:
    return UV_EHOSTUNREACH;
  case 504:
    return UV_ETIMEDOUT;
  default:
    /* 101 changes to a protocol that nobody asked for. */
    return status < 100 || status == 101 || status >= 300 ? WR_EPROXY_FAILED
                                                          : 0;
  }
}

/* A head is through. After 1xx the real one follows. */
static void on_head_end(wr_upstream_talk *t) {
  t->done = status_of(t) >= 200;
  t->heads_len += t->len;
  t->len = 0;
}

static int http_byte(wr_upstream_talk *t, uint8_t byte) {
  size_t at = t->len++;
  if (t->heads_len + t->len > WR_UPSTREAM_HEAD_MAX) {
    return WR_EPROXY_PROTOCOL;
  }
  if (at < sizeof(t->in)) {
    t->in[at] = byte;
    t->line_empty = false;
    if (!status_line_fits(byte, at)) {
      return WR_EPROXY_PROTOCOL;
    }
    return at + 1 == sizeof(t->in) ? status_error(status_of(t)) : 0;
  }
  if (at == sizeof(t->in) && byte != ' ' && byte != '\r' && byte != '\n') {
    return WR_EPROXY_PROTOCOL;
  }
  if (byte == '\n' && t->line_empty) {
    on_head_end(t);
  } else if (byte != '\r') {
    t->line_empty = byte == '\n';
  }
  return 0;
}

int wr_upstream_talk_feed(wr_upstream_talk *t, const uint8_t *data, size_t len,
                          size_t *taken) {
  int err = 0;
  *taken = 0;
  while (err == 0 && !t->done && *taken < len) {
    uint8_t byte = data[(*taken)++];
    err =
        t->kind == WR_UPSTREAM_HTTP ? http_byte(t, byte) : socks5_byte(t, byte);
  }
  return err == 0 && t->done && !wr_upstream_talk_asked(t) ? WR_EPROXY_PROTOCOL
                                                           : err;
}
