/// Counts what a program asks of the allocator. A program that links this has its malloc counted from its first instruction on.
#pragma once
#include <stdint.h>

/// Blocks asked for so far, by all threads: malloc, calloc, aligned allocations, and realloc of nothing.
uint64_t count_allocations(void);
/// Asks for so many blocks and gives each back, which no optimizer leaves out.
void count_waste(int blocks);
