/* Time. Intervals use the monotonic clock; the wall clock is for people and for what MariaDB stamped. */
#ifndef SYNCLINE_BASE_CLOCK_H
#define SYNCLINE_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
int64_t clock_wall_s(void);
int64_t clock_wall_us(void);
void clock_sleep_ms(int64_t ms);

#endif
