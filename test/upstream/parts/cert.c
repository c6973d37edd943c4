#include "test/upstream/parts/cert.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define VALID_SECONDS (3650L * 24 * 3600)

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension && X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return ok;
}

static bool set_random_serial(X509 *cert)
{
    uint64_t serial = 0;
    return RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1);
}

static bool set_name(X509 *cert, const char *name)
{
    return X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                      -1, 0);
}

/* issuer NULL = self-signed authority. */
static X509 *cert_build(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *cert = X509_new();
    if (!cert) {
        return NULL;
    }
    X509 *signer = issuer ? issuer : cert;
    bool ok = X509_set_version(cert, X509_VERSION_3) && set_random_serial(cert) &&
              X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
              X509_gmtime_adj(X509_getm_notAfter(cert), VALID_SECONDS) && X509_set_pubkey(cert, key) &&
              set_name(cert, name) && X509_set_issuer_name(cert, X509_get_subject_name(signer)) &&
              add_extension(cert, signer, NID_subject_key_identifier, "hash");
    if (ok && issuer) {
        ok = add_extension(cert, signer, NID_authority_key_identifier, "keyid") &&
             add_extension(cert, signer, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
             add_extension(cert, signer, NID_basic_constraints, "CA:FALSE") &&
             add_extension(cert, signer, NID_ext_key_usage, "serverAuth");
    } else if (ok) {
        ok = add_extension(cert, signer, NID_basic_constraints, "critical,CA:TRUE") &&
             add_extension(cert, signer, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    if (ok && X509_sign(cert, issuer_key ? issuer_key : key, EVP_sha256())) {
        return cert;
    }
    X509_free(cert);
    return NULL;
}

static bool write_pem(const char *directory, const char *name, X509 *cert, EVP_PKEY *key)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) {
        return false;
    }
    FILE *f = fopen(path, "w");
    if (!f) {
        return false;
    }
    bool ok = cert ? PEM_write_X509(f, cert) : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    return fclose(f) == 0 && ok;
}

bool cert_make(const char *directory)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *ca = ca_key && key ? cert_build("Scripted upstream CA", ca_key, NULL, NULL) : NULL;
    X509 *cert = ca ? cert_build("localhost", key, ca, ca_key) : NULL;
    bool ok = cert && write_pem(directory, "ca.pem", ca, NULL) && write_pem(directory, "cert.pem", cert, NULL) &&
              write_pem(directory, "key.pem", NULL, key);
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return ok;
}
