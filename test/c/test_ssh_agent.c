/* Requests to an ssh-agent over a Unix socket. The agent is the test's. */
#include "net_help.h"

#include <unistd.h>

#include "base/wire.h"
#include "ssh/agent.h"
#include "ssh/key.h"
#include "ssh/verify.h"

/* Longer than a turn, shorter than anybody waits. */
#define SHORT_MS 30

typedef enum agent_mode {
  ANSWERS = 0,
  ANSWERS_IN_PIECES,
  IS_SILENT,
  CLOSES,
  CLOSES_AFTER_HALF,
  TALKS_JUNK,
  TALKS_FOR_EVER,
  REFUSES,
  ADDS_MORE
} agent_mode;

static struct {
  env e;
  char dir[32];
  char path[64];
  wr_listener *l;
  agent_mode mode;
  wr_key *key;
  /* the agent's connection */
  wr_link *link;
  wr_buf in;
  int connections;
  /* what the client got */
  wr_agent *agent;
  bool done;
  int calls;
  int status;
  wr_buf answer;
} v;

/* THE AGENT */

/* True if all of it has gone out. */
static bool say(const void *data, size_t len) {
  size_t taken = 0;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
  int err = wr_link_write(v.link, &buf, 1, &taken);
  return err == 0 && taken == len;
}

static void put_answer(wr_buf *b) {
  wr_slice blob = wr_key_blob(v.key);
  MUST(wr_buf_put_u32(b, 0) == 0);
  if (v.in.data[4] == 11) {
    MUST(wr_buf_put_u8(b, 12) == 0 && wr_buf_put_u32(b, 1) == 0);
    MUST(wr_buf_put_string(b, blob.data, blob.len) == 0);
    MUST(wr_buf_put_cstring(b, "comment") == 0);
  } else {
    wr_rd r;
    wr_buf sig;
    wr_rd_init(&r, v.in.data + 5, v.in.len - 5);
    CHECK(wr_slice_same(wr_rd_string(&r), blob));
    wr_slice data = wr_rd_string(&r);
    EQ_UINT(wr_rd_u32(&r), 0);
    CHECK(wr_rd_done(&r));
    wr_buf_init(&sig, &v.e.ctx.mem, 1024);
    MUST(wr_key_sign(v.key, data.data, data.len, &sig) == 0);
    MUST(wr_buf_put_u8(b, 14) == 0);
    MUST(wr_buf_put_string(b, sig.data, sig.len) == 0);
    wr_buf_reset(&sig);
  }
  wr_put_u32(b->data, (uint32_t)(b->len - 4));
}

static void answer(void) {
  wr_buf b;
  wr_buf_init(&b, &v.e.ctx.mem, 4096);
  put_answer(&b);
  size_t len = v.mode == CLOSES_AFTER_HALF ? b.len / 2 : b.len;
  if (v.mode == ADDS_MORE) {
    MUST(wr_buf_append(&b, "more", 4) == 0);
    len = b.len;
  }
  if (v.mode == ANSWERS_IN_PIECES) {
    for (size_t i = 0; i < len; i++) {
      say(b.data + i, 1);
    }
  } else {
    say(b.data, len);
  }
  wr_buf_reset(&b);
}

