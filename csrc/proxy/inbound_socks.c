#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "proxy/inbound_internal.h"

/* SOCKS5 (RFC 1928), its passwords (RFC 1929), SOCKS4 and SOCKS4a. */

#define METHOD_NONE 0x00
#define METHOD_PASSWORD 0x02
#define METHOD_REFUSED 0xff
#define COMMAND_CONNECT 1
#define REPLY_FAILURE 1
#define REPLY_BAD_COMMAND 7
#define REPLY_BAD_ADDRESS 8
#define ADDRESS_IPV4 1
#define ADDRESS_NAME 3
#define ADDRESS_IPV6 4
#define SOCKS4_GRANTED 0x5a
#define SOCKS4_REFUSED 0x5b

static size_t need_auth(const uint8_t *p, size_t have) {
  if (have < 2) {
    return 2;
  }
  size_t password_at = 2 + (size_t)p[1];
  return have <= password_at ? password_at + 1
                             : password_at + 1 + p[password_at];
}

static size_t need_request(const uint8_t *p, size_t have) {
  if (have < 5) {
    return 5;
  }
  switch (p[3]) {
  case ADDRESS_IPV4:
    return 4 + 4 + 2;
  case ADDRESS_IPV6:
    return 4 + 16 + 2;
  case ADDRESS_NAME:
    return 5 + (size_t)p[4] + 2;
  default:
    return 5; /* its length is unknown: it is refused as it stands */
  }
}

size_t wr__socks5_need(const wr_inbound *in) {
  const uint8_t *p = in->in.data;
  size_t have = in->in.len;
  switch ((inbound_step)in->step) {
  case STEP_SOCKS5_METHODS:
    return have < 2 ? 2 : 2 + (size_t)p[1];
  case STEP_SOCKS5_AUTH:
    return need_auth(p, have);
  default:
    return need_request(p, have);
  }
}

/* Without a password of ours, one that the client insists on giving is taken:
   some clients offer no other method. */
static uint8_t pick_method(const wr_inbound *in) {
  const uint8_t *methods = in->in.data + 2;
  size_t n = in->in.data[1];
  if (in->user == NULL && memchr(methods, METHOD_NONE, n) != NULL) {
    return METHOD_NONE;
  }
  return memchr(methods, METHOD_PASSWORD, n) != NULL ? METHOD_PASSWORD
                                                     : METHOD_REFUSED;
}

static int on_methods(wr_inbound *in) {
  uint8_t answer[2] = {5, pick_method(in)};
  wr_buf_consume(&in->in, in->in.len);
  if (answer[1] == METHOD_REFUSED) {
    wr__inbound_failed(in);
  } else {
    in->step =
        answer[1] == METHOD_NONE ? STEP_SOCKS5_REQUEST : STEP_SOCKS5_AUTH;
  }
  return wr_buf_append(&in->out, answer, sizeof(answer));
}

static int on_auth(wr_inbound *in) {
  wr_rd r;
  wr_rd_init(&r, in->in.data, in->in.len);
  bool ok = wr_rd_u8(&r) == 1;
  wr_slice user = wr_rd_bytes(&r, wr_rd_u8(&r));
  wr_slice password = wr_rd_bytes(&r, wr_rd_u8(&r));
  if (in->user != NULL && !wr__inbound_password_ok(in, user, password)) {
    ok = false;
  }
  uint8_t answer[2] = {1, ok ? 0 : 1};
  wr_bzero(in->in.data, in->in.len);
  wr_buf_consume(&in->in, in->in.len);
  if (ok) {
    in->step = STEP_SOCKS5_REQUEST;
  } else {
    wr__inbound_failed(in);
  }
  return wr_buf_append(&in->out, answer, sizeof(answer));
}

int wr__socks5_reply(wr_inbound *in, uint8_t code) {
  const uint8_t reply[10] = {5, code, 0, ADDRESS_IPV4};
  if (code != 0) {
    wr__inbound_failed(in);
  }
  return wr_buf_append(&in->out, reply, sizeof(reply));
}

/* A name may be an address in brackets: some clients put what they were given. */
static bool take_name(wr_inbound *in, wr_slice name) {
  if (name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']') {
    name.data++;
    name.len -= 2;
  }
  return wr__inbound_set_host(in, name);
}

