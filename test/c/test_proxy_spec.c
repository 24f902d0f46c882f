#include "tap.h"

#include "base/errors.h"
#include "proxy/spec.h"

/* What a specification comes to, in one line: "-" stands for none. */
static void show(const wr_endpoint *e, char *dst, size_t cap) {
  if (e->is_unix) {
    snprintf(dst, cap, "unix %s", e->host);
  } else {
    snprintf(dst, cap, "%s %u", e->host[0] ? e->host : "-", e->port);
  }
}

static void is_spec(bool remote, const char *text, const char *bind,
                    const char *target) {
  wr_forward_spec s;
  const char *why = NULL;
  char got[WR_HOST_MAX + 16];
  int err = wr_forward_spec_parse(text, remote, &s, &why);
  if (!OK(err == 0, "%s is taken (%s)", text, why ? why : "")) {
    return;
  }
  show(&s.bind, got, sizeof(got));
  if (!EQ_STR(got, bind)) {
    DIAG("bind of %s", text);
  }
  EQ_INT(s.bind_given, bind[0] != '-');
  show(&s.target, got, sizeof(got));
  if (!EQ_STR(got, target)) {
    DIAG("target of %s", text);
  }
}

static void no_spec(bool remote, const char *text, const char *part) {
  wr_forward_spec s = {.bind = {.port = 77}};
  const char *why = NULL;
  EQ_INT(wr_forward_spec_parse(text, remote, &s, &why), WR_ESPEC);
  OK(why != NULL && strstr(why, part) != NULL, "%s: \"%s\" says \"%s\"", text,
     why ? why : "NULL", part);
  OK(s.bind.port == 77, "%s: nothing is written on failure", text);
}

TEST(both_directions_share_the_shapes_of_ssh) {
  for (int remote = 0; remote < 2; remote++) {
    is_spec(remote, "8080:host:80", "- 8080", "host 80");
    is_spec(remote, "127.0.0.1:8080:host:80", "127.0.0.1 8080", "host 80");
    is_spec(remote, "localhost:1:h:65535", "localhost 1", "h 65535");
    is_spec(remote, "*:8080:host:80", "* 8080", "host 80");
    is_spec(remote, ":8080:host:80", "* 8080", "host 80");
    is_spec(remote, "[::1]:8080:host:80", "::1 8080", "host 80");
    is_spec(remote, "[::]:8080:[2001:db8::5]:80", ":: 8080", "2001:db8::5 80");
    is_spec(remote, "8080:[::1]:80", "- 8080", "::1 80");
    is_spec(remote, "[fe80::1%eth0]:1:[h]:2", "fe80::1%eth0 1", "h 2");
    is_spec(remote, "8080:/run/x.sock", "- 8080", "unix /run/x.sock");
    is_spec(remote, "*:8080:/run/x.sock", "* 8080", "unix /run/x.sock");
    is_spec(remote, "[::1]:8080:/x", "::1 8080", "unix /x");
    is_spec(remote, "/run/a b:host:80", "unix /run/a b", "host 80");
    is_spec(remote, "/run/a:/run/b", "unix /run/a", "unix /run/b");
    is_spec(remote, "[/run/a:b]:[/run/c:d]", "unix /run/a:b", "unix /run/c:d");
    is_spec(remote, "/run/a:[::1]:80", "unix /run/a", "::1 80");
  }
}

TEST(port_0_is_for_binds_alone) {
  for (int remote = 0; remote < 2; remote++) {
    is_spec(remote, "0:host:80", "- 0", "host 80");
    is_spec(remote, "[::1]:0:host:80", "::1 0", "host 80");
  }
  no_spec(true, "80:host:0", "from 1 to 65535");
  no_spec(true, "65536:host:80", "from 0 to 65535");
}

TEST(reserved_names_are_listened_on_remotely_with_port_0) {
  is_spec(true, "wraith-chat:0:host:80", "wraith-chat 0", "host 80");
  no_spec(true, "wraith-chat:80:host:80", "port 0");
  no_spec(false, "wraith-chat:80:host:80", "no local address");
  is_spec(false, "80:wraith-control:1", "- 80", "wraith-control 1");
  no_spec(true, "80:Wraith-Control.:1", "no target");
}

TEST(reverse_socks_is_refused_in_clear_words) {
  no_spec(true, "1080", "reverse SOCKS");
  no_spec(true, "localhost:1080", "reverse SOCKS");
}

