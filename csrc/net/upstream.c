#include "net/upstream.h"

#include <string.h>

#include "base/errors.h"
#include "base/mem.h"
#include "base/wire.h"

static int bad(const char **why, const char *text) {
  *why = text;
  return WR_EMALFORMED;
}

static wr_slice slice_from(wr_slice s, size_t at) {
  return (wr_slice){s.data + at, s.len - at};
}

/* The part up to the last such byte, which goes. False: there is none. */
static bool cut_last(wr_slice *s, uint8_t byte, wr_slice *first) {
  for (size_t i = s->len; i > 0; i--) {
    if (s->data[i - 1] == byte) {
      *first = (wr_slice){s->data, i - 1};
      *s = slice_from(*s, i);
      return true;
    }
  }
  return false;
}

/* What follows the scheme. */
static int read_scheme(wr_slice *url, wr_upstream *u, const char **why) {
  static const struct {
    const char *text;
    wr_upstream_kind kind;
  } schemes[] = {{"socks5://", WR_UPSTREAM_SOCKS5},
                 {"socks5h://", WR_UPSTREAM_SOCKS5},
                 {"http://", WR_UPSTREAM_HTTP}};
  for (size_t i = 0; i < WR_COUNTOF(schemes); i++) {
    size_t len = strlen(schemes[i].text);
    wr_slice head = {url->data, WR_MIN(len, url->len)};
    if (wr_slice_eq_nocase(head, schemes[i].text)) {
      u->kind = schemes[i].kind;
      *url = slice_from(*url, len);
      return 0;
    }
  }
  return bad(why, "must begin with socks5://, socks5h:// or http://");
}

/* A path other than "/" would mean something that a proxy has not. */
static int drop_path(wr_slice *rest, const char **why) {
  size_t len = 0;
  while (len < rest->len && strchr("/?#", rest->data[len]) == NULL) {
    len++;
  }
  wr_slice path = slice_from(*rest, len);
  if (path.len > 0 && !wr_slice_eq(path, "/")) {
    return bad(why, "nothing may follow the port");
  }
  rest->len = len;
  return 0;
}

/* -1: no hexadecimal digit. */
static int hex(uint8_t c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  c = wr_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode(wr_slice text, char dst[WR_UPSTREAM_LOGIN_MAX + 1],
                  const char **why) {
  size_t n = 0;
  for (size_t i = 0; i < text.len; i++) {
    int c = text.data[i];
    if (c == '%') {
      bool two = i + 2 < text.len;
      int high = two ? hex(text.data[i + 1]) : -1;
      int low = two ? hex(text.data[i + 2]) : -1;
      c = high < 0 || low < 0 ? 0 : high * 16 + low;
      i += 2;
    }
    if (c == 0) {
      return bad(why, "user or password: malformed percent-encoding");
    }
    if (n == WR_UPSTREAM_LOGIN_MAX) {
      return bad(why, "user and password take at most 255 bytes each");
    }
    dst[n++] = (char)c;
  }
  dst[n] = '\0';
  return 0;
}

static int read_login(wr_slice login, wr_upstream *u, const char **why) {
  const uint8_t *colon = memchr(login.data, ':', login.len);
  wr_slice user = login;
  wr_slice password = {login.data + login.len, 0};
  if (colon != NULL) {
    user.len = (size_t)(colon - login.data);
    password = slice_from(login, user.len + 1);
  }
  int err = decode(user, u->user, why);
  err = err != 0 ? err : decode(password, u->password, why);
  if (err != 0) {
    return err;
  }
  if (u->user[0] == '\0') {
    return bad(why, "there is no user before the password");
  }
  if (u->kind == WR_UPSTREAM_HTTP && strchr(u->user, ':') != NULL) {
    return bad(why, "HTTP has no users with a colon in their name");
  }
  u->has_login = true;
  return 0;
}

static bool is_name(wr_slice s) {
  for (size_t i = 0; i < s.len; i++) {
    uint8_t c = wr_lower(s.data[i]);
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
          c == '.' || c == '_')) {
      return false;
    }
  }
  return s.len > 0 && s.len <= WR_HOST_MAX;
}

static int read_host(wr_slice text, wr_upstream *u, const char **why) {
  wr_ip ip;
  bool v6 = text.len > 2 && text.len < WR_ADDR_TEXT_MAX &&
            text.data[0] == '[' && text.data[text.len - 1] == ']';
  if (v6) {
    text = (wr_slice){text.data + 1, text.len - 2};
  } else if (!is_name(text)) {
    return bad(why, "the host must be a name, an address or [v6]");
  }
  memcpy(u->host, text.data, text.len);
  u->host[text.len] = '\0';
  if (v6 && (strchr(u->host, ':') == NULL || wr_ip_parse(u->host, &ip) != 0)) {
    return bad(why, "there is no IPv6 address in the brackets");
  }
  return 0;
}

static int read_authority(wr_slice text, wr_upstream *u, const char **why) {
  wr_slice login;
  wr_slice host;
  uint64_t port = 0;
  if (cut_last(&text, '@', &login)) {
    int err = read_login(login, u, why);
    if (err != 0) {
      return err;
    }
  }
  if (!cut_last(&text, ':', &host) ||
      wr_parse_uint((const char *)text.data, text.len, UINT16_MAX, &port) !=
          0 ||
      port == 0) {
    return bad(why, "the port is missing or malformed");
  }
  u->port = (uint16_t)port;
  return read_host(host, u, why);
}

int wr_upstream_parse(const char *url, wr_upstream *out, const char **why) {
  wr_upstream u = {.has_login = false};
  wr_slice rest = wr_slice_of(url);
  int err = read_scheme(&rest, &u, why);
  err = err != 0 ? err : drop_path(&rest, why);
  err = err != 0 ? err : read_authority(rest, &u, why);
  if (err == 0) {
    *out = u;
  }
  wr_upstream_wipe(&u);
  return err;
}

void wr_upstream_wipe(wr_upstream *u) {
  wr_bzero(u, sizeof(*u));
}
