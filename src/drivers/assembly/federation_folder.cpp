#include "drivers/assembly/federation_folder.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "drivers/assembly/key_files.hpp"

namespace gossamer::assembly {
namespace {

using namespace security;
constexpr unsigned kPrivate = 0600, kPublic = 0644;

Status write_key(const std::string& path, const IdentityKey& key) {
    const auto pem = key.to_pem();
    return write_new_file(path, pem.view(), kPrivate);
}

std::string name_of_folder(const std::string& folder) {
    auto name = std::filesystem::path(folder).lexically_normal();
    if (name.filename().empty()) name = name.parent_path();
    return name.filename().string();
}

// A peer changes its federation in a new folder, not by overwriting what it trusts.
Status check_same_federation(const std::string& trust_file, const TrustBundle& trust) {
    std::error_code error;  // told by what is to be written there
    if (!std::filesystem::exists(trust_file, error)) return {};
    GOSSAMER_TRY(const auto pem, read_public_file(trust_file));
    GOSSAMER_TRY(const auto old, TrustBundle::from_pem(pem));
    if (old.federation() == trust.federation()) return {};
    return fail(ErrorCode::kTlsFederation,
                fmt::format("{} is of federation \"{}\", not of \"{}\"", trust_file,
                            old.federation_name(), trust.federation_name()),
                "use another folder: --out DIR");
}

}  // namespace

Result<Certificate> read_certificate(const std::string& path) {
    GOSSAMER_TRY(const auto pem, read_public_file(path));
    GOSSAMER_TRY(const auto found, Certificate::from_pem(pem, 4));
    return found.front();
}

Result<TrustBundle> create_federation_folder(const NewFederation& how) {
    const auto validity = Duration(static_cast<std::int64_t>(how.years * 365.25 * 86400e9));
    GOSSAMER_TRY(
        const auto f,
        create_federation({.name = how.name.empty() ? name_of_folder(how.folder) : how.name,
                           .now = how.now,
                           .root_validity = validity}));
    GOSSAMER_CHECK(make_folder(how.folder));
    const std::string at = how.folder + "/";
    // The first of these refuses a folder that is a federation already.
    GOSSAMER_CHECK(write_key(at + "root-key.pem", f.root_key));
    GOSSAMER_CHECK(write_key(at + "issuing-key.pem", f.issuing_key));
    GOSSAMER_CHECK(write_new_file(at + "root.pem", as_bytes(f.root.to_pem()), kPublic));
    GOSSAMER_CHECK(write_new_file(at + "issuing.pem", as_bytes(f.issuing.to_pem()), kPublic));
    GOSSAMER_CHECK(write_new_file(at + "trust.pem", as_bytes(f.trust.to_pem()), kPublic));
    return f.trust;
}

Result<PeerId> create_identity_folder(const std::string& folder) {
    const auto key = IdentityKey::generate();
    GOSSAMER_CHECK(make_folder(folder));
    GOSSAMER_CHECK(write_key(folder + "/key.pem", key));
    GOSSAMER_CHECK(replace_public_file(folder + "/request.pem", as_bytes(make_request(key))));
    return key.peer_id();
}

Result<SignedIdentity> sign_identity(const SignRequest& how) {
    const std::string at = how.federation + "/";
    GOSSAMER_TRY(const auto request_pem, read_public_file(how.request));
    GOSSAMER_TRY(const auto request, parse_request(request_pem));
    GOSSAMER_TRY(const auto issuing_key, read_private_key(at + "issuing-key.pem"));
    GOSSAMER_TRY(const auto issuing, read_certificate(at + "issuing.pem"));
    GOSSAMER_TRY(const auto trust_pem, read_public_file(at + "trust.pem"));
    GOSSAMER_TRY(const auto trust, TrustBundle::from_pem(trust_pem));
    if (!(how.days > 0 && how.days <= 400))
        return fail(ErrorCode::kUsage, "--days is more than 0 and at most 400");
    const LeafOptions options{.role = how.role,
                              .now = how.now,
                              .validity = Duration(static_cast<std::int64_t>(how.days * 86400e9))};
    GOSSAMER_TRY(const auto leaf, sign_request(issuing_key, issuing, request, options));
    const auto beside = std::filesystem::path(how.request).parent_path().string();
    const std::string out = !how.out.empty() ? how.out : beside.empty() ? "." : beside;
    GOSSAMER_CHECK(make_folder(out));
    GOSSAMER_CHECK(check_same_federation(out + "/trust.pem", trust));
    GOSSAMER_CHECK(
        replace_public_file(out + "/certificate.pem", as_bytes(to_pem({leaf, issuing}))));
    GOSSAMER_CHECK(replace_public_file(out + "/trust.pem", as_bytes(trust.to_pem())));
    GOSSAMER_TRY(const auto info, leaf.describe());
    return SignedIdentity{request.peer, trust, info.not_after, out};
}

}  // namespace gossamer::assembly
