/* SPDX-License-Identifier: MIT
 *
 * Lines typed at the console: how somebody outside tells the load to go on.
 */
#ifndef MEMLOAD_INPUT_H
#define MEMLOAD_INPUT_H

/* 1 when a line has come, which is taken; 0 when there is none yet. Does not wait. An input that has ended
 * counts as a line, so that nobody waits for what cannot come. */
int input_has_line(void);

#endif
