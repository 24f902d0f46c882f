/* Frames: every form of a head, masks at every offset, and each thing that is
   refused, with its code. */
#include "net_help.h"

#include "net/ws_frame.h"

/* What a run of bytes decodes to, as text: data in plain, `<ping:x>`, … */
typedef struct said {
  char text[400];
  size_t len;
  uint16_t code;
  bool bad;
  bool at_frame;
} said;

static void note(said *s, const char *what, wr_slice payload) {
  s->len += (size_t)snprintf(s->text + s->len, sizeof(s->text) - s->len,
                             what[0] != '\0' ? "<%s:%.*s>" : "%s%.*s", what,
                             (int)payload.len,
                             payload.len > 0 ? (const char *)payload.data : "");
}

static void decode(wr_ws_decoder *d, said *s, uint8_t *data, size_t len) {
  size_t at = 0;
  while (at < len && !s->bad) {
    wr_slice payload;
    size_t n;
    wr_ws_event event = wr_ws_decode(d, data + at, len - at, &n, &payload);
    CHECK(n > 0 && n <= len - at);
    at += n;
    switch (event) {
    case WR_WS_DATA:
      CHECK(payload.len > 0 && payload.data + payload.len == data + at);
      note(s, "", payload);
      break;
    case WR_WS_PING:
      note(s, "ping", payload);
      break;
    case WR_WS_PONG:
      note(s, "pong", payload);
      break;
    case WR_WS_CLOSE:
      s->code = d->close_code;
      note(s, "close", (wr_slice){NULL, 0});
      break;
    case WR_WS_BAD:
      s->code = d->close_code;
      s->bad = true;
      break;
    case WR_WS_NONE:
      EQ_UINT(at, len);
      break;
    }
  }
  s->at_frame = wr_ws_at_frame(d);
}

/* Decoded whole, in two parts at each place, and byte by byte. */
static said run(bool masked, uint64_t max, const char *bytes, size_t len) {
  said whole = {.len = 0};
  for (size_t cut = 0; cut <= len + 1; cut++) {
    said got = {.len = 0};
    wr_ws_decoder d;
    uint8_t copy[512];
    memcpy(copy, bytes, len);
    wr_ws_decoder_init(&d, masked, max);
    size_t step = cut > len ? 1 : cut > 0 ? cut : len;
    for (size_t at = 0; at < len && !got.bad; at += step) {
      step = cut > len ? 1 : at > 0 ? len - at : step;
      decode(&d, &got, copy + at, WR_MIN(step, len - at));
    }
    if (cut == 0) {
      whole = got;
    }
    EQ_STR(got.text, whole.text);
    EQ_INT(got.code, whole.code);
    EQ_INT(got.bad, whole.bad);
    EQ_INT(got.at_frame, whole.at_frame);
  }
  return whole;
}

#define PLAIN(text) run(false, 1000, text, sizeof(text) - 1)
#define MASKED(text) run(true, 1000, text, sizeof(text) - 1)

TEST(data) {
  EQ_STR(PLAIN("\x82\x05Hello").text, "Hello");
  EQ_STR(MASKED("\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58").text, "Hello");
  EQ_STR(MASKED("\x82\x80wxyz\x82\x81\0\0\0\0a").text, "a");
  CHECK(PLAIN("\x82\x05Hello").at_frame);
  CHECK(!PLAIN("\x82\x05Hell").at_frame);
  CHECK(!PLAIN("\x82").at_frame);
}

TEST(fragments_and_what_comes_between) {
  said s = PLAIN("\x02\x02He\x89\x02hi\x00\x00\x00\x02ll\x8a\x00\x80\x01o");
  EQ_STR(s.text, "He<ping:hi>ll<pong:>o");
  CHECK(s.at_frame && !s.bad);
  s = PLAIN("\x02\x02He\x89\x02hi");
  EQ_STR(s.text, "He<ping:hi>");
  CHECK(!s.at_frame);
}

TEST(close) {
  said s = PLAIN("\x88\x00");
  EQ_STR(s.text, "<close:>");
  EQ_INT(s.code, 0);
  EQ_INT(PLAIN("\x88\x02\x03\xe8").code, 1000);
  EQ_INT(PLAIN("\x88\x05\x03\xe9"
               "bye")
             .code,
         1001);
  EQ_INT(PLAIN("\x88\x02\x0f\xa0").code, 4000);
  EQ_INT(MASKED("\x88\x82\1\2\3\4\x02\xea").code, 1000);
  static const unsigned bad[] = {0,    999,  1004, 1005, 1006, 1015,
                                 1016, 2000, 2999, 5000, 65535};
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    const char text[] = {'\x88', 2, (char)(bad[i] >> 8), (char)bad[i]};
    s = run(false, 1000, text, sizeof(text));
    CHECK(s.bad);
    EQ_INT(s.code, WR_WS_CODE_PROTOCOL);
  }
  CHECK(PLAIN("\x88\x01\x03").bad);
}

static void refused(bool masked, const char *bytes, size_t len, int code) {
  said s = run(masked, 1000, bytes, len);
  CHECK(s.bad);
  EQ_INT(s.code, code);
}
#define REFUSED(masked, text, code)                                            \
  refused(masked, text, sizeof(text) - 1, code)

