#include "llm_fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* A self-signed certificate for this name; its PEM text goes to `file` when given. */
static SSL_CTX *tls_server(const char *name, const char *file)
{
    char alt[100];
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    snprintf(alt, sizeof(alt), "DNS:%s", name);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    if (file) {
        FILE *out = fopen(file, "w");
        assert_non_null(out);
        PEM_write_X509(out, cert);
        fclose(out);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static void tls(void **state)
{
    (void)state;
    static const struct step steps[] = {{ANSWER, KEEP}, {ANSWER, KEEP}, {ANSWER, CLOSE}, {ANSWER, KEEP}, {NULL, HANG}};
    char file[] = "/tmp/clawgate-http-test-XXXXXX";
    close(mkstemp(file));
    SSL_CTX *good = tls_server("localhost", file);
    setenv("SSL_CERT_FILE", file, 1);
    struct fixture f;
    start(&f, steps, COUNT(steps), good);
    for (int i = 0; i < 4; i++)
        assert_true(call(&f));
    assert_int_equal(f.server.connections, 2);
    /* The right certificate under another name. */
    const char *url = f.provider.base_url;
    char by_address[64];
    snprintf(by_address, sizeof(by_address), "https://127.0.0.1:%d/v1", f.server.port);
    f.provider.base_url = by_address;
    expect_fault(&f, FAULT_UNAVAILABLE, "SSL", 3);
    f.provider.base_url = url;
    f.seen.retries = 0;
    expect_cancelled(&f, &f.server.requests, 5);
    stop(&f);
    SSL_CTX_free(good);

    /* The right name, and nobody who vouches for it. */
    SSL_CTX *stranger = tls_server("localhost", NULL);
    start(&f, steps, COUNT(steps), stranger);
    expect_fault(&f, FAULT_UNAVAILABLE, "SSL", 3);
    assert_int_equal(f.server.requests, 0);
    stop(&f);
    SSL_CTX_free(stranger);
    unsetenv("SSL_CERT_FILE");
    unlink(file);
}

/* --- many threads --- */

struct crowd {
    struct fixture *f;
    int good;
};

static void *crowd_run(void *ctx)
{
    struct crowd *crowd = ctx;
    for (int i = 0; i < 5; i++) {
        struct arena *a = arena_new();
        struct cancel cancel;
        struct llm_answer answer;
        struct fault fault;
        cancel_init(&cancel, clock_mono_ms() + 20000);
        crowd->good += llm_call(a, &crowd->f->provider, &crowd->f->request, NULL, &cancel, &answer, &fault, NULL) &&
                       strcmp(answer.text, "tick tick ") == 0;
        llm_housekeeping();
        cancel_release(&cancel);
        arena_free(a);
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    static const struct step steps[] = {{STREAM TICK TICK DONE LAST, KEEP}};
    char file[] = "/tmp/clawgate-http-test-XXXXXX";
    close(mkstemp(file));
    SSL_CTX *good = tls_server("localhost", file);
    setenv("SSL_CERT_FILE", file, 1);
    struct fixture f;
    start(&f, steps, COUNT(steps), good);
    pthread_t ids[8];
    struct crowd crowds[8];
    for (int i = 0; i < 8; i++) {
        crowds[i] = (struct crowd){.f = &f};
        pthread_create(&ids[i], NULL, crowd_run, &crowds[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(crowds[i].good, 5);
    }
    assert_int_equal(f.server.requests, 40);
    assert_in_range(f.server.connections, 1, 8);
    stop(&f);
    SSL_CTX_free(good);
    unsetenv("SSL_CERT_FILE");
    unlink(file);
}

int main(void)
{
    fixture_clocks();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
