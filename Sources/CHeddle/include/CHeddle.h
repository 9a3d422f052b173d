// What Swift cannot say: the program's entry, spawning, and the platform's differences. Only HeddleSystem imports libc besides.
#ifndef CHEDDLE_H
#define CHEDDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

// MARK: Time

/// Nanoseconds of the monotonic clock.
static inline uint64_t heddle_monotonic_nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

// MARK: Processor

/// Tells the processor that this is a spin loop.
static inline void heddle_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
/// Lets another thread of this processor run.
void heddle_yield(void);
/// The same; returns whether this thread had its processor back before some 100 µs had passed: much less than a time slice.
bool heddle_yield_is_quick(void);
/// The processors that this thread may run on by its affinity; 0 where that cannot be read.
int heddle_affinity_count(void);

// MARK: Parking a thread

/// Sleeps while `*word` is `expected`, or until `timeout` nanoseconds have passed (UINT64_MAX: no limit). May wake early.
void heddle_futex_wait(const uint32_t *word, uint32_t expected, uint64_t timeout);
/// Wakes up to `count` threads that sleep on `word`.
void heddle_futex_wake(const uint32_t *word, int count);
/// Whether the next two are there: a process may wake another that sleeps on a word of shared memory.
bool heddle_wakes_by_word(void);
/// As `heddle_futex_wait`, on a word of memory that several processes map, writable or not; without a limit.
void heddle_shared_futex_wait(const uint32_t *word, uint32_t expected);
/// Wakes who sleeps so.
void heddle_shared_futex_wake(const uint32_t *word);

/// What `ps` and debuggers call the calling thread; at most 15 characters.
void heddle_name_this_thread(const char *name);

// MARK: Memory

/// An unnamed file of `size` bytes in memory, close-on-exec; -1 and errno otherwise.
int heddle_memory_file(size_t size);
/// Maps `length` bytes of the file twice in a row, so that what wraps around is contiguous; NULL and errno otherwise.
void *heddle_map_twice(int fd, size_t offset, size_t length, bool writable);
/// An unnamed file in memory, `size` bytes of zeros for good: neither it nor whoever gets it can make it shorter or longer.
/// Close-on-exec; -1 and errno otherwise.
int heddle_sealed_file(size_t size);
/// Takes the memory behind a sealed file that is mapped at `address` for writing: what is missing later would be a signal in the middle of
/// somebody's loop. An errno, or 0.
int heddle_take_memory(int fd, void *address, size_t size);
/// From here on nobody maps the file for writing; mappings that there are stay as they are. An errno, or 0.
int heddle_seal_against_writing(int fd);
/// What the kernel says of a file that is said to be sealed.
typedef struct heddle_sealed_facts {
  uint64_t device, inode;
  uint64_t size;
  bool is_sealed;   // a file in memory whose size is fixed for ever, and that never lacks the memory behind a page it has
  bool is_whole;    // every page is there
  bool is_writable; // it can be mapped for writing
} heddle_sealed_facts;
/// An errno, or 0.
int heddle_look_at_sealed_file(int fd, heddle_sealed_facts *facts);
/// Asks for huge pages for memory that is about to be filled; a hint.
void heddle_advise_huge_pages(void *address, size_t length);
/// Whether malloc would give so much at this moment.
bool heddle_memory_is_there(size_t size);
/// Settings of malloc for a worker: large blocks are kept instead of being given back after every job.
void heddle_tune_worker_malloc(void);

/// One pointer a thread, NULL at first.
void **heddle_thread_slot(void);
/// What the calling thread works for, as its owner has noted it; NULL at first.
const void *heddle_thread_owner(void);
void heddle_set_thread_owner(const void *owner);
/// Has `release` called with what this thread's slot holds when the thread ends. Cheap after the first call of a thread.
void heddle_release_thread_slot_at_exit(void (*release)(void *));

// MARK: Descriptors

/// Whether this process was started with that signal ignored, as by `nohup`, or ignores it now.
int heddle_ignores_signal(int number);
/// A counter one can poll; close-on-exec and non-blocking.
int heddle_event_descriptor(void);
/// A descriptor that is readable once a time is over; -1: this system has none.
int heddle_timer_descriptor(void);
/// Lets it become readable after so long, instead of what was set before; 0: not at all.
void heddle_set_timer(int fd, uint64_t nanoseconds);
/// A connected pair of stream sockets, close-on-exec.
int heddle_socket_pair(int fds[2]);
/// A pipe, close-on-exec; the reading end does not block.
int heddle_pipe(int fds[2]);
/// A descriptor that polls readable once the process has ended; -1 where there is none.
int heddle_process_descriptor(pid_t pid);
/// open(2) for reading, close-on-exec; -1 and errno otherwise. Variadic, so Swift cannot call it.
int heddle_open_for_reading(const char *path);
/// The variadic fcntl(2), which Swift cannot call.
int heddle_set_nonblocking(int fd);
int heddle_set_close_on_exec(int fd);
/// A connected pair of sockets that keep messages apart, close-on-exec: for descriptors.
int heddle_message_socket_pair(int fds[2]);
/// The most descriptors in one message.
#define HEDDLE_HANDOVER_LIMIT 128
/// Sends descriptors, and a number with each, as one message. An errno, or 0. With `wait` it blocks while the other side is behind.
int heddle_send_descriptors(int socket, const int *fds, const uint64_t *numbers, int count, bool wait);
/// Takes one message of that many descriptors and numbers; without blocking. They are close-on-exec and the caller's.
/// An errno, or 0: EBADMSG for a message of another shape, EMFILE where this process may not open so many; none is left open then.
int heddle_receive_descriptors(int socket, int *fds, uint64_t *numbers, int count);
/// Sends one byte, without blocking and without SIGPIPE. A full buffer is a bell that rings already.
void heddle_ring_bell(int fd);
/// Takes the bells that lie in the socket, without blocking. 0: the other side is gone.
int heddle_drain_bells(int fd);
/// Blocks until a bell rings. 0: the other side is gone.
int heddle_await_bell(int fd);