TEST(malformed_specifications_say_what_is_wrong) {
  no_spec(false, "", "expected");
  no_spec(false, "8080", "expected");
  no_spec(false, "8080:host", "expected");
  no_spec(false, "/a", "expected");
  no_spec(false, "/a:b", "neither");
  no_spec(false, "/a:b:c:d", "expected");
  no_spec(false, "1:2:3:4:5", "too many colons");
  no_spec(false, "::1:80:host:80", "too many colons");
  no_spec(false, "8080:2001:db8::1:80", "too many colons");
  no_spec(false, "[::1:80:host:80", "']'");
  no_spec(false, "[::1]80:host:80", "']'");
  no_spec(false, "[", "']'");
  no_spec(false, "8080::80", "host is missing");
  no_spec(false, "8080:[]:80", "host is missing");
  no_spec(false, "8080:ho st:80", "character");
  no_spec(false, "8080:ho\tst:80", "character");
  no_spec(false, "8080:a/b:80", "character");
  no_spec(false, "8080:a]b:80", "character");
  no_spec(false, "x:host:80", "not a number");
  no_spec(false, "-1:host:80", "not a number");
  no_spec(false, "+1:host:80", "not a number");
  no_spec(false, " 1:host:80", "not a number");
  no_spec(false, "1 :host:80", "not a number");
  no_spec(false, "0x50:host:80", "not a number");
  no_spec(false, "80:host:http", "not a number");
  no_spec(false, "80:host:[80]", "not a number");
  no_spec(false, "80:host:", "not a number");
  no_spec(false, ":host:80", "not a number");
  no_spec(false, "80:/", "names no socket");
  no_spec(false, "80:/run/", "names no socket");
}

TEST(lengths_are_bounded) {
  char text[600];
  char host[WR_HOST_MAX + 2];
  memset(host, 'a', sizeof(host));
  snprintf(text, sizeof(text), "1:%.*s:2", WR_HOST_MAX, host);
  wr_forward_spec s;
  const char *why = NULL;
  EQ_INT(wr_forward_spec_parse(text, false, &s, &why), 0);
  EQ_INT(strlen(s.target.host), WR_HOST_MAX);
  snprintf(text, sizeof(text), "1:%.*s:2", WR_HOST_MAX + 1, host);
  no_spec(false, text, "255 bytes");
  host[0] = '/';
  snprintf(text, sizeof(text), "1:%.*s", WR_HOST_MAX + 1, host);
  no_spec(false, text, "255 bytes");
  snprintf(text, sizeof(text), "1:%.*s", WR_HOST_MAX, host);
  EQ_INT(wr_forward_spec_parse(text, false, &s, &why), 0);
}

static void is_dest(const char *text, const char *want) {
  wr_endpoint e;
  const char *why = NULL;
  char got[WR_HOST_MAX + 16];
  if (OK(wr_destination_parse(text, &e, &why) == 0, "%s (%s)", text,
         why ? why : "")) {
    show(&e, got, sizeof(got));
    EQ_STR(got, want);
  }
}

static void no_dest(const char *text, const char *part) {
  wr_endpoint e = {.port = 77};
  const char *why = NULL;
  EQ_INT(wr_destination_parse(text, &e, &why), WR_ESPEC);
  OK(why != NULL && strstr(why, part) != NULL, "%s: \"%s\" says \"%s\"", text,
     why ? why : "NULL", part);
  EQ_INT(e.port, 77);
}

TEST(destinations_of_streams) {
  is_dest("host:80", "host 80");
  is_dest("[::1]:80", "::1 80");
  is_dest("10.0.0.1:65535", "10.0.0.1 65535");
  is_dest("unix:/run/x.sock", "unix /run/x.sock");
  is_dest("unix:/run/a:b [c]", "unix /run/a:b [c]");
  is_dest("wraith-control", "wraith-control 1");
  is_dest("Wraith-Control.", "Wraith-Control. 1");
  is_dest("wraith-control:9", "wraith-control 9");
  no_dest("", "host is missing");
  no_dest("host", "port is missing");
  no_dest("wraith-a.b", "port is missing");
  no_dest("host:", "not a number");
  no_dest("host:0", "not a number");
  no_dest(":80", "host is missing");
  no_dest("::1:80", "IPv6");
  no_dest("a:b:80", "IPv6");
  no_dest("unix:", "begins with '/'");
  no_dest("unix:run", "begins with '/'");
  no_dest("unix:/", "names no socket");
  no_dest("[::1]", "port is missing");
}

static void is_reserved(const char *host, const char *want) {
  char name[WR_HOST_MAX + 1] = "untouched";
  OK(wr_reserved_name(host, name) == (want != NULL), "%s", host);
  EQ_STR(name, want ? want : "untouched");
}

TEST(reserved_names) {
  is_reserved("wraith-control", "wraith-control");
  is_reserved("WRAITH-Control.", "wraith-control");
  is_reserved("wraith-", "wraith-");
  is_reserved("wraith-control..", NULL);
  is_reserved("wraith-a.example.com", NULL);
  is_reserved(".wraith-a", NULL);
  is_reserved("wraith", NULL);
  is_reserved("wraith.", NULL);
  is_reserved("xwraith-a", NULL);
  is_reserved("", NULL);
  is_reserved(".", NULL);
}

TEST(reserved_names_are_bounded) {
  char host[WR_HOST_MAX + 3];
  char name[WR_HOST_MAX + 1];
  memset(host, 'a', sizeof(host));
  memcpy(host, "wraith-", 7);
  host[WR_HOST_MAX] = '.';
  host[WR_HOST_MAX + 1] = '\0';
  OK(wr_reserved_name(host, name), "255 bytes and a dot");
  EQ_INT(strlen(name), WR_HOST_MAX);
  host[WR_HOST_MAX] = 'a';
  host[WR_HOST_MAX + 1] = '\0';
  OK(!wr_reserved_name(host, name), "256 bytes");
}

TAP_MAIN()
