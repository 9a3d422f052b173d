#include "CGauges.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

uint64_t gauge_allocated(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}
void gauge_trim(void) { malloc_trim(0); }

static uint64_t read_clock(clockid_t clock) {
  struct timespec time;
  return clock_gettime(clock, &time) == 0 ? (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec : 0;
}
uint64_t gauge_now(void) { return read_clock(CLOCK_MONOTONIC); }
uint64_t gauge_processor_time(pid_t pid) {
  clockid_t clock;
  return clock_getcpuclockid(pid, &clock) == 0 ? read_clock(clock) : 0;
}
pid_t gauge_thread(void) { return (pid_t)syscall(SYS_gettid); }
void gauge_burn(uint64_t nanoseconds) {
  uint64_t end = read_clock(CLOCK_THREAD_CPUTIME_ID) + nanoseconds;
  while (read_clock(CLOCK_THREAD_CPUTIME_ID) < end) {
  }
}
static void *burn_here(void *nanoseconds) {
  gauge_burn(*(uint64_t *)nanoseconds);
  return NULL;
}
double gauge_burn_in_two(uint64_t nanoseconds) {
  uint64_t begin = gauge_now();
  pthread_t other;
  if (pthread_create(&other, NULL, burn_here, &nanoseconds) != 0) return 0;
  gauge_burn(nanoseconds);
  pthread_join(other, NULL);
  return (double)(gauge_now() - begin);
}
void gauge_burn_forever(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  volatile uint64_t turns = 0;
  while (getppid() != 1) {
    for (int turn = 0; turn < 1000000; turn++) turns = turns + 1;
  }
  _exit(0);
}

static int ascending(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}
double gauge_median(double *values, int count) {
  qsort(values, (size_t)count, sizeof(double), ascending);
  return values[count / 2];
}
double gauge_socket_rounds(int count, int quiet) {
  int ends[2];
  char bytes[64] = {0};
  double *times = calloc((size_t)count, sizeof(double));
  if (times == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return 0;
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    while (read(ends[1], bytes, sizeof bytes) == sizeof bytes && write(ends[1], bytes, sizeof bytes) == sizeof bytes) {
    }
    _exit(0);
  }
  close(ends[1]);
  int good = child > 0;
  uint64_t begin = gauge_now();
  for (int round = 0; good && round < count; round++) {
    if (quiet > 0) usleep((useconds_t)quiet);
    uint64_t start = gauge_now();
    good = write(ends[0], bytes, sizeof bytes) == sizeof bytes && read(ends[0], bytes, sizeof bytes) == sizeof bytes;
    times[round] = (double)(gauge_now() - start);
  }
  double mean = (double)(gauge_now() - begin) / count;
  close(ends[0]);
  if (child > 0) waitpid(child, NULL, 0);
  double result = !good ? 0 : quiet > 0 ? gauge_median(times, count) : mean;
  free(times);
  return result;
}
double gauge_spawn(int count) {
  char *const arguments[] = {"true", NULL};
  uint64_t begin = gauge_now();
  for (int round = 0; round < count; round++) {
    pid_t child;
    if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) != 0) return 0;
    waitpid(child, NULL, 0);
  }
  return (double)(gauge_now() - begin) / count;
}
double gauge_copy(size_t bytes, int count) {
  char *from = malloc(bytes), *to = malloc(bytes);
  if (from == NULL || to == NULL) return 0;
  memset(from, 1, bytes);
  memset(to, 2, bytes);
  uint64_t begin = gauge_now();
  for (int round = 0; round < count; round++) {
    memcpy(to, from, bytes);
    from[round] = to[bytes - 1];
  }
  double rate = (double)bytes * count / (double)(gauge_now() - begin);
  free(from);
  free(to);
  return rate;
}

pid_t gauge_start(char *const arguments[], int *input, int *output) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0) return -1;
  if (pipe2(out, O_CLOEXEC) != 0) {
    close(in[0]);
    close(in[1]);
    return -1;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  // A group of its own: what it starts goes with it.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t child = -1;
  int error = posix_spawnp(&child, arguments[0], &actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  if (error != 0) {
    close(in[1]);
    close(out[0]);
    errno = error;
    return -1;
  }
  *input = in[1];
  *output = out[0];
  return child;
}
