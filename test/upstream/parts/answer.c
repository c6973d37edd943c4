#include "test/upstream/parts/answer.h"

#include "test/upstream/parts/dialect.h"

#define BATCH ((size_t)16 * 1024)
#define BIG_SLICE 65536L
#define ENDLESS_MID 8

enum stage { STAGE_START, STAGE_HEAD, STAGE_COMMENTS, STAGE_OPEN, STAGE_BLOCKS, STAGE_BIG, STAGE_FINISH, STAGE_DONE,
             STAGE_WHOLE, STAGE_END };

struct answer *answer_new(struct script *script, enum answer_api api, const struct chat *chat, size_t request_len,
                          unsigned long id)
{
    struct answer *a = calloc(1, sizeof *a);
    if (!a) {
        abort();
    }
    a->script = *script;
    *script = (struct script){0};
    struct script *s = &a->script;
    a->api = api;
    a->dialect = api == API_ANTHROPIC ? &dialect_anthropic : &dialect_openai;
    a->id = id;
    a->big_left = s->big;
    if (!chat) {
        return a;
    }
    a->turns = chat->turns;
    a->include_usage = chat->include_usage;
    answer_choose_text(a, chat);
    a->stream = chat->stream && s->status == 200 && !s->html && !s->empty;
    bool huge = s->endless || s->big > 0;
    a->chunked = a->stream || (huge && s->status == 200 && !s->html && !s->empty);
    a->pieces = answer_count(a);
    a->mid = s->at >= 0 ? s->at : s->endless ? ENDLESS_MID : a->pieces > 1 ? a->pieces / 2 : a->pieces;
    a->usage_in = s->usage_in >= 0 ? s->usage_in : (long)(request_len / 4);
    a->usage_out = s->usage_in >= 0 ? s->usage_out : a->pieces;
    a->usage_cached = s->usage_cached;
    return a;
}

void answer_free(struct answer *a)
{
    if (a) {
        script_free(&a->script);
        bytes_free(&a->whole);
        free(a->model);
        free(a->text);
        free(a);
    }
}

static const char *line_end(const struct answer *a)
{
    return a->script.crlf ? "\r\n" : a->script.cr ? "\r" : "\n";
}

void answer_event_begin(const struct answer *a, struct bytes *out, const char *name)
{
    const char *space = a->script.nospace ? "" : " ";
    if (name) {
        bytes_format(out, "event:%s%s%s", space, name, line_end(a));
    }
    bytes_text(out, "data:");
    bytes_text(out, space);
}

void answer_event_end(const struct answer *a, struct bytes *out)
{
    bytes_text(out, line_end(a));
    bytes_text(out, line_end(a));
}

static void error_event(const struct answer *a, struct bytes *out, long status, const char *message)
{
    answer_event_begin(a, out, a->dialect->error_event);
    a->dialect->error(a, out, status, message);
    answer_event_end(a, out);
}

static void models_body(const struct answer *a, struct bytes *out)
{
    const char *names = a->script.models ? a->script.models : "upstream-small|upstream-large";
    bytes_text(out, "{\"object\":\"list\",\"data\":[");
    for (const char *p = names; *p;) {
        size_t n = strcspn(p, "|");
        bytes_text(out, p > names ? ",{\"id\":\"" : "{\"id\":\"");
        bytes_escape(out, p, n);
        bytes_text(out, "\",\"type\":\"model\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"upstream\","
                        "\"display_name\":\"");
        bytes_escape(out, p, n);
        bytes_text(out, "\"}");
        p += n + (p[n] == '|');
    }
    bytes_text(out, "],\"has_more\":false}");
}

static const char *garbage = "data: {\"id\":\"chatcmpl-0\",\"choices\":[{\"delta\":{\"content\":\"hal\n\n"
                             "\xff\xfe\xfd<<<not an event>>>\n\ndata: ]]]\n\n";

static void error_body(struct answer *a, struct bytes *out)
{
    const struct script *s = &a->script;
    const char *message = s->text ? s->text : "The scripted upstream refuses.";
    if (s->sse) {
        error_event(a, out, s->status, message);
    } else {
        a->dialect->error(a, out, s->status, message);
    }
}

