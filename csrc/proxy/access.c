#include "proxy/access.h"

static bool key_opens(const wr_access *a, const char *host, uint16_t port) {
  return !a->no_forwarding &&
         (a->key == NULL || wr_keyopts_may_open(a->key, host, port));
}

static bool key_listens(const wr_access *a, const char *host, uint16_t port) {
  return !a->no_forwarding &&
         (a->key == NULL || wr_keyopts_may_listen(a->key, host, port));
}

static bool policy_opens(const wr_access *a, const char *host, uint16_t port) {
  if (a->policy == NULL) {
    return true;
  }
  return a->proxied ? wr_policy_proxied(a->policy, host, port)
                    : wr_policy_host(a->policy, host, port) != WR_DENY;
}

bool wr_access_host(const wr_access *a, const char *host, uint16_t port) {
  return key_opens(a, host, port) && policy_opens(a, host, port);
}

bool wr_access_address(const wr_access *a, const char *host, uint16_t port,
                       const wr_ip *ip) {
  return key_opens(a, host, port) &&
         (a->policy == NULL || wr_policy_address(a->policy, host, port, ip));
}

bool wr_access_unix(const wr_access *a, const char *path) {
  return !a->no_forwarding &&
         (a->key == NULL || wr_keyopts_may_open_unix(a->key)) &&
         (a->policy == NULL || wr_policy_unix(a->policy, path));
}

bool wr_access_reserved(const wr_access *a, const char *name, uint16_t port) {
  return key_opens(a, name, port) &&
         (a->policy == NULL || wr_policy_reserved(a->policy, name));
}

bool wr_access_listen(const wr_access *a, const char *host, uint16_t port,
                      const char *bind, uint16_t bind_port) {
  return key_listens(a, host, port) &&
         (a->policy == NULL || wr_policy_listen(a->policy, bind, bind_port));
}

bool wr_access_listen_unix(const wr_access *a, const char *path) {
  return !a->no_forwarding &&
         (a->key == NULL || wr_keyopts_may_listen_unix(a->key)) &&
         (a->policy == NULL || wr_policy_unix(a->policy, path));
}

bool wr_access_listen_reserved(const wr_access *a, const char *name) {
  return key_listens(a, name, 0) &&
         (a->policy == NULL || wr_policy_reserved(a->policy, name));
}
