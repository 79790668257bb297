#include "connection/security/authority.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "connection/security/certificate_builder.hpp"
#include "connection/security/openssl_handles.hpp"
#include "gossamer/base/assert.hpp"

namespace gossamer::security {
namespace {

constexpr std::size_t kRequestBytesMax = 4096;  // PEM of at most 2 KiB

bool printable(std::string_view name) {
    return !name.empty() && name.size() <= 64 &&
           std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// Refuses an authority that cannot sign now, and says when what it signs must end at the latest.
Result<CertificateInfo> check_signer(const IdentityKey& key, const Certificate& certificate,
                                     CertificateKind kind, WallTime now) {
    GOSSAMER_TRY(auto info, certificate.describe());
    const char* name = kind == CertificateKind::root ? "root" : "issuing";
    if (info.kind != kind)
        return fail(ErrorCode::kTlsCertificateForm,
                    fmt::format("this is not the federation's {} certificate", name));
    if (info.key != key.public_key())
        return fail(ErrorCode::kTlsKeyMismatch,
                    fmt::format("the {} key does not belong to the {} certificate", name, name));
    if (now < info.not_before)
        return fail(ErrorCode::kTlsNotYetValid,
                    fmt::format("the {} certificate is valid only from {}", name,
                                format_wall_time(info.not_before)));
    if (now >= info.not_after)
        return fail(
            ErrorCode::kTlsExpired,
            fmt::format("the {} certificate expired on {}", name, format_wall_time(info.not_after)),
            "Renew it with the root key.");
    return info;
}

Result<Federation> create(const FederationOptions& options, IdentityKey root_key,
                          IdentityKey issuing_key) {
    if (!printable(options.name))
        return fail(ErrorCode::kUsage,
                    "a federation's name has 1 to 64 printable ASCII characters");
    if (options.root_validity <= 0s || options.issuing_validity <= 0s)
        return fail(ErrorCode::kUsage, "the validity of a federation must be positive");
    CertificateFields fields;
    fields.kind = CertificateKind::root;
    fields.key = root_key.public_key();
    fields.common_name = options.name;
    fields.uri = CertificateName{federation_id_of(fields.key), std::nullopt}.to_uri();
    fields.not_before = options.now + -kBackDating;
    fields.not_after = options.now + options.root_validity;
    const Certificate root = build_certificate(fields, std::nullopt, root_key);
    GOSSAMER_TRY(auto issuing, sign_issuing(root_key, root, issuing_key.public_key(),
                                            {options.now, options.issuing_validity}));
    GOSSAMER_TRY(auto trust, TrustBundle::from_certificates({root, issuing}));
    return Federation{std::move(root_key), std::move(issuing_key), root, std::move(issuing),
                      std::move(trust)};
}

}  // namespace

Result<Federation> create_federation(const FederationOptions& options) {
    return create(options, IdentityKey::generate(), IdentityKey::generate());
}

Result<Federation> create_federation(const FederationOptions& options,
                                     std::span<const std::byte, 32> seed) {
    const auto second = digest256(seed).bytes;
    return create(options, IdentityKey::from_seed(seed), IdentityKey::from_seed(second));
}

Result<Certificate> sign_issuing(const IdentityKey& root_key, const Certificate& root,
                                 const PublicKey& issuing_key, const IssuingOptions& options) {
    GOSSAMER_TRY(const auto signer,
                 check_signer(root_key, root, CertificateKind::root, options.now));
    CertificateFields fields;
    fields.kind = CertificateKind::issuing;
    fields.key = issuing_key;
    // A subject of its own, so that no verifier takes it for the self-signed root.
    fields.common_name = signer.common_name.substr(0, 56) + " issuing";
    fields.uri = signer.name.to_uri();
    fields.not_before = options.now + -kBackDating;
    fields.not_after = std::min(options.now + options.validity, signer.not_after);
    return build_certificate(fields, root, root_key);
}

std::string make_request(const IdentityKey& key) {
    RequestHandle request(X509_REQ_new());
    X509_REQ_set_version(request.get(), X509_REQ_VERSION_1);
    const std::string id = key.peer_id().to_string();
    X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request.get()), NID_commonName,
                               MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(id.data()),
                               static_cast<int>(id.size()), -1, 0);
    KeyHandle signing(key.new_openssl_key());
    X509_REQ_set_pubkey(request.get(), signing.get());
    GOSSAMER_ASSERT(X509_REQ_sign(request.get(), signing.get(), nullptr) > 0,
                    "OpenSSL signs with Ed25519");
    BioHandle bio(BIO_new(BIO_s_mem()));
    GOSSAMER_ASSERT(PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1, "PEM can be written");
    return text_of(bio.get());
}

Result<CertificateRequest> parse_request(ByteView input) {
    const auto bad = [](std::string what) {
        return fail(ErrorCode::kRequestForm, "certificate request: " + std::move(what));
    };
    if (input.size() > kRequestBytesMax) return bad("longer than 4096 bytes");
    ERR_clear_error();
    RequestHandle request;
    if (!input.empty() && input.front() == std::byte{0x30}) {  // DER: a SEQUENCE
        const auto* p = reinterpret_cast<const unsigned char*>(input.data());
        request.reset(d2i_X509_REQ(nullptr, &p, static_cast<long>(input.size())));
    } else {
        auto bio = reading_bio(input);
        request.reset(PEM_read_bio_X509_REQ(bio.get(), nullptr, no_passphrase, nullptr));
    }
    ERR_clear_error();
    if (!request) return bad("not PKCS#10 in PEM or DER");
    EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
    CertificateRequest result;
    std::size_t size = result.key.size();
    const bool ed25519 = key != nullptr && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 &&
                         EVP_PKEY_get_raw_public_key(
                             key, reinterpret_cast<unsigned char*>(result.key.data()), &size) == 1;
    ERR_clear_error();
    if (!ed25519 || X509_REQ_get_signature_nid(request.get()) != NID_ED25519)
        return bad("its key is not Ed25519");
    const bool genuine = X509_REQ_verify(request.get(), key) == 1;
    ERR_clear_error();
    if (!genuine) return bad("its signature is wrong, so its sender may not hold the key");
    result.peer = peer_id_of(result.key);
    return result;
}

Result<Certificate> sign_request(const IdentityKey& issuing_key, const Certificate& issuing,
                                 const CertificateRequest& request, const LeafOptions& options) {
    if (options.validity < 1min || options.validity > 400 * kDay)
        return fail(ErrorCode::kUsage, "a certificate is valid between 1 minute and 400 days");
    GOSSAMER_TRY(const auto signer,
                 check_signer(issuing_key, issuing, CertificateKind::issuing, options.now));
    GOSSAMER_ASSERT(request.peer == peer_id_of(request.key), "a request names its own key");
    CertificateFields fields;
    fields.kind = CertificateKind::leaf;
    fields.key = request.key;
    fields.common_name = request.peer.to_string();
    fields.uri =
        CertificateName{signer.name.federation, CertificateName::Holder{options.role, request.peer}}
            .to_uri();
    fields.not_before = options.now + -kBackDating;
    fields.not_after = std::min(options.now + options.validity, signer.not_after);
    return build_certificate(fields, issuing, issuing_key);
}

}  // namespace gossamer::security
