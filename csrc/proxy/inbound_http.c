#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "net/http_head.h"
#include "proxy/inbound_internal.h"

/* HTTP/1.1 requests to a proxy (RFC 9110, RFC 9112): CONNECT, and requests in
   absolute form, which are rewritten to origin form. One connection serves one
   request: the next one may be for another origin. Fields that servers are known
   to read in different ways are refused, not repaired. No Via is added: it would
   tell the origin of the tunnel. */

#define MAX_CREDENTIALS 700 /* base64 of "user:password" at 255 bytes each */

/* A request's head and its text. */
typedef struct http_head {
  wr_http_head h;
  const uint8_t *text;
  wr_slice method;
  wr_slice target;
} http_head;

/* Why a request is refused. */
typedef struct refusal {
  int status;
  const char *text;
} refusal;

static int bad(refusal *why, int status, const char *text) {
  *why = (refusal){status, text};
  return WR_EMALFORMED;
}

static const char *reason_phrase(int status) {
  switch (status) {
  case 400:
    return "Bad Request";
  case 403:
    return "Forbidden";
  case 407:
    return "Proxy Authentication Required";
  case 431:
    return "Request Header Fields Too Large";
  case 503:
    return "Service Unavailable";
  case 504:
    return "Gateway Timeout";
  case 505:
    return "HTTP Version Not Supported";
  default:
    return "Bad Gateway";
  }
}

int wr__http_error(wr_inbound *in, int status, const char *text) {
  const char *auth =
      status == 407 ? "Proxy-Authenticate: Basic realm=\"wraith\"\r\n" : "";
  wr__inbound_failed(in);
  return wr_buf_printf(&in->out,
                       "HTTP/1.1 %d %s\r\n"
                       "Content-Type: text/plain\r\n"
                       "%s"
                       "Content-Length: %zu\r\n"
                       "Connection: close\r\n"
                       "\r\n"
                       "%s%s",
                       status, reason_phrase(status), auth, strlen(text) + 1,
                       in->no_reply_body ? "" : text,
                       in->no_reply_body ? "" : "\n");
}

static int refuse_head(wr_http_fault fault, refusal *why) {
  switch (fault) {
  case WR_HTTP_BAD_VERSION:
    return bad(why, 505, "only HTTP/1.1 is spoken here");
  case WR_HTTP_BAD_FIELD:
    return bad(why, 400, "malformed header field");
  case WR_HTTP_BAD_VALUE:
    return bad(why, 400, "a header field holds control characters");
  case WR_HTTP_MANY_FIELDS:
    return bad(why, 431, "too many header fields");
  case WR_HTTP_LONG_LINE:
  case WR_HTTP_LONG_HEAD:
    return bad(why, 431, "the request's head is too large");
  case WR_HTTP_BAD_END:
    return bad(why, 400, "a line does not end in CR LF");
  case WR_HTTP_FINE:
  case WR_HTTP_BAD_START:
    break;
  }
  return bad(why, 400, "malformed request line");
}

static int parse_head(http_head *head, wr_slice text, refusal *why) {
  wr_http_head_init(&head->h, WR_HTTP_REQUEST, WR_INBOUND_MAX, WR_INBOUND_MAX);
  if (wr_http_head_feed(&head->h, text.data, text.len) != 0) {
    return refuse_head(head->h.fault, why);
  }
  head->text = text.data;
  head->method = wr_http_text(text.data, head->h.method);
  head->target = wr_http_text(text.data, head->h.target);
  return 0;
}

static wr_slice find(const http_head *h, const char *name, size_t *count) {
  return wr_http_find(&h->h, h->text, name, count);
}

static bool credentials_ok(const wr_inbound *in, wr_slice value) {
  uint8_t plain[3 * (MAX_CREDENTIALS / 4) + 3];
  wr_slice scheme;
  bool ok = false;
  if (!wr_http_cut(&value, ' ', &scheme) ||
      !wr_slice_eq_nocase(scheme, "basic")) {
    return false;
  }
  value = wr_http_trim(value);
  if (value.len > MAX_CREDENTIALS) {
    return false;
  }
  long n = wr_base64_decode(plain, (const char *)value.data, value.len);
  if (n > 0) {
    wr_slice password = {plain, (size_t)n};
    wr_slice user;
    ok = wr_http_cut(&password, ':', &user) &&
         wr__inbound_password_ok(in, user, password);
  }
  wr_bzero(plain, sizeof(plain));
  return ok;
}

