/* fcgi_hello: the bare FastCGI program, the yardstick for what the web server and libfcgi alone cost.
 *
 * Listens on descriptor 0 and answers every request with the same 200 bytes of JSON.
 */
#include <fcgiapp.h>
#include <pthread.h>
#include <stdbool.h>

#define THREADS_MAX 1024
#define BODY_SIZE 200

static const char usage_text[] = "usage: fcgi_hello [THREADS]   (default 1; descriptor 0 is the listening socket)\n";

static void fill_body(char *body)
{
    static const char begin[] = "{\"message\":\"hello\",\"padding\":\"";
    static const char end[] = "\"}";
    memset(body, 'x', BODY_SIZE);
    memcpy(body, begin, sizeof begin - 1);
    memcpy(body + BODY_SIZE - (sizeof end - 1), end, sizeof end - 1);
}

static void *serve(void *unused)
{
    (void)unused;
    char body[BODY_SIZE];
    fill_body(body);
    FCGX_Request request;
    if (FCGX_InitRequest(&request, 0, 0) != 0) {
        return NULL;
    }
    while (FCGX_Accept_r(&request) >= 0) {
        FCGX_FPrintF(request.out, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", BODY_SIZE);
        FCGX_PutStr(body, BODY_SIZE, request.out);
        FCGX_Finish_r(&request);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long threads = argc > 1 ? strtol(argv[1], &end, 10) : 1;
    if (argc > 2 || (end && (*end || end == argv[1])) || threads < 1 || threads > THREADS_MAX) {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fputs(usage_text, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    if (FCGX_Init() != 0) {
        return 1;
    }
    for (long i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, NULL) != 0) {
            return 1;
        }
    }
    serve(NULL);
    return 0;
}
