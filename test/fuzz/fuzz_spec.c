#include <string.h>

#include "base/common.h"
#include "proxy/spec.h"

/* Forward specifications and destinations. What is taken must be in bounds and
   the same when it is read again. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_endpoint(const wr_endpoint *e) {
  WR_ASSERT(memchr(e->host, '\0', sizeof(e->host)) != NULL);
  WR_ASSERT(!e->is_unix || e->host[0] == '/');
}

static void one_spec(const char *text, bool remote) {
  wr_forward_spec s = {.bind = {.port = 4711}};
  const char *why = NULL;
  if (wr_forward_spec_parse(text, remote, &s, &why) != 0) {
    WR_ASSERT(why != NULL && s.bind.port == 4711);
    return;
  }
  check_endpoint(&s.bind);
  check_endpoint(&s.target);
  WR_ASSERT(s.target.host[0] != '\0');
  WR_ASSERT(s.target.is_unix || s.target.port != 0);
}

static void one_destination(const char *text) {
  wr_endpoint e, again;
  char printed[WR_HOST_MAX + 32];
  const char *why = NULL;
  if (wr_destination_parse(text, &e, &why) != 0) {
    WR_ASSERT(why != NULL);
    return;
  }
  check_endpoint(&e);
  if (e.is_unix) {
    snprintf(printed, sizeof(printed), "unix:%s", e.host);
  } else {
    snprintf(printed, sizeof(printed), "[%s]:%u", e.host, e.port);
  }
  WR_ASSERT(wr_destination_parse(printed, &again, &why) == 0);
  WR_ASSERT(strcmp(e.host, again.host) == 0 && e.port == again.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  char text[1024];
  char name[WR_HOST_MAX + 1];
  if (len >= sizeof(text)) {
    return 0;
  }
  if (len > 0) {
    memcpy(text, data, len);
  }
  text[len] = '\0';
  one_spec(text, false);
  one_spec(text, true);
  one_destination(text);
  if (wr_reserved_name(text, name)) {
    WR_ASSERT(memcmp(name, "wraith-", 7) == 0);
  }
  return 0;
}