static int check_auth(const wr_inbound *in, const http_head *h, refusal *why) {
  size_t n;
  wr_slice given = find(h, "proxy-authorization", &n);
  if (in->user == NULL) {
    return 0;
  }
  if (n != 1 || !credentials_ok(in, given)) {
    return bad(why, 407, "this proxy asks for a user name and a password");
  }
  return 0;
}

static int bad_authority(refusal *why) {
  return bad(why, 400, "malformed host or port");
}

/* host[:port], IPv6 in brackets. default_port 0: the port must be given. */
static int parse_authority(wr_inbound *in, wr_slice text, uint16_t default_port,
                           refusal *why) {
  wr_slice host;
  uint64_t port = 0;
  wr_ip ip;
  bool v6 = text.len > 0 && text.data[0] == '[';
  if (v6) {
    text.data++;
    text.len--;
    if (!wr_http_cut(&text, ']', &host) ||
        (text.len > 0 && text.data[0] != ':')) {
      return bad_authority(why);
    }
    text.data += text.len > 0 ? 1 : 0;
    text.len -= text.len > 0 ? 1 : 0;
  } else {
    (void)wr_http_cut(&text, ':', &host);
  }
  if (!wr__inbound_set_host(in, host) ||
      (v6 && (strchr(in->target.host, ':') == NULL ||
              wr_ip_parse(in->target.host, &ip) != 0))) {
    return bad_authority(why);
  }
  if (text.len == 0) {
    port = default_port;
  } else if (wr_parse_uint((const char *)text.data, text.len, 65535, &port)) {
    return bad_authority(why);
  }
  in->target.port = (uint16_t)port;
  return port != 0 ? 0 : bad_authority(why);
}

/* How long the body is. Two answers to that question are how requests are
   smuggled past proxies (RFC 9112, section 6.3). */
static int read_framing(wr_inbound *in, const http_head *h, refusal *why) {
  size_t lengths, codings;
  uint64_t length = 0;
  wr_slice cl = find(h, "content-length", &lengths);
  wr_slice te = find(h, "transfer-encoding", &codings);
  if (lengths + codings > 1) {
    return bad(why, 400, "ambiguous length of the request's body");
  }
  if (codings > 0) {
    if (!wr_slice_eq_nocase(te, "chunked") || h->h.minor == 0) {
      return bad(why, 400, "unknown transfer coding");
    }
    wr_http_body_init_chunked(&in->body);
    return 0;
  }
  if (lengths > 0 &&
      wr_parse_uint((const char *)cl.data, cl.len, INT64_MAX, &length) != 0) {
    return bad(why, 400, "malformed Content-Length");
  }
  wr_http_body_init_length(&in->body, length);
  return 0;
}

/* Fields for this connection alone (RFC 9110, section 7.6.1), and Host, which is
   written anew. */
static bool is_dropped(const http_head *h, wr_slice name) {
  static const char *const hop[] = {
      "connection", "proxy-connection",    "keep-alive",         "te",
      "upgrade",    "proxy-authorization", "proxy-authenticate", "host"};
  for (size_t i = 0; i < WR_COUNTOF(hop); i++) {
    if (wr_slice_eq_nocase(name, hop[i])) {
      return true;
    }
  }
  return wr_http_lists(&h->h, h->text, "connection", name);
}

static int put(wr_buf *b, wr_slice s) {
  return wr_buf_append(b, s.data, s.len);
}

static int put_text(wr_buf *b, const char *s) {
  return wr_buf_append(b, s, strlen(s));
}

/* For a run of writes with one check at its end. */
static void also(int *err, int next) {
  *err = *err != 0 ? *err : next;
}

static int put_request_line(wr_buf *b, const http_head *h, wr_slice path) {
  int err = put(b, h->method);
  also(&err, put_text(b, " "));
  if (path.len == 0 && wr_slice_eq_nocase(h->method, "options")) {
    also(&err, put_text(b, "*"));
  } else if (path.len == 0 || path.data[0] == '?') {
    also(&err, put_text(b, "/"));
  }
  also(&err, put(b, path));
  also(&err, put_text(b, " "));
  also(&err, put(b, wr_http_text(h->text, h->h.version)));
  also(&err, put_text(b, "\r\n"));
  return err;
}

/* Host is what the target says, whatever the client wrote there (RFC 9112,
   section 3.2.2). */
