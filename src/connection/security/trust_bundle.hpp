// What a peer needs to recognise its federation: the root certificate (two while a root is being
// replaced) and the issuing certificates of the day. Public; handed out with every certificate.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "connection/security/certificate.hpp"

typedef struct x509_store_st X509_STORE;

namespace gossamer::security {

class TrustBundle {
public:
    static constexpr std::size_t kCertificatesMax = 16;

    // Roots and issuing certificates in any order, all of one federation; at least one root's key
    // hashes to the federation id. Errors: kKeyFormat, kTlsCertificateForm, kTlsFederation.
    static Result<TrustBundle> from_certificates(const std::vector<Certificate>& certificates);
    static Result<TrustBundle> from_pem(ByteView pem);
    std::string to_pem() const;  // with a line for people on top

    const FederationId& federation() const { return federation_; }
    const std::string& federation_name() const { return name_; }
    const std::vector<Certificate>& roots() const { return roots_; }
    const std::vector<Certificate>& issuing() const { return issuing_; }

    X509_STORE* store() const { return store_.get(); }  // the roots; for this room

private:
    FederationId federation_;
    std::string name_;
    std::vector<Certificate> roots_, issuing_;
    std::shared_ptr<X509_STORE> store_;
};

}  // namespace gossamer::security
