#include "test/upstream/parts/record.h"

#include <ctype.h>

#define RECORD_BODY_MAX ((size_t)1024 * 1024)
#define STORED_MAX ((size_t)64 * 1024 * 1024)

struct times_entry {
    struct times_entry *next;
    char *options;
    long seen;
};

static char *copy_span(struct http_span s)
{
    char *copy = strndup(s.p ? s.p : "", s.n);
    if (!copy) {
        abort();
    }
    return copy;
}

static void record_free(struct records *r, unsigned long slot)
{
    struct record *record = r->ring[slot];
    if (record) {
        r->stored -= record->body.len;
        free(record->method);
        free(record->path);
        free(record->options);
        bytes_free(&record->headers);
        bytes_free(&record->body);
        free(record);
        r->ring[slot] = NULL;
    }
}

static struct record *record_find(struct records *r, unsigned long n)
{
    struct record *record = r->ring[n % RECORDS_MAX];
    return record && record->n == n ? record : NULL;
}

static void headers_object(struct http_span headers, struct bytes *out)
{
    struct http_span name, value;
    bytes_text(out, "{");
    while (http_header_next(&headers, &name, &value)) {
        bytes_text(out, out->len > 1 ? ",\"" : "\"");
        size_t from = out->len;
        bytes_escape(out, name.p, name.n);
        for (size_t i = from; i < out->len; i++) {
            out->p[i] = (char)tolower((unsigned char)out->p[i]);
        }
        bytes_text(out, "\":\"");
        bytes_escape(out, value.p, value.n);
        bytes_text(out, "\"");
    }
    bytes_text(out, "}");
}

/* Old bodies make room for new ones. */
static void stored_trim(struct records *r)
{
    for (unsigned long i = 0; i < RECORDS_MAX && r->stored > STORED_MAX; i++) {
        record_free(r, (r->next + 1 + i) % RECORDS_MAX);
    }
}

unsigned long record_add(struct records *r, const struct http *h, const struct bytes *in, struct http_span path,
                         struct http_span options)
{
    unsigned long n = ++r->next;
    r->requests++;
    r->open++;
    r->peak_open = r->open > r->peak_open ? r->open : r->peak_open;
    if (r->quiet) {
        return n;
    }
    struct record *record = calloc(1, sizeof *record);
    if (!record) {
        abort();
    }
    record->n = n;
    record->method = copy_span(http_method(in));
    record->path = copy_span(path);
    record->options = copy_span(options);
    headers_object(http_headers(h, in), &record->headers);
    record->body_bytes = h->body_len;
    bytes_add(&record->body, in->p + h->head_len, h->body_len < RECORD_BODY_MAX ? h->body_len : RECORD_BODY_MAX);
    record_free(r, n % RECORDS_MAX);
    r->ring[n % RECORDS_MAX] = record;
    r->stored += record->body.len;
    stored_trim(r);
    return n;
}

void record_close(struct records *r, unsigned long n, enum record_end end, size_t bytes_sent)
{
    r->open--;
    r->completed += end == RECORD_DONE;
    r->aborted += end == RECORD_ABORTED;
    r->cut += end == RECORD_CUT;
    struct record *record = record_find(r, n);
    if (record) {
        record->done = end == RECORD_DONE;
        record->closed_early = end == RECORD_ABORTED;
        record->bytes_sent = bytes_sent;
    }
}

void record_status(struct records *r, unsigned long n, long status)
{
    struct record *record = record_find(r, n);
    if (record) {
        record->status = status;
    }
}

long record_times(struct records *r, const char *options, size_t n)
{
    struct times_entry *entry = r->times;
    while (entry && (strlen(entry->options) != n || memcmp(entry->options, options, n) != 0)) {
        entry = entry->next;
    }
    if (!entry) {
        entry = calloc(1, sizeof *entry);
        if (!entry) {
            abort();
        }
        entry->options = copy_span((struct http_span){options, n});
        entry->next = r->times;
        r->times = entry;
    }
    return entry->seen++;
}

static void record_json(const struct record *record, struct bytes *out)
{
    bytes_format(out, "{\"n\":%lu,\"method\":", record->n);
    bytes_json(out, record->method);
    bytes_text(out, ",\"path\":");
    bytes_json(out, record->path);
    bytes_text(out, ",\"options\":");
    bytes_json(out, record->options);
    bytes_text(out, ",\"headers\":");
    bytes_add(out, record->headers.p, record->headers.len);
    bytes_text(out, ",\"body\":\"");
    bytes_escape(out, record->body.p, record->body.len);
    bytes_format(out, "\",\"body_bytes\":%zu,\"status\":%ld,\"bytes_sent\":%zu,\"closed_early\":%s,\"done\":%s}",
                 record->body_bytes, record->status, record->bytes_sent, record->closed_early ? "true" : "false",
                 record->done ? "true" : "false");
}

void records_list(const struct records *r, struct bytes *out)
{
    bytes_text(out, "[");
    for (unsigned long i = 1; i <= RECORDS_MAX; i++) {
        const struct record *record = r->ring[(r->next + i) % RECORDS_MAX];
        if (record) {
            bytes_text(out, out->len > 1 ? ",\n" : "");
            record_json(record, out);
        }
    }
    bytes_text(out, "]\n");
}

void records_stats(const struct records *r, struct bytes *out)
{
    bytes_format(out,
                 "{\"requests\":%lu,\"open\":%lu,\"peak_open\":%lu,\"completed\":%lu,\"aborted\":%lu,\"cut\":%lu,"
                 "\"connections_accepted\":%lu}\n",
                 r->requests, r->open, r->peak_open, r->completed, r->aborted, r->cut, r->connections);
}

void records_reset(struct records *r)
{
    for (unsigned long i = 0; i < RECORDS_MAX; i++) {
        record_free(r, i);
    }
    while (r->times) {
        struct times_entry *entry = r->times;
        r->times = entry->next;
        free(entry->options);
        free(entry);
    }
    r->requests = r->completed = r->aborted = r->cut = r->connections = 0;
    r->requests = r->peak_open = r->open;
}