static void behave(void) {
  static const uint8_t endless[32 * 1024] = {0, 4, 0, 0, 12};
  switch (v.mode) {
  case ANSWERS:
  case ANSWERS_IN_PIECES:
  case ADDS_MORE:
    answer();
    break;
  case CLOSES_AFTER_HALF:
    answer();
    wr_link_close(v.link, WR_CLOSE_ORDERLY);
    break;
  case IS_SILENT:
    break;
  case CLOSES:
    wr_link_close(v.link, WR_CLOSE_ORDERLY);
    break;
  case TALKS_JUNK:
    say("HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    break;
  case TALKS_FOR_EVER:
    while (say(endless, sizeof(endless))) {
    }
    break;
  case REFUSES:
    say("\0\0\0\1\5", 5);
    break;
  }
}

static size_t on_agent_read(wr_link *link, uint8_t *data, size_t len) {
  WR_UNUSED(link);
  MUST(wr_buf_append(&v.in, data, len) == 0);
  long size = wr_agentmsg_size((wr_slice){v.in.data, v.in.len});
  if (size > 0 && v.in.len >= (size_t)size) {
    behave();
  }
  return len;
}

static void on_agent_eof(wr_link *link) {
  wr_link_close(link, WR_CLOSE_ORDERLY);
}

static void on_agent_writable(wr_link *link) {
  WR_UNUSED(link);
  if (v.mode == TALKS_FOR_EVER) {
    behave();
  }
}

static void on_agent_close(wr_link *link, int status) {
  WR_UNUSED(status);
  CHECK(link == v.link);
  v.link = NULL;
}

static const wr_link_handler agent_handler = {.on_read = on_agent_read,
                                              .on_eof = on_agent_eof,
                                              .on_writable = on_agent_writable,
                                              .on_close = on_agent_close};

static void on_accept(wr_listener *l, wr_link *link) {
  WR_UNUSED(l);
  v.connections++;
  v.link = link;
  link->handler = &agent_handler;
  MUST(wr_link_read_start(link) == 0);
}

static const wr_listener_handler listener = {.on_accept = on_accept};

/* THE CLIENT */

static void on_answer(void *user, int status, wr_slice data) {
  CHECK(user == &v);
  v.calls++;
  v.status = status;
  v.agent = NULL;
  v.done = true;
  if (status == 0) {
    MUST(wr_buf_append(&v.answer, data.data, data.len) == 0);
  } else {
    EQ_UINT(data.len, 0);
  }
}

static void set_up(void) {
  memset(&v, 0, sizeof(v));
  env_open(&v.e);
  MUST(wr_key_generate(&v.e.ctx.mem, &v.key) == 0);
  wr_buf_init(&v.in, &v.e.ctx.mem, 4096);
  wr_buf_init(&v.answer, &v.e.ctx.mem, 4096);
  snprintf(v.dir, sizeof(v.dir), "/tmp/wr-agent-XXXXXX");
  MUST(mkdtemp(v.dir) != NULL);
  snprintf(v.path, sizeof(v.path), "%s/s", v.dir);
  MUST(wr_listener_unix(&v.e.ctx, v.path, &listener, NULL, &v.l) == 0);
}

static void tear_down(void) {
  wr_listener_close(v.l);
  wr_buf_reset(&v.in);
  wr_buf_reset(&v.answer);
  wr_key_unref(v.key);
  if (v.link != NULL) {
    wr_link_close(v.link, WR_CLOSE_RESET);
  }
  env_settle(&v.e);
  CHECK(v.calls <= 1);
  env_close(&v.e);
  rmdir(v.dir);
}

/* Up to here the agent has read, or lost its connection. */
static bool has_request(void) {
  return v.in.len > 0;
}

static bool has_no_link(void) {
  return v.link == NULL;
}

static bool was_left(void) {
  return v.connections == 1 && v.link == NULL;
}

static void run_until(bool (*check)(void)) {
  wr_ctx_hold(&v.e.ctx);
  while (!check()) {
    uv_run(&v.e.loop, UV_RUN_ONCE);
  }
  wr_ctx_release(&v.e.ctx);
}

static void list(agent_mode mode, uint64_t timeout_ms) {
  v.mode = mode;
  MUST(wr_agent_list(&v.e.ctx, v.path, timeout_ms, on_answer, &v, &v.agent) ==
       0);
}

static void sign(agent_mode mode) {
  wr_slice text = {(const uint8_t *)"text", 4};
  v.mode = mode;
  MUST(wr_agent_sign(&v.e.ctx, v.path, wr_key_blob(v.key), text, on_answer, &v,
                     &v.agent) == 0);
}

static void expect_key(void) {
  wr_slice keys = {v.answer.data, v.answer.len};
  wr_slice blob;
  EQ_INT(v.status, 0);
  CHECK(wr_agentmsg_next_key(&keys, &blob));
  CHECK(wr_slice_same(blob, wr_key_blob(v.key)));
  CHECK(!wr_agentmsg_next_key(&keys, &blob));
}

TEST(a_list_comes) {
  list(ANSWERS, 0);
  EQ_INT(v.calls, 0);
  env_until(&v.e, &v.done);
  expect_key();
}

TEST(a_list_comes_in_pieces) {
  list(ANSWERS_IN_PIECES, 0);
  env_until(&v.e, &v.done);
  expect_key();
}

TEST(what_comes_behind_an_answer_is_nobodys) {
  list(ADDS_MORE, 0);
  env_until(&v.e, &v.done);
  expect_key();
}

TEST(a_signature_comes) {
  sign(ANSWERS_IN_PIECES);
  env_until(&v.e, &v.done);
  EQ_INT(v.status, 0);
  wr_slice sig = {v.answer.data, v.answer.len};
  EQ_INT(wr_sig_verify(wr_key_blob(v.key), sig, "text", 4, NULL), 0);
}

TEST(what_goes_wrong_has_a_code) {
  static const struct {
    agent_mode mode;
    int status;
  } cases[] = {
      {IS_SILENT, WR_EAGENT_TIMEOUT},        {CLOSES, WR_EAGENT_CLOSED},
      {CLOSES_AFTER_HALF, WR_EAGENT_CLOSED}, {TALKS_JUNK, WR_EAGENT_PROTOCOL},
      {TALKS_FOR_EVER, WR_EAGENT_PROTOCOL},  {REFUSES, WR_EAGENT_REFUSED}};
  for (size_t i = 0; i < WR_COUNTOF(cases); i++) {
    v.done = false;
    wr_buf_consume(&v.in, v.in.len);
    list(cases[i].mode, cases[i].mode == IS_SILENT ? SHORT_MS : 0);
    env_until(&v.e, &v.done);
    EQ_INT(v.status, cases[i].status);
    EQ_INT(v.calls, 1);
    v.calls = 0;
    run_until(has_no_link);
  }
}

TEST(an_absent_agent_has_a_code) {
  static const char *const paths[] = {"/nowhere/agent", "/dev/null", "/tmp"};
  char longer[200];
  for (size_t i = 0; i < WR_COUNTOF(paths); i++) {
    v.done = false;
    v.calls = 0;
    MUST(wr_agent_list(&v.e.ctx, paths[i], 0, on_answer, &v, &v.agent) == 0);
    env_until(&v.e, &v.done);
    EQ_INT(v.status, WR_EAGENT_UNAVAILABLE);
  }
  memset(longer, 'x', sizeof(longer));
  longer[0] = '/';
  longer[sizeof(longer) - 1] = '\0';
  EQ_INT(wr_agent_list(&v.e.ctx, longer, 0, on_answer, &v, &v.agent),
         WR_EAGENT_UNAVAILABLE);
}

TEST(a_signature_has_no_limit_of_its_own) {
  wr_ctx_fake_clock(&v.e.ctx);
  sign(IS_SILENT);
  run_until(has_request);
  wr_ctx_advance(&v.e.ctx, UINT64_C(1000) * WR_AGENT_TIMEOUT_MS);
  EQ_INT(v.calls, 0);
  behave();
  v.mode = ANSWERS;
  behave();
  env_until(&v.e, &v.done);
  EQ_INT(v.status, 0);
}

TEST(cancelled_at_any_time) {
  list(ANSWERS, 0);
  wr_agent_cancel(v.agent);
  run_until(was_left);
  sign(IS_SILENT);
  run_until(has_request);
  wr_agent_cancel(v.agent);
  run_until(has_no_link);
  EQ_INT(v.calls, 0);
}

TEST(every_allocation_may_fail) {
  uint64_t total = 0;
  for (uint64_t n = 0; n <= total; n++) {
    uint64_t before = v.e.ctx.mem.total;
    wr_slice text = {(const uint8_t *)"text", 4};
    v.done = false;
    v.calls = 0;
    v.mode = REFUSES;
    wr_buf_consume(&v.in, v.in.len);
    v.e.ctx.mem.fail_at = n == 0 ? 0 : before + n;
    int err = wr_agent_sign(&v.e.ctx, v.path, wr_key_blob(v.key), text,
                            on_answer, &v, &v.agent);
    v.e.ctx.mem.fail_at = 0;
    if (n == 0) {
      total = v.e.ctx.mem.total - before;
    }
    if (err == 0) {
      env_until(&v.e, &v.done);
      EQ_INT(n, 0);
      EQ_INT(v.status, WR_EAGENT_REFUSED);
    } else {
      EQ_INT(err, WR_ENOMEM);
    }
  }
  OK(total >= 4, "%d allocations", (int)total);
}

TAP_MAIN_WITH(set_up, tear_down)
