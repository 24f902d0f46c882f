#include "net/reserved.h"

#include <string.h>

#include "base/wire.h"

#define PREFIX "wraith-"

bool wr_reserved_name(const char *host, char name[WR_HOST_MAX + 1]) {
  size_t len = strlen(host);
  if (len > 0 && host[len - 1] == '.') {
    len--;
  }
  const size_t prefix = sizeof(PREFIX) - 1;
  if (len < prefix || len > WR_HOST_MAX || memchr(host, '.', len) != NULL) {
    return false;
  }
  for (size_t i = 0; i < prefix; i++) {
    if (wr_lower((uint8_t)host[i]) != (uint8_t)PREFIX[i]) {
      return false;
    }
  }
  for (size_t i = 0; i < len; i++) {
    name[i] = (char)wr_lower((uint8_t)host[i]);
  }
  name[len] = '\0';
  return true;
}
