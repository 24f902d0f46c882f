/* The SSH transport layer over a carrier: version lines, greetings and the names
 * in them (RFC 4253, section 4.2).
 */
#include "carrier_pair.h"

/* What a server (or client) makes of the beginning of its input. */
static int first_input(int server, feed how, const uint8_t *data, size_t len) {
  pair t;
  int rc;
  size_t i, n;

  pair_init(&t, X25519, GCM256);
  for (i = 0; i < len; i += n) {
    n = how == FEED_BYTES ? 1 : len - i;
    give(server ? &t.server : &t.client, data + i, n);
  }
  rc = server ? t.server.error : t.client.error;
  pair_free(&t);
  return rc;
}

TEST(version_lines) {
  static const struct {
    const char *line;
    int by_server; /* the server's verdict, 1 is an error */
    int by_client;
  } lines[] = {
      {"SSH-2.0-a\r\n", 0, 0},
      {"SSH-2.0-a\n", 0, 0},
      {"SSH-2.0-a b c\r\n", 0, 0},
      {"SSH-2.0-\r\n", 1, 1},
      {"SSH-2.1-a\r\n", 1, 1},
      {"SSH-1.5-a\r\n", 1, 1},
      {"SSH-1.99-a\r\n", 1, 0},
      {"SSH-2.0\r\n", 1, 1},
      {"SSH-\r\n", 1, 1},
      {"SSH-2.0-a\rb\r\n", 1, 1},
      {"SSH-2.0-a\tb\r\n", 1, 1},
      {"GET / HTTP/1.1\r\n", 1, 0},
      {"\r\n", 1, 0},
      {"S\r\n", 1, 0},
      {"\x16\x03\x01\x02", 1, 0},
      {"SSH-2.0-unfinished", 0, 0},
  };
  size_t i;
  int how;

  for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
    const uint8_t *line = (const uint8_t *)lines[i].line;
    size_t len = strlen(lines[i].line);

    for (how = FEED_WHOLE; how <= FEED_BYTES; how++) {
      OK(first_input(1, (feed)how, line, len) == lines[i].by_server,
         "server: %s", lines[i].line);
      OK(first_input(0, (feed)how, line, len) == lines[i].by_client,
         "client: %s", lines[i].line);
    }
  }
  EQ_INT(first_input(1, FEED_WHOLE, (const uint8_t *)"SSH-2.0-a\0b\n", 12), 1);
}

TEST(version_lines_are_bounded) {
  static uint8_t text[70000];

  memset(text, 'a', sizeof(text));
  memcpy(text, "SSH-2.0-", 8);
  text[254] = '\n';
  EQ_INT(first_input(1, FEED_WHOLE, text, 255), 0);
  text[254] = 'a';
  EQ_INT(first_input(1, FEED_BYTES, text, 254), 0);
  EQ_INT(first_input(1, FEED_BYTES, text, 255), 1);
  EQ_INT(first_input(0, FEED_WHOLE, text, 300), 1);

  /* Lines in front of a server's version line. */
  memset(text, 'a', sizeof(text));
  EQ_INT(first_input(0, FEED_WHOLE, text, 65536), 0);
  EQ_INT(first_input(0, FEED_WHOLE, text, 65537), 1);
  memset(text, '\n', sizeof(text));
  EQ_INT(first_input(0, FEED_WHOLE, text, 65537), 1);
  memcpy(text + 60000, "\nSSH-2.0-a\r\n", 12);
  EQ_INT(first_input(0, FEED_WHOLE, text, 60012), 0);
}

TEST(a_greeting_in_front_of_the_version_is_skipped) {
  pair t;

  pair_init(&t, X25519, GCM256);
  give(&t.client, (const uint8_t *)"Welcome\r\nSSH is here\n\r\n", 23);
  exchange(&t, FEED_BYTES);
  check_handshake(&t, X25519, GCM256);
  pair_free(&t);
}

TEST(software_names_are_checked) {
  char name[300];
  ssh_session s = ssh_new();

  memset(name, 'a', sizeof(name));
  name[201] = '\0';
  EQ_INT(ssh_carrier_set_version(s, name), SSH_ERROR);
  name[200] = '\0';
  EQ_INT(ssh_carrier_set_version(s, name), SSH_OK);
  EQ_INT(ssh_carrier_set_version(s, ""), SSH_ERROR);
  EQ_INT(ssh_carrier_set_version(s, "a\nb"), SSH_ERROR);
  EQ_INT(ssh_carrier_set_version(s, "a\x80"), SSH_ERROR);
  EQ_INT(ssh_carrier_set_version(s, NULL), SSH_ERROR);
  ssh_free(s);
}

TAP_MAIN_WITH(carrier_set_up, carrier_tear_down)
