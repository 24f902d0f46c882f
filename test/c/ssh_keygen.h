/* Files in a directory of their own, and the real ssh-keygen on them. Header
   only, for test programs that compare with OpenSSH. */
#ifndef WR_TEST_C_SSH_KEYGEN_H
#define WR_TEST_C_SSH_KEYGEN_H

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tap.h"

#define KG_TEXT_MAX 65536

static struct {
  char dir[64];
  char out[KG_TEXT_MAX]; /* what the last program printed, both streams */
} kg TAP_UNUSED;

/* The path of a file in the directory; valid for the next 8 calls. */
TAP_UNUSED static const char *kg_path(const char *file) {
  static char paths[8][512];
  static unsigned turn;
  char *path = paths[turn++ % 8];
  snprintf(path, sizeof(paths[0]), "%s/%s", kg.dir, file);
  return path;
}

TAP_UNUSED static size_t kg_read(const char *file, char *dst, size_t cap) {
  FILE *f = fopen(kg_path(file), "rb");
  if (f == NULL) {
    dst[0] = '\0';
    return 0;
  }
  size_t n = fread(dst, 1, cap - 1, f);
  dst[n] = '\0';
  fclose(f);
  return n;
}

TAP_UNUSED static void kg_write(const char *file, const void *data,
                                size_t len) {
  int fd = open(kg_path(file), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  MUST(fd >= 0);
  MUST(write(fd, data, len) == (ssize_t)len);
  close(fd);
}

/* Runs a program; its exit code, or -1 if it could not run. */
TAP_UNUSED static int kg_run(const char *const argv[]) {
  posix_spawn_file_actions_t files;
  pid_t pid;
  int status = -1;
  kg.out[0] = '\0';
  MUST(posix_spawn_file_actions_init(&files) == 0);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, kg_path("out"),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  int err = posix_spawnp(&pid, argv[0], &files, NULL,
                         (char *const *)(uintptr_t)argv, environ);
  posix_spawn_file_actions_destroy(&files);
  if (err != 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
      WEXITSTATUS(status) == 127) {
    return -1;
  }
  kg_read("out", kg.out, sizeof(kg.out));
  return WEXITSTATUS(status);
}

#define KG_RUN(...) kg_run((const char *const[]){__VA_ARGS__, NULL})

TAP_UNUSED static void kg_set_up(void) {
  const char *tmp = getenv("TMPDIR");
  snprintf(kg.dir, sizeof(kg.dir), "%s/wraith-key-XXXXXX",
           tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
  MUST(mkdtemp(kg.dir) != NULL);
}

TAP_UNUSED static void kg_tear_down(void) {
  KG_RUN("rm", "-rf", kg.dir);
}

/* ssh-keygen without arguments for a key it cannot find ends with 255; what
   matters is that it runs. */
TAP_UNUSED static int kg_present(void) {
  return KG_RUN("ssh-keygen", "-l", "-f", kg_path("none")) >= 0;
}

#define KG_NEEDED()                                                            \
  do {                                                                         \
    if (!kg_present()) {                                                       \
      SKIP("ssh-keygen is not installed");                                     \
    }                                                                          \
  } while (0)

#endif /* WR_TEST_C_SSH_KEYGEN_H */
