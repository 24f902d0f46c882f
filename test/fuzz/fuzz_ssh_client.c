/* The SSH client before keys are in use: version line, key exchange. The first
   byte says in which pieces the rest comes. */
#include "ssh_raw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static raw_env e;
  if (size > 0) {
    raw_run(&e, WR_SSH_CLIENT, data + 1, size - 1, (size_t)data[0] * 4 + 1);
  }
  return 0;
}
