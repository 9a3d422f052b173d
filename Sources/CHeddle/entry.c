// The program's entry: a worker is this same executable, started again, with nothing added to its `main`.
//
// The dynamic linker resolves `__libc_start_main`, which every program calls with its `main`, to the definition below,
// because the executable comes before libc. It passes on another `main` when the worker's variable is set.
#include "CHeddle.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "HEDDLE_WORKER="

extern char **environ;
/// Written in Swift (Worker/WorkerMain.swift).
extern int heddle_worker_main(void) __attribute__((weak));

static bool is_worker, entry_ran;

bool heddle_is_worker(void) { return is_worker; }
char **heddle_environment(void) { return environ; }

static bool asked_for(char **environment) {
  for (char **e = environment; e && *e; e++)
    if (!strncmp(*e, VARIABLE, sizeof VARIABLE - 1)) return true;
  return false;
}

#if defined(__linux__)
#include <sys/auxv.h>

static int worker_entry(int argc, char **argv, char **environment) {
  (void)argc, (void)argv, (void)environment;
  const char *word = getenv("HEDDLE_GUARD");
  if (word) heddle_guard(word);
  const char *how = getenv("HEDDLE_WORKER");
  if (how && !strcmp(how, "preloaded")) unsetenv("LD_PRELOAD");
  unsetenv("HEDDLE_WORKER"); // a program that the job starts is no worker
  return heddle_worker_main ? heddle_worker_main() : 126;
}

typedef int (*main_function)(int, char **, char **);
typedef int (*start_function)(main_function, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

__attribute__((weak)) int __libc_start_main(main_function program, int argc, char **argv, void (*init)(void), void (*fini)(void),
                                            void (*rtld_fini)(void), void *stack_end) {
  start_function real = (start_function)dlsym(RTLD_NEXT, "__libc_start_main");
  entry_ran = true;
  if (asked_for(argv + argc + 1)) {
    is_worker = true;
    program = worker_entry;
  }
  return real(program, argc, argv, init, fini, rtld_fini, stack_end);
}

// In a static executable libc's own entry wins. There a constructor runs those that would follow it, then the worker.
typedef void (*constructor)(int, char **, char **);
extern constructor __init_array_start[] __attribute__((weak, visibility("hidden")));
extern constructor __init_array_end[] __attribute__((weak, visibility("hidden")));

__attribute__((constructor)) static void static_entry(int argc, char **argv, char **environment) {
  // AT_BASE is the dynamic linker's address: where there is one, the other entry works, and types may not be registered yet.
  if (entry_ran || getauxval(AT_BASE) || !asked_for(environment)) return;
  is_worker = true;
  bool after = false;
  for (constructor *c = __init_array_start; c < __init_array_end; c++) {
    if (*c == (constructor)static_entry) after = true;
    else if (after) (*c)(argc, argv, environment);
  }
  exit(worker_entry(argc, argv, environment));
}

const char *heddle_library_to_preload(void) {
  Dl_info info;
  if (entry_ran || !getauxval(AT_BASE)) return NULL;
  return dladdr((void *)heddle_library_to_preload, &info) ? info.dli_fname : NULL;
}
#else
#warning "Heddle: workers are started from __libc_start_main on Linux; this platform is not ported"
const char *heddle_library_to_preload(void) { return NULL; }
#endif

// The Swift runtime's own loop of the main actor. It lives in the concurrency library, so it is weak: a program may lack it.
extern void swift_task_asyncMainDrainQueue(void) __attribute__((weak));

#if defined(__linux__)
#include <poll.h>
// The seam that libdispatch has for other run loops (Core Foundation's): a descriptor that says when the main queue has work, and
// the call that does it. Weak too: a program without libdispatch has no main queue.
extern int _dispatch_get_main_queue_handle_4CF(void) __attribute__((weak));
extern void _dispatch_main_queue_callback_4CF(void *message) __attribute__((weak));

static void serve_from_constructor(void) {
  struct pollfd p = {.fd = _dispatch_get_main_queue_handle_4CF(), .events = POLLIN};
  for (;;) {
    uint64_t count;
    if (poll(&p, 1, -1) > 0 && read(p.fd, &count, sizeof count) >= 0) _dispatch_main_queue_callback_4CF(NULL);
  }
}
#endif

void heddle_serve_main_queue(void) {
#if defined(__linux__)
  if (getauxval(AT_BASE)) {
    if (swift_task_asyncMainDrainQueue) swift_task_asyncMainDrainQueue();
  } else if (_dispatch_get_main_queue_handle_4CF && _dispatch_main_queue_callback_4CF) {
    // A static executable: this runs inside a constructor, and the loop above would end the thread under it.
    serve_from_constructor();
  }
#endif
  for (;;) pause();
}
