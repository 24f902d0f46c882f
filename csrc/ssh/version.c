#include "ssh/version.h"

#include <libssh/libssh.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>

const char *wr_libssh_version(void) {
  /* ssh_version() adds what it is linked with: "0.12.2/openssl/zlib". */
  return SSH_STRINGIFY(LIBSSH_VERSION);
}

const char *wr_openssl_version(void) {
  return OpenSSL_version(OPENSSL_VERSION_STRING);
}

bool wr_ssh_libraries_match(void) {
  return OpenSSL_version_num() == (unsigned long)OPENSSL_VERSION_NUMBER &&
         ssh_version(LIBSSH_VERSION_INT) != NULL;
}
