#include "proxy/inbound.h"

#include <string.h>

#include "base/errors.h"
#include "proxy/inbound_internal.h"

#define OUT_MAX ((size_t)4 * 1024)
/* A rewritten head is longer by a Host and a Connection field at most. */
#define FORWARD_MAX (WR_INBOUND_MAX + 1024)
#define SECRET_MAX 255

void wr_inbound_init(wr_inbound *in, wr_mem *mem, const char *user,
                     const char *password) {
  *in = (wr_inbound){.state = WR_INBOUND_MORE};
  in->user = user;
  in->password = password;
  wr_buf_init(&in->out, mem, OUT_MAX);
  wr_buf_init(&in->forward, mem, FORWARD_MAX);
  wr_buf_init(&in->in, mem, WR_INBOUND_MAX);
}

void wr_inbound_reset(wr_inbound *in) {
  wr_buf_wipe(&in->in); /* passwords may be in there */
  wr_buf_reset(&in->out);
  wr_buf_reset(&in->forward);
}

void wr__inbound_failed(wr_inbound *in) {
  in->state = WR_INBOUND_FAILED;
  in->step = STEP_DONE;
}

void wr__inbound_connect(wr_inbound *in) {
  in->state = WR_INBOUND_CONNECT;
  in->step = STEP_DONE;
  wr_buf_wipe(&in->in);
}

bool wr__inbound_set_host(wr_inbound *in, wr_slice host) {
  if (host.len == 0 || host.len > WR_HOST_MAX) {
    return false;
  }
  for (size_t i = 0; i < host.len; i++) {
    uint8_t c = host.data[i];
    if (c <= ' ' || c == 0x7f || strchr("/\\@?#[]<>\"", c) != NULL) {
      return false;
    }
  }
  memcpy(in->target.host, host.data, host.len);
  in->target.host[host.len] = '\0';
  return true;
}

/* The length is compared as part of the block, so that "a" and "a\0" differ. */
static int secret_same(const char *want, wr_slice got) {
  uint8_t a[SECRET_MAX + 1] = {0};
  uint8_t b[SECRET_MAX + 1] = {0};
  size_t len = strlen(want);
  if (len > SECRET_MAX || got.len > SECRET_MAX) {
    return 0;
  }
  a[SECRET_MAX] = (uint8_t)len;
  b[SECRET_MAX] = (uint8_t)got.len;
  memcpy(a, want, len);
  if (got.len > 0) {
    memcpy(b, got.data, got.len);
  }
  int same = wr_memeq(a, b, sizeof(a));
  wr_bzero(a, sizeof(a));
  wr_bzero(b, sizeof(b));
  return same;
}

bool wr__inbound_password_ok(const wr_inbound *in, wr_slice user,
                             wr_slice password) {
  int user_ok = secret_same(in->user, user);
  int password_ok =
      secret_same(in->password != NULL ? in->password : "", password);
  return (user_ok & password_ok) != 0;
}

