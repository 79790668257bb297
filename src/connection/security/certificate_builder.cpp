#include "connection/security/certificate_builder.hpp"

#include "connection/security/openssl_handles.hpp"
#include "gossamer/base/assert.hpp"

namespace gossamer::security {
namespace {

void set_time(ASN1_TIME* field, WallTime t) {
    GOSSAMER_ASSERT(ASN1_TIME_set(field, static_cast<time_t>(t.ns / 1'000'000'000)) != nullptr,
                    "a time in range can be written");
}

void set_serial(X509* certificate, const CertificateFields& fields, const PublicKey& issuer) {
    ByteWriter w;
    w.put_bytes(issuer);
    w.put_bytes(fields.key);
    w.put_text(fields.uri);
    w.put(fields.not_before.ns);
    w.put(fields.not_after.ns);
    auto serial = digest256(w.view()).bytes;
    serial[0] = (serial[0] & std::byte{0x7f}) | std::byte{0x40};  // positive, always 16 bytes
    BIGNUM* number = BN_bin2bn(reinterpret_cast<unsigned char*>(serial.data()), 16, nullptr);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
}

void set_common_name(X509* certificate, const std::string& name) {
    X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.data()),
                               static_cast<int>(name.size()), -1, 0);
}

void add_extension(X509* certificate, X509V3_CTX* context, int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, context, nid, value.c_str());
    GOSSAMER_ASSERT(extension != nullptr, "an extension of ours can be written");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

}  // namespace

Certificate build_certificate(const CertificateFields& fields,
                              const std::optional<Certificate>& issuer,
                              const IdentityKey& issuer_key) {
    X509Handle x(X509_new());
    X509_set_version(x.get(), X509_VERSION_3);
    set_serial(x.get(), fields, issuer_key.public_key());
    set_time(X509_getm_notBefore(x.get()), fields.not_before);
    set_time(X509_getm_notAfter(x.get()), fields.not_after);
    set_common_name(x.get(), fields.common_name);
    X509* signer = issuer ? issuer->get() : x.get();
    X509_set_issuer_name(x.get(), X509_get_subject_name(signer));

    KeyHandle key(EVP_PKEY_new_raw_public_key(
        EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(fields.key.data()),
        fields.key.size()));
    X509_set_pubkey(x.get(), key.get());

    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, signer, x.get(), nullptr, nullptr, 0);
    const bool leaf = fields.kind == CertificateKind::leaf;
    add_extension(x.get(), &context, NID_basic_constraints,
                  leaf                                      ? "critical,CA:FALSE"
                  : fields.kind == CertificateKind::issuing ? "critical,CA:TRUE,pathlen:0"
                                                            : "critical,CA:TRUE,pathlen:1");
    add_extension(x.get(), &context, NID_key_usage,
                  leaf ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign");
    if (leaf && (fields.server_use || fields.client_use)) {
        std::string use = fields.server_use ? "serverAuth" : "";
        if (fields.client_use) use += use.empty() ? "clientAuth" : ",clientAuth";
        add_extension(x.get(), &context, NID_ext_key_usage, use);
    }
    add_extension(x.get(), &context, NID_subject_key_identifier, "hash");
    if (issuer) add_extension(x.get(), &context, NID_authority_key_identifier, "keyid:always");
    add_extension(x.get(), &context, NID_subject_alt_name, "URI:" + fields.uri);

    KeyHandle signing(issuer_key.new_openssl_key());
    GOSSAMER_ASSERT(X509_sign(x.get(), signing.get(), nullptr) > 0, "OpenSSL signs with Ed25519");
    return Certificate::adopt(x.release());
}

}  // namespace gossamer::security
