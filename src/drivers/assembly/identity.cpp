#include "drivers/assembly/identity.hpp"

#include "connection/security/certificate.hpp"
#include "drivers/assembly/key_files.hpp"

namespace gossamer::assembly {

OptionTable identity_options() {
    return {
        {.key = "identity.folder",
         .kind = OptionKind::text,
         .fallback = std::string("identity"),
         .reason = "Folder with key.pem, certificate.pem and trust.pem, as `gossamer identity "
                   "create` and `sign` leave it."},
    };
}

Result<Identity> load_identity(const std::string& folder, Role role, WallTime now) {
    GOSSAMER_TRY(const auto secret, read_secret_file(folder + "/" + kKeyFile));
    GOSSAMER_TRY(auto chain_pem, read_public_file(folder + "/" + kCertificateFile));
    GOSSAMER_TRY(auto trust_pem, read_public_file(folder + "/" + kTrustFile));
    GOSSAMER_TRY(auto key, security::IdentityKey::from_pem(secret.view()));
    GOSSAMER_TRY(auto tls,
                 security::TlsContext::from_pem({secret.view(), chain_pem, trust_pem}, now));
    if (tls.self().role != role)
        return fail(
            ErrorCode::kTlsRole,
            folder + " holds a certificate of role " + std::string(to_string(tls.self().role)) +
                ", and this program needs " + std::string(to_string(role)),
            "sign one with `gossamer identity sign --role " + std::string(to_string(role)) + "`");
    return Identity{std::make_shared<const security::IdentityKey>(std::move(key)), std::move(tls)};
}

}  // namespace gossamer::assembly
