// What a worker needs before Swift runs, and when Swift cannot run any more.
#include "CHeddle.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void *lifeline(void *argument) {
  struct pollfd p = {.fd = (int)(intptr_t)argument, .events = 0};
#if defined(__linux__)
  p.events = POLLRDHUP;
#endif
  for (;;) {
    p.revents = 0;
    if (poll(&p, 1, -1) > 0 && p.revents) {
      kill(0, SIGKILL); // our own group: what the job started goes with us
      _exit(0);
    }
  }
}

void heddle_start_lifeline(int fd) {
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
