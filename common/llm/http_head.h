/* What an upstream call wants to know of the answer's head, line by line (private to http.c). */
#ifndef CLAWGATE_LLM_HTTP_HEAD_H
#define CLAWGATE_LLM_HTTP_HEAD_H

#include "llm/http.h"

/* Fills status, content_type, encoded and retry_after_ms. A status line, also one after a 1xx, starts them anew. */
void http_head_line(struct http_call *call, const char *line, size_t len);

#endif
