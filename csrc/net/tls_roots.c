#include "net/tls_roots.h"

#include <unistd.h>

const char *wr_tls_system_roots(void) {
  static const char *const usual[] = {
      "/etc/ssl/certs/ca-certificates.crt", /* Debian, Arch, Gentoo, Alpine */
      "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora */
      "/etc/pki/tls/certs/ca-bundle.crt",                  /* older ones */
      "/etc/ssl/ca-bundle.pem",                            /* SUSE */
      "/etc/ssl/cert.pem",                      /* macOS, Alpine, OpenBSD */
      "/usr/local/share/certs/ca-root-nss.crt", /* FreeBSD */
  };
  const char *file = getenv("SSL_CERT_FILE");
  if (file != NULL && file[0] != '\0') {
    return file;
  }
  for (size_t i = 0; i < WR_COUNTOF(usual); i++) {
    if (access(usual[i], R_OK) == 0) {
      return usual[i];
    }
  }
  return NULL;
}
