/* The settings that count. Programs come and go while serve runs; what each of them reads is a copy that only a start
 * and a reload renew, so that all have the same settings and none meets a file that somebody is just writing. */
#ifndef CLAWGATE_SERVE_SETTINGS_H
#define CLAWGATE_SERVE_SETTINGS_H

#include <stdbool.h>

/* At the start: copies the file (none: no settings) into run_dir and leads everything started later to the copy by
 * GOCLAW_CONFIG. false with errno. */
bool settings_begin(const char *file, const char *run_dir);

/* At a reload: the copy is made anew when the program accepts the settings (--check, which logs what is wrong). */
bool settings_renew(const char *program);

#endif
