/* The messages of the ssh-agent protocol. */
#include "tap.h"

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/agentmsg.h"
#include "ssh/cert.h"

#define ANSWER 12
#define SIGNED 14

static wr_mem mem;
static wr_buf b;

static void set_up(void) {
  wr_mem_init(&mem);
  wr_buf_init(&b, &mem, (size_t)1 << 20);
}

static void tear_down(void) {
  wr_buf_reset(&b);
  EQ_UINT(mem.live_blocks, 0);
}

static wr_slice all(void) {
  return (wr_slice){b.data, b.len};
}

/* The length in front, once all is there. */
static wr_slice sealed(void) {
  wr_put_u32(b.data, (uint32_t)(b.len - 4));
  return all();
}

static void begin(uint8_t number) {
  wr_buf_consume(&b, b.len);
  MUST(wr_buf_put_u32(&b, 0) == 0 && wr_buf_put_u8(&b, number) == 0);
}

/* A blob that begins with its type. */
static wr_slice blob(const char *type) {
  static uint8_t bytes[128];
  size_t n = strlen(type);
  wr_put_u32(bytes, (uint32_t)n);
  memcpy(bytes + 4, type, n);
  memset(bytes + 4 + n, 7, 36);
  return (wr_slice){bytes, n + 40};
}

static void put_key(const char *type) {
  wr_slice key = blob(type);
  MUST(wr_buf_put_string(&b, key.data, key.len) == 0);
  MUST(wr_buf_put_cstring(&b, "a comment") == 0);
}

TEST(requests_are_as_the_protocol_says) {
  MUST(wr_agentmsg_put_list(&b) == 0);
  EQ_MEM(b.data, b.len, "\0\0\0\1\13", 5);
  wr_buf_consume(&b, b.len);
  wr_slice key = {(const uint8_t *)"key", 3};
  wr_slice data = {(const uint8_t *)"to sign", 7};
  MUST(wr_agentmsg_put_sign(key, data, &b) == 0);
  static const char want[] = "\0\0\0\27\15\0\0\0\3key\0\0\0\7to sign\0\0\0\0";
  EQ_MEM(b.data, b.len, want, sizeof(want) - 1);
}

TEST(a_request_is_whole_or_not_at_all) {
  wr_buf small;
  wr_slice key = {(const uint8_t *)"key", 3};
  wr_buf_init(&small, &mem, 20);
  EQ_INT(wr_agentmsg_put_sign(key, key, &small), WR_ELIMIT);
  EQ_UINT(small.len, 0);
  wr_slice huge = {(const uint8_t *)"", WR_AGENT_ANSWER_MAX + 1};
  EQ_INT(wr_agentmsg_put_sign(key, huge, &b), WR_ELIMIT);
  EQ_UINT(b.len, 0);
  wr_buf_reset(&small);
}

TEST(the_size_of_a_message_is_bounded) {
  static const struct {
    const char *bytes;
    size_t len;
    long want;
  } cases[] = {
      {"", 0, 0},
      {"\0\0\0", 3, 0},
      {"\0\0\0\0", 4, WR_EAGENT_PROTOCOL},
      {"\0\0\0\1", 4, 5},
      {"\0\4\0\0", 4, 4 + 262144},
      {"\0\4\0\1", 4, WR_EAGENT_PROTOCOL},
      {"\xff\xff\xff\xff", 4, WR_EAGENT_PROTOCOL},
  };
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    wr_slice in = {(const uint8_t *)cases[i].bytes, cases[i].len};
    EQ_INT(wr_agentmsg_size(in), cases[i].want);
  }
}

TEST(keys_that_cannot_log_in_are_skipped) {
  static const char *const types[] = {
      "ssh-rsa",          "ssh-ed25519",  "ecdsa-sha2-nistp256",
      WR_CERT_ED25519,    "ssh-ed25519x", "sk-ssh-ed25519@openssh.com",
      WR_CERT_SK_ED25519, "new@example"};
  static const size_t wanted[] = {1, 3, 5, 6};
  wr_slice keys;
  wr_slice got;
  begin(ANSWER);
  MUST(wr_buf_put_u32(&b, WR_COUNTOF(types) + 1) == 0);
  for (size_t i = 0; i < WR_COUNTOF(types); i++) {
    put_key(types[i]);
  }
  MUST(wr_buf_put_string(&b, "", 0) == 0 && wr_buf_put_cstring(&b, "") == 0);
  MUST(wr_agentmsg_read_list(sealed(), &keys) == 0);
  for (size_t i = 0; i < WR_COUNTOF(wanted); i++) {
    CHECK(wr_agentmsg_next_key(&keys, &got));
    CHECK(wr_slice_same(got, blob(types[wanted[i]])));
  }
  CHECK(!wr_agentmsg_next_key(&keys, &got));
  CHECK(!wr_agentmsg_next_key(&keys, &got));
}

