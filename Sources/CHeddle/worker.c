// What a worker needs before Swift runs, and when Swift cannot run any more.
#include "CHeddle.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int worker_depth;

#if defined(__linux__)
/// What stands in the environment of this worker and of all that its jobs start; empty: nothing does.
static char family[128];

static void note_family(void) {
  char name[32];
  snprintf(name, sizeof name, "HEDDLE_FAMILY_%d=", worker_depth - 1);
  for (char **entry = environ; *entry; entry++) {
    if (strncmp(*entry, name, strlen(name)) == 0 && strlen(*entry) < sizeof family) strcpy(family, *entry);
  }
}
#else
static char family[1];
static void note_family(void) {}
#endif

static void *lifeline(void *argument) {
  struct pollfd p = {.fd = (int)(intptr_t)argument, .events = 0};
#if defined(__linux__)
  p.events = POLLRDHUP;
#endif
  for (;;) {
    p.revents = 0;
    if (poll(&p, 1, -1) > 0 && p.revents) {
      if (family[0]) heddle_kill_started_with(family, getpid());
      kill(0, SIGKILL); // our own group: what the job started goes with us
      _exit(0);
    }
  }
}

void heddle_start_lifeline(int fd) {
  note_family();
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, before;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 << 10);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); // a job's signal handler must not run here
  pthread_create(&thread, &attributes, lifeline, (void *)(intptr_t)fd);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
}

void heddle_exit(int code) { exit(code); }
void heddle_exit_at_once(int code) { _exit(code); }

int heddle_worker_depth(void) { return worker_depth; }

static uint8_t output_secret[16];
static bool has_output_secret;

void heddle_prepare_output(void) {
  // To a pipe or a file libc would keep lines back until 4 KiB are full, and lose them when the worker dies.
  setvbuf(stdout, NULL, _IOLBF, 0);
  const char *depth = getenv("HEDDLE_DEPTH");
  worker_depth = depth ? atoi(depth) : 1;
  unsetenv("HEDDLE_DEPTH");
  const char *text = getenv("HEDDLE_OUTPUT_MARK");
  if (!text || strlen(text) != 2 * sizeof output_secret) return;
  for (size_t i = 0; i < sizeof output_secret; i++) {
    char byte[3] = {text[2 * i], text[2 * i + 1], 0};
    output_secret[i] = (uint8_t)strtoul(byte, NULL, 16);
  }
  has_output_secret = true;
  unsetenv("HEDDLE_OUTPUT_MARK"); // a program that a job starts shall not know it
}

bool heddle_marks_output(void) { return has_output_secret; }

void heddle_mark_output(uint64_t position, uint8_t end) {
  uint8_t mark[25];
  memcpy(mark, output_secret, 16);
  for (int i = 0; i < 8; i++) mark[16 + i] = (uint8_t)(position >> 8 * i);
  mark[24] = end;
  fflush(stdout);
  // Less than PIPE_BUF, so it is written whole.
  for (int fd = 1; fd <= 2; fd++)
    while (write(fd, mark, sizeof mark) < 0 && errno == EINTR) {}
}