static bool is_letter(uint8_t c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static void choose(wr_inbound *in) {
  uint8_t c = in->in.data[0];
  if (c == 5) {
    in->protocol = WR_INBOUND_SOCKS5;
    in->step = STEP_SOCKS5_METHODS;
  } else if (c == 4) {
    in->protocol = WR_INBOUND_SOCKS4;
    in->step = STEP_SOCKS4;
  } else if (is_letter(c)) {
    in->protocol = WR_INBOUND_HTTP_CONNECT; /* until the request says more */
    in->step = STEP_HTTP;
  } else {
    wr__inbound_failed(in); /* nobody knows what it would understand */
  }
}

/* Up to and with the first such byte. */
static size_t through(const uint8_t *data, size_t len, int byte) {
  const uint8_t *end = memchr(data, byte, len);
  return end == NULL ? len : (size_t)(end - data) + 1;
}

/* How many of the bytes may go into the current step: never one that follows
   the request. */
static size_t wanted(const wr_inbound *in, const uint8_t *data, size_t len) {
  size_t have = in->in.len;
  switch ((inbound_step)in->step) {
  case STEP_SOCKS5_METHODS:
  case STEP_SOCKS5_AUTH:
  case STEP_SOCKS5_REQUEST:
    return WR_MIN(wr__socks5_need(in) - have, len);
  case STEP_SOCKS4:
    len = WR_MIN(len, SOCKS4_MAX + 1 - have);
    return have < SOCKS4_HEAD ? WR_MIN(SOCKS4_HEAD - have, len)
                              : through(data, len, '\0');
  case STEP_HTTP:
    return through(data, len, '\n');
  case STEP_START:
  case STEP_DONE:
    break;
  }
  return 1;
}

static int advance(wr_inbound *in) {
  switch ((inbound_step)in->step) {
  case STEP_START:
    choose(in);
    return 0;
  case STEP_SOCKS5_METHODS:
  case STEP_SOCKS5_AUTH:
  case STEP_SOCKS5_REQUEST:
    return in->in.len < wr__socks5_need(in) ? 0 : wr__socks5_step(in);
  case STEP_SOCKS4:
    return wr__socks4_step(in);
  case STEP_HTTP:
    return wr__http_step(in);
  case STEP_DONE:
    break;
  }
  return 0;
}

/* SOCKS requests end long before the limit. */
static int too_large(wr_inbound *in) {
  return wr__http_error(in, 431, "the request's head is too large");
}

int wr_inbound_feed(wr_inbound *in, const uint8_t *data, size_t len,
                    size_t *taken) {
  int err = 0;
  *taken = 0;
  while (err == 0 && in->state == WR_INBOUND_MORE && *taken < len) {
    size_t room = wr_buf_room(&in->in);
    if (room == 0) {
      return too_large(in);
    }
    size_t n = WR_MIN(wanted(in, data + *taken, len - *taken), room);
    err = wr_buf_append(&in->in, data + *taken, n);
    if (err == 0) {
      *taken += n;
      err = advance(in);
    }
  }
  return err;
}

int wr_inbound_reply(wr_inbound *in, int status) {
  static const char established[] =
      "HTTP/1.1 200 Connection established\r\n\r\n";
  int err = 0;
  WR_ASSERT(in->state == WR_INBOUND_CONNECT);
  switch (in->protocol) {
  case WR_INBOUND_SOCKS5:
    err = wr__socks5_reply(in, wr_socks5_reply_code(status));
    break;
  case WR_INBOUND_SOCKS4:
    err = wr__socks4_reply(in, status == 0);
    break;
  case WR_INBOUND_HTTP_CONNECT:
  case WR_INBOUND_HTTP_FORWARD:
    if (status != 0) {
      err = wr__http_error(in, wr_http_status(status), wr_error_text(status));
    } else if (in->protocol == WR_INBOUND_HTTP_CONNECT) {
      err = wr_buf_append(&in->out, established, sizeof(established) - 1);
    }
    break;
  case WR_INBOUND_UNKNOWN:
    break;
  }
  if (status != 0) {
    wr__inbound_failed(in);
  }
  return err;
}

uint8_t wr_socks5_reply_code(int err) {
  switch (err) {
  case 0:
    return 0;
  case WR_ECHANNEL_DENIED:
    return 2;
  case WR_ECHANNEL_UNREACHABLE:
    return 3;
  case WR_ECHANNEL_UNRESOLVED:
    return 4;
  case WR_ECHANNEL_REFUSED:
    return 5;
  case WR_ECHANNEL_TIMEOUT:
    return 6;
  default:
    return 1;
  }
}

int wr_http_status(int err) {
  switch (err) {
  case 0:
    return 200;
  case WR_ECHANNEL_DENIED:
    return 403;
  case WR_ECHANNEL_TIMEOUT:
    return 504;
  case WR_ECHANNEL_LIMIT:
  case WR_ETUNNEL_DOWN:
    return 503;
  default:
    return 502;
  }
}
