// A program that forks without exec: the child has our memory, but none of our threads, and must not keep our workers alive.
#include "CHeddle.h"
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

uint32_t heddle_fork_counter;

// Descriptors plus one; 0 is a free place. Only atomic operations, so that the child may read it whatever its parent was doing.
enum { LIFELINE_LIMIT = 4096 };
static int lifelines[LIFELINE_LIMIT];

void heddle_add_lifeline(int fd) {
  for (int i = 0; fd >= 0 && i < LIFELINE_LIMIT; i++) {
    int free_place = 0;
    if (__atomic_compare_exchange_n(&lifelines[i], &free_place, fd + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return;
  }
}
void heddle_remove_lifeline(int fd) {
  for (int i = 0; fd >= 0 && i < LIFELINE_LIMIT; i++) {
    int held = fd + 1;
    if (__atomic_compare_exchange_n(&lifelines[i], &held, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return;
  }
}

// Between fork and exec nothing but async-signal-safe calls is allowed. The numbers stay open, so that their owners close what is theirs.
static void forked_child(void) {
  __atomic_add_fetch(&heddle_fork_counter, 1, __ATOMIC_RELAXED);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; i < LIFELINE_LIMIT; i++) {
    int fd = __atomic_load_n(&lifelines[i], __ATOMIC_RELAXED) - 1;
    if (fd < 0) continue;
#if defined(__linux__)
    if (null >= 0) dup3(null, fd, O_CLOEXEC);
#else
    if (null >= 0) dup2(null, fd);
#endif
    __atomic_store_n(&lifelines[i], 0, __ATOMIC_RELAXED);
  }
  if (null >= 0) close(null);
}

static pthread_once_t watch_once = PTHREAD_ONCE_INIT;
static void watch(void) { pthread_atfork(NULL, NULL, forked_child); }
void heddle_watch_forks(void) { pthread_once(&watch_once, watch); }
