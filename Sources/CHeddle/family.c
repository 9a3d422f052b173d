// Processes found by a word in the environment that they were started with.
//
// Used by a thread of a worker whose parent is gone, while a job may hold any lock for ever: nothing here allocates or locks. And by the
// guard of a pool whose workers have no such thread.
#include "CHeddle.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__linux__)
/// An entry of a folder, as getdents64(2) gives it.
struct folder_entry {
  uint64_t node, offset;
  unsigned short size;
  unsigned char kind;
  char name[];
};

static bool was_started_with(pid_t pid, const char *word) {
  char path[32], bytes[4096];
  snprintf(path, sizeof path, "/proc/%d/environ", pid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  // How much of the word this entry began with; -1: it is another one.
  ssize_t matched = 0, count;
  bool is_found = false;
  while (!is_found && (count = read(file, bytes, sizeof bytes)) > 0) {
    for (ssize_t i = 0; i < count && !is_found; i++) {
      if (!bytes[i]) {
        is_found = matched >= 0 && !word[matched];
        matched = 0;
      } else if (matched >= 0) {
        matched = bytes[i] == word[matched] ? matched + 1 : -1;
      }
    }
  }
  close(file);
  return is_found;
}

static bool kill_one(pid_t pid, const char *word) {
  if (!was_started_with(pid, word)) return false;
  // Between the look and the signal it may have gone, and its number be another's: what the descriptor names stays the same.
  int process = heddle_process_descriptor(pid);
  if (process < 0) return false;
  bool is_sent = was_started_with(pid, word) && !syscall(424 /* pidfd_send_signal */, process, SIGKILL, NULL, 0);
  close(process);
  return is_sent;
}

static bool kill_all_once(const char *word, pid_t after) {
  char bytes[8192] __attribute__((aligned(8)));
  int folder = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return false;
  bool has_killed = false;
  long count;
  while ((count = syscall(SYS_getdents64, folder, bytes, sizeof bytes)) > 0) {
    for (long place = 0; place < count;) {
      struct folder_entry *entry = (void *)(bytes + place);
      place += entry->size;
      pid_t pid = (pid_t)strtol(entry->name, NULL, 10);
      if (pid > after && pid != getpid() && kill_one(pid, word)) has_killed = true;
    }
  }
  close(folder);
  return has_killed;
}

void heddle_kill_started_with(const char *word, pid_t after) {
  // Until none is left: one may start another while they are looked for.
  for (int round = 0; round < 100 && kill_all_once(word, after); round++) {}
}
#else
void heddle_kill_started_with(const char *word, pid_t after) { (void)word, (void)after; }
#endif

void heddle_guard(const char *word) {
  // It is to outlive the program, whatever ends that, by a moment.
  signal(SIGHUP, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  struct pollfd program = {.fd = 0};
  while (poll(&program, 1, -1) <= 0) {}
  heddle_kill_started_with(word, 0);
  _exit(0);
}
