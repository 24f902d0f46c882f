#include "ssh/reason.h"

#include <string.h>
#include <uv.h>

#include "base/errors.h"
#include "base/wire.h"

/* One row per cause; the first row of an error is the one that is sent. */
static const struct {
  int err;
  uint32_t code;
  const char *token;
} causes[] = {
    {WR_ECHANNEL_DENIED, WR_REASON_PROHIBITED, "denied"},
    {WR_ECHANNEL_REFUSED, WR_REASON_CONNECT_FAILED, "refused"},
    {WR_ECHANNEL_UNRESOLVED, WR_REASON_CONNECT_FAILED, "unresolved"},
    {WR_ECHANNEL_UNREACHABLE, WR_REASON_CONNECT_FAILED, "unreachable"},
    {WR_ECHANNEL_TIMEOUT, WR_REASON_CONNECT_FAILED, "timeout"},
    {WR_ECHANNEL_LIMIT, WR_REASON_SHORTAGE, "limit"},
    {WR_ECHANNEL_UNKNOWN, WR_REASON_CONNECT_FAILED, "unknown"},
    {WR_ECHANNEL_FAILED, WR_REASON_CONNECT_FAILED, "failed"},
};

/* What sshd and others write, found anywhere in the text. */
static const struct {
  const char *text;
  int err;
} phrases[] = {
    {"Connection refused", WR_ECHANNEL_REFUSED},
    {"Name or service not known", WR_ECHANNEL_UNRESOLVED},
    {"Temporary failure in name resolution", WR_ECHANNEL_UNRESOLVED},
    {"No address associated with hostname", WR_ECHANNEL_UNRESOLVED},
    {"Name does not resolve", WR_ECHANNEL_UNRESOLVED},
    {"unknown host", WR_ECHANNEL_UNRESOLVED},
    {"No route to host", WR_ECHANNEL_UNREACHABLE},
    {"Network is unreachable", WR_ECHANNEL_UNREACHABLE},
    {"Host is unreachable", WR_ECHANNEL_UNREACHABLE},
    {"timed out", WR_ECHANNEL_TIMEOUT},
};

/* An error of a dial as one of WR_ECHANNEL_*. */
static int channel_error(int err) {
  switch (err) {
  case WR_EPROXY_DENIED:
    return WR_ECHANNEL_DENIED;
  case UV_ECONNREFUSED:
  case UV_ECONNRESET:
    return WR_ECHANNEL_REFUSED;
  case WR_EUNRESOLVED:
  case UV_EAI_NONAME:
  case UV_EAI_NODATA:
  case UV_EAI_AGAIN:
  case UV_EAI_FAIL:
    return WR_ECHANNEL_UNRESOLVED;
  case UV_ENETUNREACH:
  case UV_EHOSTUNREACH:
  case UV_ENETDOWN:
  case UV_EADDRNOTAVAIL:
    return WR_ECHANNEL_UNREACHABLE;
  case UV_ETIMEDOUT:
  case WR_ETIMEOUT:
    return WR_ECHANNEL_TIMEOUT;
  case WR_ELIMIT:
  case WR_EBUSY:
  case WR_ENOMEM:
  case UV_EMFILE:
  case UV_ENFILE:
  case UV_ENOMEM:
    return WR_ECHANNEL_LIMIT;
  default:
    return err;
  }
}

wr_reason wr__reason_from_error(int err) {
  int wanted = channel_error(err);
  for (size_t i = 0; i < WR_COUNTOF(causes); i++) {
    if (causes[i].err == wanted) {
      return (wr_reason){causes[i].code, causes[i].token};
    }
  }
  return (wr_reason){WR_REASON_CONNECT_FAILED, "failed"};
}

static bool contains(wr_slice text, const char *phrase) {
  size_t n = strlen(phrase);
  for (size_t i = 0; i + n <= text.len; i++) {
    if (memcmp(text.data + i, phrase, n) == 0) {
      return true;
    }
  }
  return false;
}

int wr__reason_to_error(uint32_t code, wr_slice text) {
  for (size_t i = 0; i < WR_COUNTOF(causes); i++) {
    if (causes[i].code == code && wr_slice_eq(text, causes[i].token)) {
      return causes[i].err;
    }
  }
  wr_slice head = {text.data, WR_MIN(text.len, (size_t)256)};
  for (size_t i = 0;
       code == WR_REASON_CONNECT_FAILED && i < WR_COUNTOF(phrases); i++) {
    if (contains(head, phrases[i].text)) {
      return phrases[i].err;
    }
  }
  switch (code) {
  case WR_REASON_PROHIBITED:
    return WR_ECHANNEL_DENIED;
  case WR_REASON_UNKNOWN_TYPE:
    return WR_ECHANNEL_UNKNOWN;
  case WR_REASON_SHORTAGE:
    return WR_ECHANNEL_LIMIT;
  default:
    return WR_ECHANNEL_FAILED;
  }
}
