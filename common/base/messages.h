/* The message catalogue (contract 01 §3.5) in English, Vietnamese and Chinese.
 *
 * messages.def is the table: MSG(name, key, parameters, en, vi, zh). Texts hold
 * {0}, {1}, {2} for parameters.
 */
#ifndef CLAWGATE_BASE_MESSAGES_H
#define CLAWGATE_BASE_MESSAGES_H

struct buf;

enum locale { LOCALE_EN, LOCALE_VI, LOCALE_ZH, LOCALES };

enum message_id {
#define MSG(name, key, params, en, vi, zh) MSG_##name,
#include "base/messages.def"
#undef MSG
    MESSAGES
};

const char *message_key(enum message_id id);
int message_params(enum message_id id);
const char *message_text(enum message_id id, enum locale locale);
/* Adds the text with its parameters put in (NULL counts as ""), at most 1000 characters. A text that ends in an
 * empty parameter loses the colon before it too: "Internal error: {0}" becomes "Internal error". args may be NULL. */
void message_format(struct buf *out, enum message_id id, enum locale locale, const char *const args[3]);

const char *locale_name(enum locale l);
/* Contract 01 §2.4; NULL gives English. */
enum locale locale_from_header(const char *accept_language);

#endif
