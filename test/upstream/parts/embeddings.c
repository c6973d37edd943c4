#include "test/upstream/parts/embeddings.h"

#include <ctype.h>
#include <json-c/json.h>
#include <math.h>
#include <stdint.h>

#define DIMS_MAX 4096

/* FNV-1a over one word, in lower case. */
static uint32_t word_hash(const char *p, size_t n)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ (uint32_t)tolower((unsigned char)p[i])) * 16777619U;
    }
    return hash;
}

/* Counts every word in the dimension its hash names, then makes the length one. */
static void vector_fill(const char *text, double *vector, size_t dims)
{
    static const char separators[] = " \t\r\n.,;:!?\"()[]{}";
    memset(vector, 0, dims * sizeof *vector);
    double square = 0;
    for (const char *p = text + strspn(text, separators); *p; p += strspn(p, separators)) {
        size_t n = strcspn(p, separators);
        vector[word_hash(p, n) % dims] += 1;
        p += n;
    }
    for (size_t i = 0; i < dims; i++) {
        square += vector[i] * vector[i];
    }
    if (square <= 0) {
        vector[0] = square = 1;
    }
    for (size_t i = 0; i < dims; i++) {
        vector[i] /= sqrt(square);
    }
}

static void write_one(const char *text, size_t index, size_t dims, struct bytes *out)
{
    double vector[DIMS_MAX];
    vector_fill(text, vector, dims);
    bytes_format(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":[", index ? "," : "", index);
    for (size_t i = 0; i < dims; i++) {
        bytes_format(out, "%s%.6g", i ? "," : "", vector[i]);
    }
    bytes_text(out, "]}");
}

bool embeddings_write(const char *body, size_t n, long dims, struct bytes *out)
{
    json_tokener *tokener = json_tokener_new();
    json_object *root = n < INT32_MAX ? json_tokener_parse_ex(tokener, body, (int)n) : NULL;
    json_tokener_free(tokener);
    json_object *input = NULL, *wanted = NULL, *model = NULL;
    json_object_object_get_ex(root, "input", &input);
    if (json_object_object_get_ex(root, "dimensions", &wanted)) {
        dims = json_object_get_int(wanted);
    }
    bool list = json_object_is_type(input, json_type_array);
    bool ok = (list || json_object_is_type(input, json_type_string)) && dims > 0 && dims <= DIMS_MAX;
    if (ok) {
        size_t count = list ? json_object_array_length(input) : 1;
        bytes_text(out, "{\"object\":\"list\",\"data\":[");
        for (size_t i = 0; i < count; i++) {
            json_object *text = list ? json_object_array_get_idx(input, i) : input;
            write_one(json_object_get_string(text) ? json_object_get_string(text) : "", i, (size_t)dims, out);
        }
        json_object_object_get_ex(root, "model", &model);
        bytes_text(out, "],\"model\":");
        bytes_json(out, json_object_get_string(model));
        bytes_format(out, ",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}", n / 4, n / 4);
    }
    json_object_put(root);
    return ok;
}
