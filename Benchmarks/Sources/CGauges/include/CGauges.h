/// What a measurement asks of the system, and the peers that are plain C: a socket pair, posix_spawn, memcpy.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Bytes that this process has from malloc at the moment.
uint64_t gauge_allocated(void);
/// Gives free memory back to the system, so that what is resident is what is used.
void gauge_trim(void);
/// Processor time of a process so far, all its threads: nanoseconds; 0: there is none.
uint64_t gauge_processor_time(pid_t pid);
/// The calling thread's number.
pid_t gauge_thread(void);
/// Uses a processor for so many nanoseconds of the calling thread's own processor time.
void gauge_burn(uint64_t nanoseconds);
/// The same on two threads at once, each so many nanoseconds: how long that takes, in nanoseconds.
double gauge_burn_in_two(uint64_t nanoseconds);
/// Uses a processor until the parent dies.
_Noreturn void gauge_burn_forever(void);
/// Monotonic time: nanoseconds.
uint64_t gauge_now(void);

/// Rounds of 64 bytes to another process and back over a socket pair: nanoseconds a round, each after `quiet` microseconds of sleep.
/// The median of them where there is quiet, otherwise the mean. 0: it failed.
double gauge_socket_rounds(int count, int quiet);
/// posix_spawn of /bin/true and the wait for its end, so many times: nanoseconds each. 0: it failed.
double gauge_spawn(int count);
/// memcpy of so many bytes, both sides touched before: bytes a nanosecond.
double gauge_copy(size_t bytes, int count);
/// The median of `count` values, which it sorts.
double gauge_median(double *values, int count);
/// Starts a program with its standard input and output as pipes, whose other ends are given back: its number, or -1 and errno.
pid_t gauge_start(char *const arguments[], int *input, int *output);
