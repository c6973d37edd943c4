/* JSON out: a writer that appends straight to a buffer, no tree in between.
 *
 * Commas and colons are its business. Text is written as it is (it is valid
 * UTF-8 by the time it is stored; invalid bytes become U+FFFD). A mistake in
 * nesting is a programming error and asserts.
 */
#ifndef CLAWGATE_BASE_JSONW_H
#define CLAWGATE_BASE_JSONW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"

enum { JSONW_DEPTH_MAX = 63 };

struct jsonw {
    struct buf *out;
    uint64_t filled;  /* bit per level: something was written there */
    uint64_t objects; /* bit per level: it is an object */
    int depth;        /* open containers; JSONW_DEPTH_MAX at most */
    bool after_key;
};

void jw_init(struct jsonw *w, struct buf *out);
void jw_obj(struct jsonw *w);     /* { */
void jw_obj_end(struct jsonw *w); /* } */
void jw_arr(struct jsonw *w);     /* [ */
void jw_arr_end(struct jsonw *w); /* ] */
void jw_key(struct jsonw *w, const char *key);
/* The same for a key that is written often: label is ,"key": as n bytes, made once. */
void jw_label(struct jsonw *w, const char *label, size_t n);
void jw_str(struct jsonw *w, const char *s); /* NULL writes null */
void jw_strn(struct jsonw *w, const char *s, size_t n);
void jw_int(struct jsonw *w, int64_t v);
void jw_num(struct jsonw *w, double v); /* shortest text that reads back equal; not finite writes null */
void jw_bool(struct jsonw *w, bool v);
void jw_null(struct jsonw *w);
void jw_raw(struct jsonw *w, const char *json, size_t n); /* a complete JSON value */
void jw_json(struct jsonw *w, json_object *o); /* NULL writes null; numbers keep the text they were read from */

/* key and value in one call */
void jw_kobj(struct jsonw *w, const char *key);
void jw_karr(struct jsonw *w, const char *key);
void jw_kstr(struct jsonw *w, const char *key, const char *s);
void jw_kint(struct jsonw *w, const char *key, int64_t v);
void jw_knum(struct jsonw *w, const char *key, double v);
void jw_kbool(struct jsonw *w, const char *key, bool v);
void jw_knull(struct jsonw *w, const char *key);
void jw_kraw(struct jsonw *w, const char *key, const char *json); /* NULL writes null */
/* Left out when s is NULL or "". */
void jw_kopt(struct jsonw *w, const char *key, const char *s);

/* Only the escaped inside of a JSON string, without quotes (streaming writers). */
bool json_escape(struct buf *out, const char *s, size_t n);

#endif
