#include "drivers/assembly/identity.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "connection/security/certificate.hpp"

namespace gossamer::assembly {
namespace {

// A small file, read through one descriptor so that what was checked is what is read.
Result<Bytes> read_small(const std::string& path, bool secret) {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(ErrorCode::kKeyMissing, path + ": " + std::strerror(errno));
    struct stat info {};
    ::fstat(fd, &info);
    Result<Bytes> result = fail(ErrorCode::kKeyFormat, path + " is too large");
    if (secret && (info.st_mode & 077) != 0) {
        result =
            fail(ErrorCode::kKeyPermissions, path + " can be read by others", "chmod 600 " + path);
    } else if (info.st_size <= static_cast<off_t>(security::kPemFileBytesMax)) {
        Bytes bytes(static_cast<std::size_t>(info.st_size));
        auto n = ::read(fd, bytes.data(), bytes.size());
        if (n >= 0) bytes.resize(static_cast<std::size_t>(n)), result = std::move(bytes);
    }
    ::close(fd);
    return result;
}

}  // namespace

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
    GOSSAMER_TRY(auto key_pem, read_small(folder + "/" + kKeyFile, true));
    security::SecretBytes secret(std::move(key_pem));
    GOSSAMER_TRY(auto chain_pem, read_small(folder + "/" + kCertificateFile, false));
    GOSSAMER_TRY(auto trust_pem, read_small(folder + "/" + kTrustFile, false));
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