TEST(what_is_refused) {
  REFUSED(false, "\x81\x01x", 1003); /* text */
  REFUSED(false, "\x01\x01x", 1003);
  REFUSED(false, "\x80\x01x", 1002); /* nothing to continue */
  REFUSED(false, "\x00\x01x", 1002);
  REFUSED(false, "\x02\x01x\x82\x01x", 1002); /* a message in a message */
  REFUSED(false, "\x02\x01x\x81\x01x", 1002);
  REFUSED(false, "\xc2\x01x", 1002); /* reserved bits */
  REFUSED(false, "\xa2\x01x", 1002);
  REFUSED(false, "\x92\x01x", 1002);
  for (int op = 0; op < 16; op++) {
    bool known = op <= 2 || (op >= 8 && op <= 10);
    const char text[] = {(char)(0x80 | op), 0};
    if (!known) {
      refused(false, text, sizeof(text), 1002);
    }
  }
  REFUSED(false, "\x09\x00", 1002); /* control frames in parts */
  REFUSED(false, "\x0a\x00", 1002);
  REFUSED(false, "\x08\x00", 1002);
  REFUSED(false, "\x89\x7e\x00\x7e", 1002); /* or too long */
  REFUSED(false, "\x89\x7f", 1002);
  REFUSED(true, "\x82\x01x", 1002); /* masks, missing and too many */
  REFUSED(false, "\x82\x81wxyzx", 1002);
  REFUSED(true, "\x89\x00", 1002);
  REFUSED(false, "\x82\x7e\x00\x7d", 1002); /* lengths longer than need be */
  REFUSED(false, "\x82\x7f\0\0\0\0\0\0\xff\xff", 1002);
  REFUSED(false, "\x82\x7f\x80\0\0\0\0\0\0\0", 1002);
  REFUSED(false, "\x82\x7e\x03\xe9", 1009); /* 1001 bytes */
  REFUSED(false, "\x82\x7f\0\0\0\0\0\1\0\0", 1009);
  REFUSED(false, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 1009);
  CHECK(!PLAIN("\x82\x7e\x03\xe8").bad);
}

TEST(longest_control_frame) {
  char text[2 + WR_WS_CONTROL_MAX] = "\x89\x7d";
  memset(text + 2, 'p', WR_WS_CONTROL_MAX);
  said s = run(false, 10, text, sizeof(text));
  EQ_UINT(s.len, WR_WS_CONTROL_MAX + strlen("<ping:>"));
}

TEST(heads_say_what_they_were_told) {
  static const size_t lens[] = {0, 1, 125, 126, 65535, 65536, 1 << 20};
  static const size_t sizes[] = {2, 2, 2, 4, 4, 10, 10};
  for (size_t i = 0; i < WR_COUNTOF(lens); i++) {
    for (int masked = 0; masked < 2; masked++) {
      uint8_t head[WR_WS_HEAD_MAX + 1];
      wr_slice payload;
      wr_ws_decoder d;
      size_t taken;
      size_t n = wr_ws_put_head(head, WR_WS_OP_BINARY, lens[i],
                                masked ? (const uint8_t *)"mask" : NULL);
      EQ_UINT(n, sizes[i] + (masked ? 4 : 0));
      wr_ws_decoder_init(&d, masked, 1 << 20);
      head[n] = 'x';
      wr_ws_event want = lens[i] > 0 ? WR_WS_DATA : WR_WS_NONE;
      wr_ws_event event =
          wr_ws_decode(&d, head, lens[i] > 0 ? n + 1 : n, &taken, &payload);
      EQ_INT(event, want);
      EQ_UINT(d.left, lens[i] > 0 ? lens[i] - 1 : 0);
    }
  }
}

TEST(masks_at_each_offset_and_length) {
  static const uint8_t mask[4] = {0x11, 0x22, 0x44, 0x88};
  uint8_t plain[64];
  for (size_t i = 0; i < sizeof(plain); i++) {
    plain[i] = pattern(1, i);
  }
  for (size_t at = 0; at < 9; at++) {
    for (size_t len = 0; len < 40; len++) {
      uint8_t out[64] = {0};
      wr_ws_mask(out + 1, plain, len, mask, at);
      for (size_t i = 0; i < len; i++) {
        EQ_INT(out[1 + i], plain[i] ^ mask[(at + i) & 3]);
      }
      EQ_INT(out[len + 1], 0);
      wr_ws_mask(out + 1, out + 1, len, mask, at);
      EQ_MEM(out + 1, len, plain, len);
    }
  }
}

/* What was not taken is as it came, also at the end of a frame, and the next frame
   is still found behind it. */
TEST(undo) {
  static const char text[] = "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
                             "\x82\x81\0\0\0\0!";
  const size_t len = sizeof(text) - 1;
  for (size_t keep = 0; keep < 5; keep++) {
    uint8_t copy[sizeof(text)];
    wr_slice payload;
    wr_ws_decoder d;
    size_t n;
    said s = {.len = 0};
    memcpy(copy, text, sizeof(text));
    wr_ws_decoder_init(&d, true, 1000);
    wr_ws_event event = wr_ws_decode(&d, copy, len, &n, &payload);
    EQ_INT(event, WR_WS_DATA);
    EQ_UINT(n, 11);
    size_t left = payload.len - keep;
    note(&s, "", (wr_slice){payload.data, keep});
    wr_ws_undo(&d, copy + n - left, left);
    EQ_MEM(copy + n - left, left, text + n - left, left);
    CHECK(!wr_ws_at_frame(&d));
    decode(&d, &s, copy + n - left, len - n + left);
    EQ_STR(s.text, "Hello!");
    CHECK(s.at_frame);
  }
}

TAP_MAIN()
