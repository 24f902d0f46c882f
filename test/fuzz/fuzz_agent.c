/* Answers of an ssh-agent: what is taken for a list is walked to its end, and
   what is taken for a signature lies in the answer. The input is what the
   connection brought so far. */

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/agentmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(wr_slice part, wr_slice all) {
  return part.data >= all.data && part.len <= all.len &&
         part.data + part.len <= all.data + all.len;
}

static void check_error(int err) {
  WR_ASSERT(err == WR_EAGENT_PROTOCOL || err == WR_EAGENT_REFUSED);
}

static void check_signature(wr_slice answer, wr_slice blob) {
  wr_slice sig = {NULL, 0};
  int err = wr_agentmsg_read_signature(answer, blob, &sig);
  if (err == 0) {
    WR_ASSERT(sig.len > 0 && inside(sig, answer));
  } else {
    check_error(err);
    WR_ASSERT(sig.data == NULL);
  }
}

static void check_list(wr_slice answer) {
  wr_slice keys;
  wr_slice blob;
  size_t n = 0;
  int err = wr_agentmsg_read_list(answer, &keys);
  if (err != 0) {
    check_error(err);
    return;
  }
  while (wr_agentmsg_next_key(&keys, &blob)) {
    WR_ASSERT(blob.len > 0 && inside(blob, answer));
    WR_ASSERT(++n <= WR_AGENT_KEYS_MAX);
  }
  WR_ASSERT(keys.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t blob[] = {0,   0,   0,   11,  's', 's', 'h', '-',
                                 'e', 'd', '2', '5', '5', '1', '9'};
  wr_slice in = {data, size};
  long n = wr_agentmsg_size(in);
  WR_ASSERT(n == 0 || n == WR_EAGENT_PROTOCOL ||
            (n > 4 && (size_t)n <= 4 + WR_AGENT_ANSWER_MAX));
  if (n > 0 && (size_t)n <= size) {
    wr_slice answer = {data, (size_t)n};
    check_list(answer);
    check_signature(answer, (wr_slice){blob, sizeof(blob)});
  }
  return 0;
}