TEST(an_empty_list_is_one) {
  wr_slice keys;
  wr_slice got;
  begin(ANSWER);
  MUST(wr_buf_put_u32(&b, 0) == 0);
  EQ_INT(wr_agentmsg_read_list(sealed(), &keys), 0);
  CHECK(!wr_agentmsg_next_key(&keys, &got));
}

TEST(a_list_is_checked_whole) {
  wr_slice keys;
  begin(ANSWER);
  MUST(wr_buf_put_u32(&b, 2) == 0);
  put_key("ssh-ed25519");
  EQ_INT(wr_agentmsg_read_list(sealed(), &keys), WR_EAGENT_PROTOCOL);
  put_key("ssh-ed25519");
  EQ_INT(wr_agentmsg_read_list(sealed(), &keys), 0);
  for (size_t cut = 1; cut < b.len; cut++) {
    wr_slice part = {b.data, b.len - cut};
    EQ_INT(wr_agentmsg_read_list(part, &keys), WR_EAGENT_PROTOCOL);
  }
  MUST(wr_buf_put_u8(&b, 0) == 0);
  EQ_INT(wr_agentmsg_read_list(sealed(), &keys), WR_EAGENT_PROTOCOL);
  begin(ANSWER);
  MUST(wr_buf_put_u32(&b, WR_AGENT_KEYS_MAX + 1) == 0);
  for (int i = 0; i <= WR_AGENT_KEYS_MAX; i++) {
    put_key("ssh-ed25519");
  }
  EQ_INT(wr_agentmsg_read_list(sealed(), &keys), WR_EAGENT_PROTOCOL);
}

TEST(failures_and_other_answers_are_told_apart) {
  static const uint8_t failures[] = {5, 30, 102};
  wr_slice out;
  for (size_t i = 0; i < sizeof(failures); i++) {
    begin(failures[i]);
    EQ_INT(wr_agentmsg_read_list(sealed(), &out), WR_EAGENT_REFUSED);
    EQ_INT(wr_agentmsg_read_signature(sealed(), blob("ssh-ed25519"), &out),
           WR_EAGENT_REFUSED);
  }
  begin(6);
  EQ_INT(wr_agentmsg_read_list(sealed(), &out), WR_EAGENT_PROTOCOL);
  EQ_INT(wr_agentmsg_read_signature(sealed(), blob("ssh-ed25519"), &out),
         WR_EAGENT_PROTOCOL);
}

static int read_signature(const char *algorithm, const char *key) {
  wr_slice inner = blob(algorithm);
  wr_slice sig = {NULL, 0};
  begin(SIGNED);
  MUST(wr_buf_put_string(&b, inner.data, inner.len) == 0);
  int rc = wr_agentmsg_read_signature(sealed(), blob(key), &sig);
  if (rc == 0) {
    CHECK(wr_slice_same(sig, blob(algorithm)));
  }
  return rc;
}

TEST(a_signature_is_of_the_keys_algorithm) {
  const char *plain = "ssh-ed25519";
  const char *sk = "sk-ssh-ed25519@openssh.com";
  EQ_INT(read_signature(plain, plain), 0);
  EQ_INT(read_signature(plain, WR_CERT_ED25519), 0);
  EQ_INT(read_signature(sk, sk), 0);
  EQ_INT(read_signature(sk, WR_CERT_SK_ED25519), 0);
  EQ_INT(read_signature(sk, plain), WR_EAGENT_PROTOCOL);
  EQ_INT(read_signature(plain, sk), WR_EAGENT_PROTOCOL);
  EQ_INT(read_signature("rsa-sha2-256", plain), WR_EAGENT_PROTOCOL);
  EQ_INT(read_signature(WR_CERT_ED25519, WR_CERT_ED25519), WR_EAGENT_PROTOCOL);
  EQ_INT(read_signature("ssh-rsa", "ssh-rsa"), WR_EAGENT_PROTOCOL);
  wr_slice sig;
  begin(SIGNED);
  MUST(wr_buf_put_string(&b, "", 0) == 0);
  EQ_INT(wr_agentmsg_read_signature(sealed(), blob(plain), &sig),
         WR_EAGENT_PROTOCOL);
}

TAP_MAIN_WITH(set_up, tear_down)
