// What a worker leaves behind when a signal ends it: where it was, written into the memory that it shares with its parent.
//
// Everything here runs in a signal handler on a thread that is broken: no malloc, no locks, no stdio; memory that may not be there is read
// by system calls. The parent believes none of it.
#include "CHeddle.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

_Static_assert(sizeof(heddle_death_note) <= 16384, "RegionLayout.deathNoteByteCount");

static const int watched[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
enum { WATCHED = sizeof watched / sizeof *watched };
static struct sigaction before[WATCHED];
static heddle_death_note *note;
static pid_t worker;
static atomic_flag is_written = ATOMIC_FLAG_INIT;

/// Reads memory that may not be there.
static bool peek(uintptr_t address, void *to, size_t size) {
  struct iovec local = {to, size}, remote = {(void *)address, size};
  return syscall(SYS_process_vm_readv, worker, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

struct registers {
  uintptr_t counter, stack, frame;
};
static struct registers registers_of(const ucontext_t *c) {
#if defined(__x86_64__)
  return (struct registers){(uintptr_t)c->uc_mcontext.gregs[REG_RIP], (uintptr_t)c->uc_mcontext.gregs[REG_RSP],
                            (uintptr_t)c->uc_mcontext.gregs[REG_RBP]};
#elif defined(__aarch64__)
  return (struct registers){c->uc_mcontext.pc, c->uc_mcontext.sp, c->uc_mcontext.regs[29]};
#else
  (void)c;
  return (struct registers){0, 0, 0};
#endif
}

/// The addresses from the innermost function out, by the frame pointers that Swift keeps.
static void note_frames(struct registers r) {
  uint64_t count = 0;
  note->frames[count++].address = r.counter;
  uintptr_t frame = r.frame, lowest = r.stack;
  while (count < HEDDLE_DEATH_FRAMES && frame >= lowest && frame % 8 == 0) {
    uintptr_t link[2];
    // An async function marks its frame in the top bits of the saved pointer.
    if (!peek(frame, link, sizeof link) || link[1] < 4096) break;
    note->frames[count++].address = link[1];
    lowest = frame + sizeof link;
    frame = link[0] & 0x0fffffffffffffffull;
  }
  note->frame_count = count;
}

// The first words of the stack. Some functions of the Swift runtime, and all of libc's, keep no frame pointer: there the words that point
// into code say where calls return to, among others that once did. Which is which the parent finds out.
static uint64_t stack_words[1024];
static heddle_death_place stack_places[1024];
static size_t stack_count;
static void copy_stack(uintptr_t stack) {
  enum { BLOCK = 64 };
  while (stack_count + BLOCK <= sizeof stack_words / sizeof *stack_words &&
         peek(stack + stack_count * 8, stack_words + stack_count, BLOCK * 8))
    stack_count += BLOCK;
}
static void note_stack(void) {
  for (size_t i = 0; i < stack_count && note->word_count < HEDDLE_DEATH_WORDS; i++)
    if (stack_places[i].path) note->words[note->word_count++] = stack_places[i];
}

struct line {
  uint64_t start, end, offset;
  bool is_code;
  char path[HEDDLE_DEATH_PATH];
  size_t path_length;
};

/// A line of /proc/self/maps says where part of a file is mapped: frames in it are named by the file.
static int path_of(const struct line *l) {
  for (int p = 0; p < HEDDLE_DEATH_PATHS; p++) {
    if (note->paths[p][0] == 0) memcpy(note->paths[p], l->path, sizeof l->path);
    if (!strcmp(note->paths[p], l->path)) return p;
  }
  return -1;
}
static void place_in(const struct line *l, uint64_t address, heddle_death_place *place) {
  if (address < l->start || address >= l->end) return;
  int path = path_of(l);
  if (path >= 0) *place = (heddle_death_place){address, address - l->start + l->offset, (uint64_t)path + 1};
}
static void use_line(const struct line *l) {
  if (l->path[0] != '/') return;
  for (uint64_t i = 0; i < note->frame_count; i++) place_in(l, note->frames[i].address, &note->frames[i]);
  for (size_t i = 0; i < stack_count && l->is_code; i++) place_in(l, stack_words[i], &stack_places[i]);
}

static void note_files(void) {
  int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  static char buffer[4096];
  static struct line l;
  // Fields of a line: start-end, rights, offset, device, inode, path.
  int field = 0, in_space = 0;
  ssize_t count;
  memset(&l, 0, sizeof l);
  while ((count = read(file, buffer, sizeof buffer)) > 0 || (count < 0 && errno == EINTR))
    for (ssize_t i = 0; i < count; i++) {
      char c = buffer[i];
      if (c == '\n') {
        use_line(&l);
        memset(&l, 0, sizeof l);
        field = in_space = 0;
        continue;
      }
      if (field < 6 && (c == ' ' || (field == 0 && c == '-'))) {
        in_space = 1;
        continue;
      }
      if (in_space) field++, in_space = 0;
      uint64_t digit = c >= '0' && c <= '9' ? (uint64_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint64_t)(c - 'a' + 10) : 0;
      if (field == 0) l.start = l.start << 4 | digit;
      else if (field == 1) l.end = l.end << 4 | digit;
      else if (field == 2) l.is_code |= c == 'x';
      else if (field == 3) l.offset = l.offset << 4 | digit;
      else if (field == 6 && l.path_length + 1 < sizeof l.path) l.path[l.path_length++] = c;
    }
  close(file);
}

static void dies(int signal, siginfo_t *information, void *context) {
  int error = errno;
  // A child that a job forked has this handler too, but the note is not about it. Of two threads the first writes.
  if (getpid() == worker && !atomic_flag_test_and_set(&is_written)) {
    struct registers r = registers_of(context);
    note->code = information->si_code;
    note->address = (uint64_t)(uintptr_t)information->si_addr;
    note->sender = information->si_code <= 0 ? (uint64_t)information->si_pid : 0;
    note->stack = r.stack;
    note->pid = (uint64_t)worker;
    note_frames(r);
    copy_stack(r.stack);
    note_files();
    note_stack();
    atomic_store_explicit((_Atomic uint64_t *)&note->signal, (uint64_t)signal, memory_order_release);
  }
  // Whoever would have had the signal has it now: where the fault is met again by itself, there, otherwise sent once more.
  for (int i = 0; i < WATCHED; i++)
    if (watched[i] == signal) sigaction(signal, &before[i], NULL);
  if (information->si_code <= 0 || signal == SIGTRAP || signal == SIGSYS) syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
  errno = error;
}

void heddle_use_alternate_stack(void) {
  stack_t stack = {.ss_size = 64 << 10};
  stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack.ss_sp != MAP_FAILED) sigaltstack(&stack, NULL);
}

void heddle_leave_death_notes(void *memory) {
  note = memory;
  worker = getpid();
  struct sigaction action = {.sa_sigaction = dies, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < WATCHED; i++) sigaction(watched[i], &action, &before[i]);
}
#else
void heddle_use_alternate_stack(void) {}
void heddle_leave_death_notes(void *memory) { (void)memory; }
#endif

// The Swift runtime's own; weak, since a program may be linked without it.
extern char *swift_demangle(const char *name, size_t length, char *output, size_t *size, uint32_t flags) __attribute__((weak));

char *heddle_demangle(const char *name) { return swift_demangle ? swift_demangle(name, strlen(name), NULL, NULL, 0) : NULL; }
