#include "test/upstream/parts/timers.h"

int64_t timers_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void heap_put(struct timers *t, size_t i, struct timer *timer)
{
    t->heap[i] = timer;
    timer->slot = i + 1;
}

static void heap_up(struct timers *t, size_t i)
{
    struct timer *timer = t->heap[i];
    while (i > 0 && t->heap[(i - 1) / 2]->due > timer->due) {
        heap_put(t, i, t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(t, i, timer);
}

static void heap_down(struct timers *t, size_t i)
{
    struct timer *timer = t->heap[i];
    for (size_t child = 2 * i + 1; child < t->len; child = 2 * i + 1) {
        if (child + 1 < t->len && t->heap[child + 1]->due < t->heap[child]->due) {
            child++;
        }
        if (t->heap[child]->due >= timer->due) {
            break;
        }
        heap_put(t, i, t->heap[child]);
        i = child;
    }
    heap_put(t, i, timer);
}

void timers_set(struct timers *t, struct timer *timer, int64_t due)
{
    timers_clear(t, timer);
    if (t->len == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->heap = realloc(t->heap, t->cap * sizeof *t->heap);
        if (!t->heap) {
            abort();
        }
    }
    timer->due = due;
    heap_put(t, t->len++, timer);
    heap_up(t, t->len - 1);
}

void timers_clear(struct timers *t, struct timer *timer)
{
    if (!timer->slot) {
        return;
    }
    size_t i = timer->slot - 1;
    timer->slot = 0;
    struct timer *last = t->heap[--t->len];
    if (last != timer) {
        heap_put(t, i, last);
        heap_up(t, i);
        heap_down(t, last->slot - 1);
    }
}

struct timer *timers_pop(struct timers *t, int64_t now)
{
    if (!t->len || t->heap[0]->due > now) {
        return NULL;
    }
    struct timer *first = t->heap[0];
    timers_clear(t, first);
    return first;
}

int64_t timers_wait(const struct timers *t, int64_t now)
{
    if (!t->len) {
        return -1;
    }
    return t->heap[0]->due > now ? t->heap[0]->due - now : 0;
}

void timers_free(struct timers *t)
{
    free(t->heap);
    *t = (struct timers){0};
}
