#include "connection/security/trust_bundle.hpp"

#include <fmt/core.h>

#include "connection/security/openssl_handles.hpp"
#include "gossamer/base/assert.hpp"

namespace gossamer::security {

Result<TrustBundle> TrustBundle::from_certificates(const std::vector<Certificate>& certificates) {
    TrustBundle bundle;
    bundle.store_ = std::shared_ptr<X509_STORE>(X509_STORE_new(), X509_STORE_free);
    bool anchored = false;
    for (const auto& certificate : certificates) {
        GOSSAMER_TRY(const auto info, certificate.describe());
        if (info.kind == CertificateKind::leaf || !info.signs_and_authenticates)
            return fail(ErrorCode::kKeyFormat,
                        "trust bundle: holds a certificate that is not an authority's");
        if (bundle.roots_.empty() && bundle.issuing_.empty())
            bundle.federation_ = info.name.federation;
        if (info.name.federation != bundle.federation_)
            return fail(
                ErrorCode::kTlsFederation,
                fmt::format("trust bundle: mixes federations {} and {}",
                            bundle.federation_.to_string(), info.name.federation.to_string()));
        if (info.kind == CertificateKind::issuing) {
            bundle.issuing_.push_back(certificate);
            continue;
        }
        bundle.roots_.push_back(certificate);
        GOSSAMER_ASSERT(X509_STORE_add_cert(bundle.store_.get(), certificate.get()) == 1,
                        "a store takes a certificate");
        if (federation_id_of(info.key) != bundle.federation_) continue;
        anchored = true;
        bundle.name_ = info.common_name;
    }
    if (!anchored)
        return fail(ErrorCode::kKeyFormat,
                    "trust bundle: no root certificate whose key hashes to the federation id");
    return bundle;
}

Result<TrustBundle> TrustBundle::from_pem(ByteView pem) {
    GOSSAMER_TRY(const auto certificates, Certificate::from_pem(pem, kCertificatesMax));
    return from_certificates(certificates);
}

std::string TrustBundle::to_pem() const {
    return fmt::format("Trust bundle of federation \"{}\", id {}\n", name_,
                       federation_.to_string()) +
           security::to_pem(roots_) + security::to_pem(issuing_);
}

}  // namespace gossamer::security
