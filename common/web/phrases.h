/* What messages of the catalogue are completed with, in the reader's language.
 *
 * Handlers name what a value must be, or what is wrong with it, in English; phrases.def has the same in the other
 * languages. Texts that stand there are translated, names, numbers and what users sent pass as they are.
 */
#ifndef CLAWGATE_WEB_PHRASES_H
#define CLAWGATE_WEB_PHRASES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/messages.h"

/* Adds the phrase in this language and returns true; false, and nothing added, when `english` is none. */
bool phrase_add(struct buf *out, const char *english, enum locale locale);

#endif