// MARK: Processes

/// What posix_spawn(3) is told.
typedef struct heddle_spawn_request {
  const char *path;
  char *const *arguments;    // NULL-terminated
  char *const *environment;  // NULL-terminated
  const int *descriptors;    // descriptors[i] becomes descriptor i of the child; -1: /dev/null; all others are closed
  int descriptor_count;
} heddle_spawn_request;
/// Starts a process that leads its own process group, with default signal handling. An errno, or 0.
int heddle_spawn(const heddle_spawn_request *request, pid_t *pid);
/// SIGKILL to every process but this one that has `word`, as `NAME=value`, among the environment that it was started with, and a higher number
/// than `after`. Allocates nothing and takes no lock.
void heddle_kill_started_with(const char *word, pid_t after);
/// Waits until nobody holds the other end of descriptor 0, then does that for `word`, and ends the process.
void heddle_guard(const char *word) __attribute__((noreturn));
/// The environment of this process.
char **heddle_environment(void);
/// `/proc/self/exe`, or the path of the executable on Darwin.
const char *heddle_executable_path(void);
/// The path of the shared library that holds this code where the program is not ours (its entry never ran), or NULL.
const char *heddle_library_to_preload(void);

/// How often this process, or one that it was forked from, has been the child of a fork(2) since `heddle_watch_forks`.
extern uint32_t heddle_fork_counter;
static inline uint32_t heddle_fork_count(void) { return __atomic_load_n(&heddle_fork_counter, __ATOMIC_RELAXED); }
/// Lets forks be counted; may be called again. posix_spawn(3) is no fork.
void heddle_watch_forks(void);
/// A descriptor whose end tells a worker that its parent is gone: a forked child must not hold it, and gets /dev/null in its place.
void heddle_add_lifeline(int fd);
void heddle_remove_lifeline(int fd);

// MARK: The worker's side

/// How many workers this process is inside of: 0 in a program, 1 in its workers, 2 in theirs.
int heddle_worker_depth(void);

/// exit(3), with `atexit` handlers and flushed output; and _exit(2), without.
void heddle_exit(int code) __attribute__((noreturn));
void heddle_exit_at_once(int code) __attribute__((noreturn));
/// Lets lines that are printed go out at their end, and reads the secret with which marks begin from the environment, if there is one.
void heddle_prepare_output(void);
/// Whether there is such a secret.
bool heddle_marks_output(void);
/// Writes a mark to standard output and standard error: job `position` begins (0) or ends (1) here. Blocks while they are full.
void heddle_mark_output(uint64_t position, uint8_t end);
/// Whether this process was started as a worker.
bool heddle_is_worker(void);
/// A thread that ends this process and its group when the other side of `fd` is gone, whatever the process does.
void heddle_start_lifeline(int fd);
/// Lets the main thread serve the main queue for ever, or sleep where that is not possible.
void heddle_serve_main_queue(void) __attribute__((noreturn));

// MARK: How a worker died

#define HEDDLE_DEATH_FRAMES 32
#define HEDDLE_DEATH_WORDS 32
#define HEDDLE_DEATH_PATHS 8
#define HEDDLE_DEATH_PATH 1024
typedef struct heddle_death_place {
  uint64_t address;
  uint64_t file_offset;
  uint64_t path; // 1 is paths[0]; 0: in no file
} heddle_death_place;
/// What a worker that a signal ends writes into shared memory; all zero before.
typedef struct heddle_death_note {
  uint64_t signal;      // written last; 0: no note
  int64_t code;         // si_code
  uint64_t address;     // si_addr
  uint64_t sender;      // who sent the signal, where somebody did
  uint64_t stack;       // the stack pointer
  uint64_t pid;         // of the process that this is about
  uint64_t frame_count;
  heddle_death_place frames[HEDDLE_DEATH_FRAMES];
  uint64_t word_count;
  heddle_death_place words[HEDDLE_DEATH_WORDS]; // words of the stack that may be return addresses, the innermost first
  char paths[HEDDLE_DEATH_PATHS][HEDDLE_DEATH_PATH];
} heddle_death_note;
/// From here on a signal that tells of a fault leaves a note in `memory` before it has its usual effect.
void heddle_leave_death_notes(void *memory);
/// Gives the calling thread a stack for signal handlers, so that one that overflowed its own can leave a note.
void heddle_use_alternate_stack(void);
/// What a Swift symbol stands for; freed by the caller. NULL: it is none.
char *heddle_demangle(const char *name);

/// Whether one reference to a Swift object is the only one.
bool heddle_is_unique(const void *object);

// MARK: Types that have no name (private and local ones)

/// The image (executable or library) that holds `address`: its load address, and its path ("" for the executable). false: none.
bool heddle_image_of(const void *address, uint64_t *base, const char **path);
/// The load address of the image with that path. false: it is not loaded.
bool heddle_image_base(const char *path, uint64_t *base);
/// Whether `length` bytes at `address` lie in a loaded image.
bool heddle_in_image(const void *address, size_t length);
/// Calls the metadata accessor of a nominal type's context descriptor that has no generic parameters.
const void *heddle_metadata_of_descriptor(const void *descriptor);
/// The name, without its module, of a struct or an enum that has no generic parameters; NULL for any other type.
const char *heddle_plain_type_name(const void *metadata);
/// The witness table of a type without generic parameters for its conformance that this descriptor is of.
const void *heddle_witnesses_of_conformance(const void *conformance, const void *metadata);

#endif