static void take_address(wr_inbound *in, wr_slice bytes) {
  struct sockaddr_storage ss;
  char text[WR_ADDR_TEXT_MAX];
  wr_ip ip = {.family = bytes.len == 4 ? 4 : 6};
  memcpy(ip.bytes, bytes.data, bytes.len);
  wr_ip_to_sockaddr(&ip, 0, &ss);
  wr_sockaddr_host((const struct sockaddr *)&ss, text);
  memcpy(in->target.host, text, strlen(text) + 1);
}

static int on_request(wr_inbound *in) {
  wr_rd r;
  bool ok = true;
  wr_rd_init(&r, in->in.data, in->in.len);
  uint8_t version = wr_rd_u8(&r);
  uint8_t command = wr_rd_u8(&r);
  (void)wr_rd_u8(&r); /* reserved */
  uint8_t type = wr_rd_u8(&r);
  if (version != 5) {
    return wr__socks5_reply(in, REPLY_FAILURE);
  }
  if (type == ADDRESS_NAME) {
    ok = take_name(in, wr_rd_bytes(&r, wr_rd_u8(&r)));
  } else if (type == ADDRESS_IPV4 || type == ADDRESS_IPV6) {
    take_address(in, wr_rd_bytes(&r, type == ADDRESS_IPV4 ? 4 : 16));
  } else {
    return wr__socks5_reply(in, REPLY_BAD_ADDRESS);
  }
  if (command != COMMAND_CONNECT) {
    return wr__socks5_reply(in, REPLY_BAD_COMMAND);
  }
  if (!ok) {
    return wr__socks5_reply(in, REPLY_FAILURE);
  }
  in->target.port = wr_rd_u16(&r);
  wr__inbound_connect(in);
  return 0;
}

int wr__socks5_step(wr_inbound *in) {
  switch ((inbound_step)in->step) {
  case STEP_SOCKS5_METHODS:
    return on_methods(in);
  case STEP_SOCKS5_AUTH:
    return on_auth(in);
  default:
    return on_request(in);
  }
}

int wr__socks4_reply(wr_inbound *in, bool granted) {
  const uint8_t reply[8] = {0, granted ? SOCKS4_GRANTED : SOCKS4_REFUSED};
  if (!granted) {
    wr__inbound_failed(in);
  }
  return wr_buf_append(&in->out, reply, sizeof(reply));
}

/* The text from `at` up to its zero. False: it is not all there. */
static bool read_text(const wr_buf *b, size_t at, wr_slice *out) {
  const uint8_t *end =
      at < b->len ? memchr(b->data + at, '\0', b->len - at) : NULL;
  if (end == NULL) {
    return false;
  }
  *out = (wr_slice){b->data + at, (size_t)(end - b->data) - at};
  return true;
}

/* 0.0.0.x with x > 0 says that a name follows (SOCKS4a). */
static bool is_socks4a(const uint8_t *p) {
  return p[4] == 0 && p[5] == 0 && p[6] == 0 && p[7] != 0;
}

int wr__socks4_step(wr_inbound *in) {
  const uint8_t *p = in->in.data;
  wr_slice user = {NULL, 0}, name = {NULL, 0};
  if (in->in.len < SOCKS4_HEAD) {
    return 0;
  }
  bool too_long = in->in.len > SOCKS4_MAX;
  bool complete = read_text(&in->in, SOCKS4_HEAD, &user);
  if (complete && is_socks4a(p)) {
    complete = read_text(&in->in, SOCKS4_HEAD + user.len + 1, &name);
  }
  if (!complete) {
    return too_long ? wr__socks4_reply(in, false) : 0;
  }
  /* Its user name proves nothing, so it is no way around a password. */
  if (too_long || p[1] != COMMAND_CONNECT || in->user != NULL) {
    return wr__socks4_reply(in, false);
  }
  if (!is_socks4a(p)) {
    take_address(in, (wr_slice){p + 4, 4});
  } else if (!take_name(in, name)) {
    return wr__socks4_reply(in, false);
  }
  in->target.port = (uint16_t)(p[2] << 8 | p[3]);
  wr__inbound_connect(in);
  return 0;
}
