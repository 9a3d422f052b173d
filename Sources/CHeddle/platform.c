// libc's platform differences.
#include "CHeddle.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

void heddle_yield(void) { sched_yield(); }
bool heddle_yield_is_quick(void) {
#if defined(__x86_64__)
  // A counter instead of the clock, whose page is not in the cache after a pause. Of two to five GHz: 60 to 150 µs.
  uint64_t begin = __builtin_ia32_rdtsc();
  sched_yield();
  return __builtin_ia32_rdtsc() - begin < 300000;
#else
  uint64_t begin = heddle_monotonic_nanoseconds();
  sched_yield();
  return heddle_monotonic_nanoseconds() - begin < 100000;
#endif
}

static __thread void *thread_slot;
void **heddle_thread_slot(void) { return &thread_slot; }

static __thread const void *thread_owner;
const void *heddle_thread_owner(void) { return thread_owner; }
void heddle_set_thread_owner(const void *owner) { thread_owner = owner; }

static pthread_key_t exit_key;
static pthread_once_t exit_key_once = PTHREAD_ONCE_INIT;
static __thread bool exit_is_watched;
static void make_exit_key(void);

void heddle_release_thread_slot_at_exit(void (*release)(void *)) {
  if (exit_is_watched) return;
  pthread_once(&exit_key_once, make_exit_key);
  exit_is_watched = !pthread_setspecific(exit_key, (void *)release);
}
static void thread_exits(void *release) {
  if (thread_slot) ((void (*)(void *))release)(thread_slot);
  thread_slot = NULL;
}
static void make_exit_key(void) { pthread_key_create(&exit_key, thread_exits); }

bool heddle_memory_is_there(size_t size) {
  // Asked for and given back; volatile, or the compiler sees that nothing comes of it and answers yes.
  void *volatile memory = malloc(size);
  bool is_there = memory != NULL;
  free(memory);
  return is_there;
}

int heddle_set_nonblocking(int fd) { return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }
int heddle_set_close_on_exec(int fd) { return fcntl(fd, F_SETFD, FD_CLOEXEC); }

void heddle_ring_bell(int fd) {
  char bell = 1;
  while (send(fd, &bell, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR) {}
}

static int take_bells(int fd, int flags) {
  char bells[256];
  for (;;) {
    ssize_t n = recv(fd, bells, sizeof bells, flags);
    if (n > 0) return 1;
    if (n == 0) return 0;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 1 : 0;
  }
}
int heddle_drain_bells(int fd) { return take_bells(fd, MSG_DONTWAIT); }
int heddle_await_bell(int fd) { return take_bells(fd, 0); }

#if defined(__linux__)
#include <linux/futex.h>
#include <malloc.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/syscall.h>

int heddle_affinity_count(void) {
  // The kernel's mask may be wider than cpu_set_t (1,024 processors): grow until it fits.
  for (size_t processors = 1024; processors <= 1 << 20; processors *= 4) {
    cpu_set_t *set = CPU_ALLOC(processors);
    size_t size = CPU_ALLOC_SIZE(processors);
    if (!set) return 0;
    int rc = sched_getaffinity(0, size, set), error = errno, count = rc ? 0 : CPU_COUNT_S(size, set);
    CPU_FREE(set);
    if (!rc) return count;
    if (error != EINVAL) return 0;
  }
  return 0;
}

void heddle_futex_wait(const uint32_t *word, uint32_t expected, uint64_t timeout) {
  struct timespec limit = {.tv_sec = (time_t)(timeout / 1000000000ull), .tv_nsec = (long)(timeout % 1000000000ull)};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout == UINT64_MAX ? NULL : &limit, NULL, 0);
}
void heddle_futex_wake(const uint32_t *word, int count) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0); }
bool heddle_wakes_by_word(void) { return true; }
void heddle_shared_futex_wait(const uint32_t *word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT, expected, NULL, NULL, 0);
}
void heddle_shared_futex_wake(const uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0); }

void *heddle_map_twice(int fd, size_t offset, size_t length, bool writable) {
  int protection = PROT_READ | (writable ? PROT_WRITE : 0);
  char *base = mmap(NULL, 2 * length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return NULL;
  for (int half = 0; half < 2; half++)
    if (mmap(base + half * length, length, protection, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED) {
      int error = errno;
      munmap(base, 2 * length);
      errno = error;
      return NULL;
    }
  return base;
}

void heddle_advise_huge_pages(void *address, size_t length) {
  uintptr_t start = ((uintptr_t)address + 4095) & ~(uintptr_t)4095, end = ((uintptr_t)address + length) & ~(uintptr_t)4095;
  if (start < end) madvise((void *)start, end - start, MADV_HUGEPAGE);
}

void heddle_tune_worker_malloc(void) {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_ARENA_MAX, 1);
}

int heddle_event_descriptor(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
int heddle_timer_descriptor(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK); }
void heddle_set_timer(int fd, uint64_t nanoseconds) {
  struct itimerspec time = {.it_value = {.tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)}};
  timerfd_settime(fd, 0, &time, NULL);
}
int heddle_socket_pair(int fds[2]) { return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds); }
int heddle_pipe(int fds[2]) {
  if (pipe2(fds, O_CLOEXEC)) return -1;
  return heddle_set_nonblocking(fds[0]);
}
int heddle_process_descriptor(pid_t pid) { return (int)syscall(434 /* pidfd_open */, pid, 0); }
const char *heddle_executable_path(void) { return "/proc/self/exe"; }
#endif

int heddle_ignores_signal(int number) {
  struct sigaction action;
  return sigaction(number, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN;
}

int heddle_open_for_reading(const char *path) { return open(path, O_RDONLY | O_CLOEXEC); }

void heddle_name_this_thread(const char *name) {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), name);
#else
  (void)name;
#endif
}