static void build_whole(struct answer *a)
{
    const struct script *s = &a->script;
    struct bytes *out = &a->whole;
    if (s->empty || (s->status >= 300 && s->status < 400)) {
        return;
    }
    if (s->html) {
        bytes_format(out, "<html><head><title>%ld</title></head><body><h1>Bad Gateway</h1></body></html>\n", s->status);
    } else if (s->status != 200) {
        error_body(a, out);
    } else if (s->garbage) {
        bytes_text(out, garbage);
    } else if (s->inband) {
        a->dialect->error(a, out, 200, s->inband);
    } else if (a->api == API_MODELS) {
        models_body(a, out);
    } else if (a->api == API_OTHER) {
        bytes_text(out, s->text);
    } else {
        a->dialect->whole(a, out);
    }
}

static const char *reason_phrase(long status)
{
    return status == 200 ? "OK" : status < 400 ? "Redirect" : "Scripted";
}

static const char *content_type(const struct answer *a)
{
    if (a->script.type) {
        return a->script.type;
    }
    if (a->script.html) {
        return "text/html; charset=utf-8";
    }
    if (a->stream || (a->script.sse && a->script.status != 200)) {
        return "text/event-stream; charset=utf-8";
    }
    return a->api == API_OTHER && a->script.status == 200 ? "text/plain; charset=utf-8" : "application/json";
}

