// Federations and identities as folders, for the operator's command and for exports.
//
// A federation folder: root-key.pem (take it offline), root.pem, issuing-key.pem, issuing.pem,
// trust.pem. An identity folder: key.pem, request.pem, and once signed certificate.pem, trust.pem.
#pragma once

#include <string>

#include "connection/security/authority.hpp"

namespace gossamer::assembly {

struct NewFederation {
    std::string folder, name;  // the name is for people; empty: the folder's
    double years = 10;         // the root certificate is valid
    WallTime now;
};
// New keys from the system's entropy. Errors: kKeyExists when the folder is a federation already.
Result<security::TrustBundle> create_federation_folder(const NewFederation& how);

// A new key and its certificate request. Errors: kKeyExists.
Result<PeerId> create_identity_folder(const std::string& folder);

struct SignRequest {
    std::string request, federation;  // the peer's request.pem; the federation's folder
    Role role = Role::peer;
    double days = 7;
    std::string out = {};  // folder of the result; empty: the request's
    WallTime now;
};
struct SignedIdentity {
    PeerId peer;
    security::TrustBundle trust;
    WallTime until;
    std::string folder;
};
// Errors: kUsage (validity), kTlsFederation when the folder trusts another federation.
Result<SignedIdentity> sign_identity(const SignRequest& how);

Result<security::Certificate> read_certificate(const std::string& path);

}  // namespace gossamer::assembly
