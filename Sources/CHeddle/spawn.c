// Starting a process: between fork and exec nothing but async-signal-safe calls is allowed, so it is posix_spawn's work.
#include "CHeddle.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

int heddle_spawn(const heddle_spawn_request *r, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int error = posix_spawn_file_actions_init(&actions);
  if (error) return error;
  if ((error = posix_spawnattr_init(&attributes))) {
    posix_spawn_file_actions_destroy(&actions);
    return error;
  }
  // Copies above every target number, so that no dup2 overwrites one that is still needed.
  int copies[16], copied = 0;
  for (; !error && copied < r->descriptor_count; copied++) {
    int from = r->descriptors[copied];
    copies[copied] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, 64);
    if (from >= 0 && copies[copied] < 0) error = errno;
    else if (from < 0) error = posix_spawn_file_actions_addopen(&actions, copied, "/dev/null", O_RDWR, 0);
    else error = posix_spawn_file_actions_adddup2(&actions, copies[copied], copied);
  }
#if defined(__linux__)
  // The host's own descriptors may lack close-on-exec; a worker that held one open would keep a client's connection alive.
  if (!error) error = posix_spawn_file_actions_addclosefrom_np(&actions, r->descriptor_count);
#endif
  if (!error) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    error = posix_spawn(pid, r->path, &actions, &attributes, r->arguments, r->environment);
  }
  for (int i = 0; i < copied; i++)
    if (copies[i] >= 0) close(copies[i]);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}
