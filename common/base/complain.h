/* What the command line tools say when they cannot do what they were asked. */
#ifndef CLAWGATE_BASE_COMPLAIN_H
#define CLAWGATE_BASE_COMPLAIN_H

/* Prints "clawgate: …" on standard error; 1, so that a command can end with it. */
__attribute__((format(printf, 1, 2))) int complain(const char *fmt, ...);

#endif