static int write_forward(wr_buf *b, const http_head *h, wr_slice authority,
                         wr_slice path) {
  int err = put_request_line(b, h, path);
  also(&err, put_text(b, "Host: "));
  also(&err, put(b, authority));
  also(&err, put_text(b, "\r\n"));
  for (size_t i = 0; err == 0 && i < h->h.n; i++) {
    wr_slice name = wr_http_text(h->text, h->h.fields[i].name);
    if (!is_dropped(h, name)) {
      also(&err, put(b, name));
      also(&err, put_text(b, ": "));
      also(&err, put(b, wr_http_text(h->text, h->h.fields[i].value)));
      also(&err, put_text(b, "\r\n"));
    }
  }
  also(&err, put_text(b, "Connection: close\r\n\r\n"));
  return err;
}

/* A framing field that Connection lists would be dropped, and the body then be
   read as something else. */
static int check_fields(const http_head *h, refusal *why) {
  static const char *const needed[] = {"content-length", "transfer-encoding",
                                       "host"};
  size_t hosts;
  (void)find(h, "host", &hosts);
  if (hosts > 1) {
    return bad(why, 400, "more than one Host field");
  }
  for (size_t i = 0; i < WR_COUNTOF(needed); i++) {
    if (wr_http_lists(&h->h, h->text, "connection", wr_slice_of(needed[i]))) {
      return bad(why, 400, "Connection lists a field that is no option");
    }
  }
  return 0;
}

/* Splits "http://authority/path". */
static int split_target(wr_slice target, wr_slice *authority, wr_slice *path,
                        refusal *why) {
  static const char scheme[] = "http://";
  const size_t n = sizeof(scheme) - 1;
  wr_slice start = {target.data, WR_MIN(target.len, n)};
  if (memchr(target.data, '#', target.len) != NULL) {
    return bad(why, 400, "the request's target has a fragment");
  }
  if (target.data[0] == '/' || target.data[0] == '*') {
    return bad(
        why, 400,
        "this is a proxy: it takes CONNECT and absolute http:// targets");
  }
  if (!wr_slice_eq_nocase(start, scheme)) {
    return bad(why, 400, "only http:// is forwarded; use CONNECT for the rest");
  }
  *authority = (wr_slice){target.data + n, target.len - n};
  size_t len = 0;
  while (len < authority->len && authority->data[len] != '/' &&
         authority->data[len] != '?') {
    len++;
  }
  *path = (wr_slice){authority->data + len, authority->len - len};
  authority->len = len;
  return 0;
}

static int do_forward(wr_inbound *in, const http_head *h, refusal *why) {
  wr_slice authority, path;
  in->no_reply_body = wr_slice_eq_nocase(h->method, "head");
  int err = split_target(h->target, &authority, &path, why);
  if (err == 0) {
    err = parse_authority(in, authority, 80, why);
  }
  if (err == 0) {
    err = check_fields(h, why);
  }
  if (err == 0) {
    err = read_framing(in, h, why);
  }
  if (err == 0) {
    in->protocol = WR_INBOUND_HTTP_FORWARD;
    err = write_forward(&in->forward, h, authority, path);
  }
  return err;
}

static int do_request(wr_inbound *in, http_head *h, refusal *why) {
  int err = parse_head(h, (wr_slice){in->in.data, in->in.len}, why);
  if (err == 0) {
    err = check_auth(in, h, why);
  }
  if (err != 0) {
    return err;
  }
  /* Methods are case-sensitive, but nobody means another one with "connect". */
  if (wr_slice_eq_nocase(h->method, "connect")) {
    return parse_authority(in, h->target, 0, why);
  }
  return do_forward(in, h, why);
}

static int on_head(wr_inbound *in) {
  http_head head;
  refusal why = {400, "malformed request"};
  int err = do_request(in, &head, &why);
  if (err == WR_EMALFORMED) {
    return wr__http_error(in, why.status, why.text);
  }
  if (err == WR_ELIMIT) {
    return wr__http_error(in, 431, "the request's head is too large");
  }
  if (err == 0) {
    wr__inbound_connect(in);
  }
  return err;
}

int wr__http_step(wr_inbound *in) {
  const uint8_t *p = in->in.data;
  size_t len = in->in.len;
  if (p[len - 1] != '\n') {
    return 0;
  }
  /* A bare line feed ends a line for some readers only. */
  if (len < 2 || p[len - 2] != '\r') {
    return wr__http_error(in, 400, "a line does not end in CR LF");
  }
  if (len >= 4 && p[len - 3] == '\n') {
    return on_head(in);
  }
  return 0;
}
