/* Answers of the OpenAI-compatible protocol. */
#include "stream.h"

#include "llm/openai.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct arena *a = arena_new();
    stream_check(&openai_dialect, a, data, size);
    arena_free(a);
    return 0;
}
