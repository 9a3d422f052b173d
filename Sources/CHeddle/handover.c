// Memory that processes hand to each other: files without a name whose size is fixed, and the messages that carry their descriptors.
#include "CHeddle.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int closed_with(int fd, int error) {
  close(fd);
  errno = error;
  return -1;
}

#if defined(__linux__)
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/vfs.h>

// In headers that are older than the kernel.
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

// A file without a name, of zeros.
static int file_in_memory(const char *name, unsigned flags, size_t size) {
  // Memory counts as a file here: past the limit of file sizes (ulimit -f) the kernel would not only refuse, it would end this process (SIGXFSZ).
  struct rlimit limit;
  if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size) {
    errno = EFBIG;
    return -1;
  }
  int fd = memfd_create(name, MFD_CLOEXEC | flags);
  if (fd >= 0 && ftruncate(fd, (off_t)size)) return closed_with(fd, errno);
  return fd;
}

int heddle_memory_file(size_t size) { return file_in_memory("heddle", 0, size); }

int heddle_sealed_file(size_t size) {
  int fd = file_in_memory("heddle-buffer", MFD_ALLOW_SEALING, size);
  if (fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)) return closed_with(fd, errno);
  return fd;
}

int heddle_take_memory(int fd, void *address, size_t size) {
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
  // Pages and page tables in one go. Afterwards each page would cost a fault of its own, which is most of what new memory costs.
  int error = 0;
  while (madvise(address, size, MADV_POPULATE_WRITE) && (error = errno) == EINTR) {}
  if (!error) return 0;
  if (error == EFAULT) return ENOMEM;
  if (error != EINVAL) return error;
  // Before Linux 5.14.
  while (fallocate(fd, 0, 0, (off_t)size))
    if (errno != EINTR) return errno == ENOSPC ? ENOMEM : errno;
  return 0;
}

int heddle_seal_against_writing(int fd) { return fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) ? errno : 0; }

int heddle_look_at_sealed_file(int fd, heddle_sealed_facts *facts) {
  struct stat s;
  struct statfs system;
  memset(facts, 0, sizeof *facts);
  if (fstat(fd, &s) || fstatfs(fd, &system)) return errno;
  facts->device = s.st_dev;
  facts->inode = s.st_ino;
  facts->size = (uint64_t)s.st_size;
  int seals = S_ISREG(s.st_mode) ? fcntl(fd, F_GET_SEALS) : -1;
  if (seals < 0) return 0;
  // Not of huge pages: those can be missing when they are touched. Only a memfd can have these seals, a file in /dev/shm cannot.
  facts->is_sealed = system.f_type == TMPFS_MAGIC && (seals & F_SEAL_SHRINK) && (seals & F_SEAL_GROW);
  facts->is_whole = (uint64_t)s.st_blocks * 512 >= facts->size;
  facts->is_writable = !(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
  return 0;
}

int heddle_message_socket_pair(int fds[2]) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds); }
#define RECEIVE_FLAGS MSG_CMSG_CLOEXEC
#else
// Untested. A shared memory object's size can be set once here, which is as good as a seal; who may write it is not sealed at all.
#include <stdio.h>

int heddle_sealed_file(size_t size) {
  for (int attempt = 0; attempt < 100; attempt++) {
    char name[32];
    snprintf(name, sizeof name, "/heddle-%08x%08x", arc4random(), arc4random());
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) return -1;
    shm_unlink(name);
    if (ftruncate(fd, (off_t)size)) return closed_with(fd, errno);
    heddle_set_close_on_exec(fd);
    return fd;
  }
  return -1;
}

int heddle_take_memory(int fd, void *address, size_t size) {
  (void)fd, (void)address, (void)size;
  return 0;
}

int heddle_seal_against_writing(int fd) {
  (void)fd;
  return 0;
}

int heddle_look_at_sealed_file(int fd, heddle_sealed_facts *facts) {
  struct stat s;
  memset(facts, 0, sizeof *facts);
  if (fstat(fd, &s)) return errno;
  facts->device = (uint64_t)s.st_dev;
  facts->inode = s.st_ino;
  facts->size = (uint64_t)s.st_size;
  // Setting the size of an object that has one fails; of a file it does not.
  facts->is_sealed = ftruncate(fd, s.st_size) != 0;
  facts->is_whole = true;
  facts->is_writable = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
  return 0;
}

int heddle_message_socket_pair(int fds[2]) {
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fds)) return -1;
  heddle_set_close_on_exec(fds[0]);
  heddle_set_close_on_exec(fds[1]);
  return 0;
}
#define RECEIVE_FLAGS 0
#endif

// Room for twice as many as are sent, so that more than were announced are noticed and closed instead of being cut off.
typedef union {
  struct cmsghdr aligned;
  char bytes[CMSG_SPACE(2 * HEDDLE_HANDOVER_LIMIT * sizeof(int))];
} control_room;

int heddle_send_descriptors(int socket, const int *fds, const uint64_t *numbers, int count, bool wait) {
  if (count < 1 || count > HEDDLE_HANDOVER_LIMIT) return EINVAL;
  control_room control;
  memset(&control, 0, sizeof control);
  struct iovec data = {.iov_base = (void *)numbers, .iov_len = (size_t)count * sizeof *numbers};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
  memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
  while (sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) < 0)
    if (errno != EINTR) return errno;
  return 0;
}

int heddle_receive_descriptors(int socket, int *fds, uint64_t *numbers, int count) {
  if (count < 1 || count > HEDDLE_HANDOVER_LIMIT) return EBADMSG;
  control_room control;
  uint64_t received[HEDDLE_HANDOVER_LIMIT + 1];
  struct iovec data = {.iov_base = received, .iov_len = sizeof received};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t length;
  while ((length = recvmsg(socket, &message, MSG_DONTWAIT | RECEIVE_FLAGS)) < 0)
    if (errno != EINTR) return errno;
  int found = 0, surplus = 0;
  for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    int here = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < here; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(h) + (size_t)i * sizeof fd, sizeof fd);
      if (!RECEIVE_FLAGS) heddle_set_close_on_exec(fd);
      if (found < count) fds[found++] = fd;
      else close(fd), surplus++;
    }
  }
  int error = 0;
  if (surplus || length != (ssize_t)((size_t)count * sizeof *numbers)) error = EBADMSG;
  else if (found < count) error = message.msg_flags & MSG_CTRUNC ? EMFILE : EBADMSG;
  if (error)
    while (found) close(fds[--found]);
  else memcpy(numbers, received, (size_t)length);
  return error;
}