static void write_head(struct answer *a, struct bytes *out)
{
    const struct script *s = &a->script;
    bytes_format(out, "HTTP/1.1 %ld %s\r\nServer: upstream\r\nX-Request-Id: req_%lu\r\nContent-Type: %s\r\n", s->status,
                 reason_phrase(s->status), a->id, content_type(a));
    if (s->location) {
        bytes_format(out, "Location: %s\r\n", s->location);
    }
    if (s->retry_after >= 0) {
        bytes_format(out, "Retry-After: %ld\r\n", s->retry_after);
    }
    if (a->close) {
        bytes_text(out, "Connection: close\r\n");
    }
    if (a->chunked) {
        bytes_text(out, "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
    } else {
        bytes_format(out, "Content-Length: %zu\r\n\r\n", a->whole.len);
    }
}

/* What happens in the middle, when the script wants something there. */
static bool mid_wanted(const struct answer *a)
{
    return a->script.inband || a->script.stall == STALL_MID || a->script.cut == CUT_MID || a->script.cut == CUT_RESET ||
           a->script.cut == CUT_SOFT;
}

static enum answer_step mid_step(struct answer *a, struct bytes *body)
{
    const struct script *s = &a->script;
    if (s->inband) {
        error_event(a, body, 200, s->inband);
        a->stage = STAGE_END;
        return ANSWER_END;
    }
    if (s->stall == STALL_MID) {
        return ANSWER_STALL;
    }
    answer_event_begin(a, body, NULL);
    bytes_text(body, "{\"id\":\"chatcmpl-cut\",\"cho");
    a->stage = STAGE_END;
    return s->cut == CUT_SOFT ? ANSWER_END : s->cut == CUT_RESET ? ANSWER_RESET : ANSWER_CLOSE;
}

static void big_step(struct answer *a, struct bytes *body)
{
    bool endless = a->script.endless && !a->stream;
    if (!a->big_open) {
        a->dialect->big_begin(a, body);
        a->big_open = true;
    }
    long slice = endless || a->big_left > BIG_SLICE ? BIG_SLICE : a->big_left;
    bytes_fill(body, 'a', (size_t)slice);
    a->big_left -= endless ? 0 : slice;
    if (a->big_left == 0 && !endless) {
        a->dialect->big_end(a, body);
        a->stage = a->stream ? STAGE_BLOCKS : STAGE_END;
    }
}

/* Writes one piece, or opens or closes a block. Returns the pause that is due afterwards. */
static long block_step(struct answer *a, struct bytes *body)
{
    char scratch[64];
    size_t n;
    if (answer_block_at(a, a->block) == BLOCK_NONE) {
        a->stage = STAGE_FINISH;
        return 0;
    }
    if (!a->block_open) {
        a->dialect->block_start(a, body);
        a->block_open = true;
        if (answer_block_at(a, a->block) == BLOCK_TEXT && a->big_left > 0) {
            a->stage = STAGE_BIG;
        }
        return 0;
    }
    const char *piece = answer_piece(a, scratch, sizeof scratch, &n);
    if (piece) {
        a->dialect->delta(a, body, piece, n);
        a->deltas++;
        return a->deltas < a->pieces ? a->script.pace : 0;
    }
    a->dialect->block_stop(a, body);
    if (!answer_block_next(a)) {
        a->stage = STAGE_FINISH;
    }
    return 0;
}

static enum answer_step stream_step(struct answer *a, struct bytes *body, long *wait_ms)
{
    if (a->stage >= STAGE_BLOCKS && a->stage < STAGE_END && a->stage != STAGE_BIG && a->deltas >= a->mid &&
        mid_wanted(a)) {
        return mid_step(a, body);
    }
    switch (a->stage) {
    case STAGE_OPEN:
        if (a->script.garbage) {
            bytes_text(body, garbage);
            a->stage = STAGE_END;
            return ANSWER_END;
        }
        a->dialect->open(a, body);
        a->stage = STAGE_BLOCKS;
        break;
    case STAGE_BLOCKS:
        *wait_ms = block_step(a, body);
        return *wait_ms ? ANSWER_WAIT : ANSWER_MORE;
    case STAGE_BIG:
        big_step(a, body);
        break;
    case STAGE_FINISH:
        if (!a->script.nofinish) {
            a->dialect->finish(a, body);
        }
        a->dialect->usage(a, body);
        a->stage = STAGE_DONE;
        break;
    case STAGE_DONE:
        if (!a->script.noevent_end) {
            a->dialect->done(a, body);
        }
        a->stage = STAGE_END;
        break;
    default:
        return ANSWER_END;
    }
    return ANSWER_MORE;
}

static enum answer_step whole_step(struct answer *a, struct bytes *body)
{
    enum answer_step after = a->script.cut == CUT_RESET ? ANSWER_RESET
                             : a->script.cut == CUT_MID ? ANSWER_CLOSE
                             : a->script.stall == STALL_MID ? ANSWER_STALL
                                                            : ANSWER_END;
    size_t n = after == ANSWER_END ? a->whole.len : a->whole.len / 2;
    bytes_add(body, a->whole.p, n);
    a->stage = STAGE_END;
    return after;
}

static enum answer_step head_step(struct answer *a, struct bytes *head, long *wait_ms)
{
    const struct script *s = &a->script;
    if (s->stall == STALL_HEADERS) {
        return ANSWER_STALL;
    }
    if (s->cut == CUT_HEADERS) {
        return ANSWER_RESET;
    }
    bool big = a->chunked && !a->stream;
    if (!a->chunked) {
        build_whole(a);
        if (s->cut == CUT_SOFT) {
            a->whole.len /= 2;
        }
    }
    write_head(a, head);
    a->stage = !a->stream ? (big ? STAGE_BIG : STAGE_WHOLE) : s->stall == STALL_COMMENTS ? STAGE_COMMENTS : STAGE_OPEN;
    *wait_ms = s->first;
    return s->first ? ANSWER_WAIT : ANSWER_MORE;
}

static enum answer_step comment_step(const struct answer *a, struct bytes *body, long *wait_ms)
{
    bytes_format(body, ": keep-alive%s%s", line_end(a), line_end(a));
    *wait_ms = a->script.pace ? a->script.pace : 100;
    return ANSWER_WAIT;
}

enum answer_step answer_pull(struct answer *a, struct bytes *head, struct bytes *body, long *wait_ms)
{
    enum answer_step step = ANSWER_MORE;
    while (step == ANSWER_MORE && body->len < BATCH) {
        switch (a->stage) {
        case STAGE_START:
            a->stage = STAGE_HEAD;
            *wait_ms = a->script.delay;
            step = a->script.delay ? ANSWER_WAIT : ANSWER_MORE;
            break;
        case STAGE_HEAD:
            step = head_step(a, head, wait_ms);
            break;
        case STAGE_COMMENTS:
            step = comment_step(a, body, wait_ms);
            break;
        case STAGE_WHOLE:
            step = whole_step(a, body);
            break;
        default:
            step = stream_step(a, body, wait_ms);
        }
    }
    return step;
}
