// Owners of OpenSSL objects. For this room alone, and for tests that forge certificates: of its
// headers record_key.hpp includes it, and no header of another room does.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "gossamer/base/bytes.hpp"

namespace gossamer::security {

template <auto Free>
struct FreeWith {
    template <class T>
    void operator()(T* object) const {
        Free(object);
    }
};

using KeyHandle = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using X509Handle = std::unique_ptr<X509, FreeWith<X509_free>>;
using RequestHandle = std::unique_ptr<X509_REQ, FreeWith<X509_REQ_free>>;
using BioHandle = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;

// Reads from bytes of ours, which must outlive it.
inline BioHandle reading_bio(ByteView bytes) {
    return BioHandle(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}
inline std::string text_of(BIO* memory) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory, &data);
    return std::string(data, static_cast<std::size_t>(size));
}

// An encrypted key file must be an error, never a prompt on the terminal of a daemon.
inline int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace gossamer::security
