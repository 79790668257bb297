#include "connection/security/certificate.hpp"

#include <sodium.h>

#include <ctime>

#include <fmt/core.h>

#include "connection/security/openssl_handles.hpp"
#include "gossamer/base/assert.hpp"

namespace gossamer::security {
namespace {

constexpr std::string_view kScheme = "gossamer://";
constexpr std::int64_t kSecondsMax = 9'000'000'000;  // year 2255: what fits nanoseconds in 64 bits

bool is_lower_hex(std::string_view text) {
    return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<WallTime> wall_time_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
    const std::int64_t s = timegm(&parts);
    return WallTime{std::clamp(s, -kSecondsMax, kSecondsMax) * 1'000'000'000};
}

std::optional<PublicKey> ed25519_key_of(const X509* certificate) {
    const EVP_PKEY* key = X509_get0_pubkey(certificate);
    PublicKey raw;
    std::size_t size = raw.size();
    if (key == nullptr || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(raw.data()), &size) !=
            1 ||
        size != raw.size())
        return std::nullopt;
    return raw;
}

// The one URI among the subject's alternative names; nothing when there is none or another name.
std::optional<CertificateName> name_of(const X509* certificate) {
    int critical = 0;
    auto* names = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr));
    if (names == nullptr) return std::nullopt;
    std::optional<CertificateName> result;
    if (sk_GENERAL_NAME_num(names) == 1) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, 0);
        if (name->type == GEN_URI) {
            const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
            result =
                CertificateName::parse({reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                                        static_cast<std::size_t>(ASN1_STRING_length(uri))});
        }
    }
    GENERAL_NAMES_free(names);
    return result;
}

std::string common_name_of(const X509* certificate) {
    char text[65] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                              sizeof text);
    std::string name = text;
    for (char& c : name)
        if (c < ' ' || c > '~') c = '?';  // it may end on a terminal or in a log
    return name;
}

std::string serial_of(const X509* certificate) {
    const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
    const auto* data = reinterpret_cast<const std::byte*>(ASN1_STRING_get0_data(serial));
    const int length = ASN1_STRING_length(serial);
    return to_hex({data, static_cast<std::size_t>(std::min(length, 32))});
}

bool usage_fits(X509* certificate, CertificateKind kind) {
    const auto usage = X509_get_key_usage(certificate);
    const auto extended = X509_get_extended_key_usage(certificate);
    if (kind != CertificateKind::leaf)
        return usage != UINT32_MAX && (usage & KU_KEY_CERT_SIGN) != 0;
    constexpr std::uint32_t kBoth = XKU_SSL_SERVER | XKU_SSL_CLIENT;
    return usage != UINT32_MAX && (usage & KU_DIGITAL_SIGNATURE) != 0 &&
           (usage & KU_KEY_CERT_SIGN) == 0 && extended != UINT32_MAX && (extended & kBoth) == kBoth;
}

}  // namespace

std::string FederationId::to_string() const { return to_hex(bytes); }

std::optional<FederationId> FederationId::parse(std::string_view text) {
    if (text.size() != 32 || !is_lower_hex(text)) return std::nullopt;
    const auto bytes = from_hex(text);
    FederationId id;
    std::copy(bytes->begin(), bytes->end(), id.bytes.begin());
    return id;
}

FederationId federation_id_of(const PublicKey& root_key) {
    FederationId id;
    crypto_generichash(reinterpret_cast<unsigned char*>(id.bytes.data()), id.bytes.size(),
                       reinterpret_cast<const unsigned char*>(root_key.data()), root_key.size(),
                       nullptr, 0);
    return id;
}

std::string CertificateName::to_uri() const {
    std::string uri = std::string(kScheme) + federation.to_string();
    if (holder)
        uri += fmt::format("/{}/{}", gossamer::to_string(holder->role), holder->peer.to_string());
    return uri;
}

std::optional<CertificateName> CertificateName::parse(std::string_view uri) {
    if (uri.size() > 200 || uri.substr(0, kScheme.size()) != kScheme) return std::nullopt;
    uri.remove_prefix(kScheme.size());
    const auto federation = FederationId::parse(uri.substr(0, 32));
    if (!federation) return std::nullopt;
    uri.remove_prefix(32);
    CertificateName name{*federation, std::nullopt};
    if (uri.empty()) return name;
    const auto second = uri.find('/', 1);
    if (uri[0] != '/' || second == std::string_view::npos) return std::nullopt;
    const auto role = parse_role(uri.substr(1, second - 1));
    const auto id_text = uri.substr(second + 1);
    if (!role || !is_lower_hex(id_text)) return std::nullopt;
    const auto peer = PeerId::parse(id_text);
    if (!peer) return std::nullopt;
    name.holder = Holder{*role, *peer};
    return name;
}

Result<Certificate> Certificate::from_der(ByteView der) {
    const auto* p = reinterpret_cast<const unsigned char*>(der.data());
    const auto* end = p + der.size();
    if (der.size() > kPemFileBytesMax)
        return fail(ErrorCode::kKeyFormat, "certificate: longer than 64 KiB");
    ERR_clear_error();
    X509* parsed = d2i_X509(nullptr, &p, static_cast<long>(der.size()));
    ERR_clear_error();
    if (parsed == nullptr) return fail(ErrorCode::kKeyFormat, "certificate: not X.509");
    Certificate certificate = adopt(parsed);
    if (p != end) return fail(ErrorCode::kKeyFormat, "certificate: bytes after its end");
    return certificate;
}

Result<std::vector<Certificate>> Certificate::from_pem(ByteView pem, std::size_t count_max) {
    if (pem.size() > kPemFileBytesMax)
        return fail(ErrorCode::kKeyFormat, "certificate file: longer than 64 KiB");
    auto bio = reading_bio(pem);
    std::vector<Certificate> found;
    ERR_clear_error();
    while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
        found.push_back(adopt(one));
        if (found.size() > count_max)
            return fail(ErrorCode::kKeyFormat,
                        fmt::format("certificate file: more than {} certificates", count_max));
    }
    const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (!at_end || found.empty())
        return fail(ErrorCode::kKeyFormat, "certificate file: no whole CERTIFICATE block in PEM");
    return found;
}

Certificate Certificate::adopt(X509* certificate) {
    Certificate result;
    result.handle_ = std::shared_ptr<X509>(certificate, X509_free);
    return result;
}

Bytes Certificate::to_der() const {
    unsigned char* data = nullptr;
    const int size = i2d_X509(get(), &data);
    GOSSAMER_ASSERT(size > 0, "a parsed certificate can be written");
    const auto* begin = reinterpret_cast<const std::byte*>(data);
    Bytes der(begin, begin + size);
    OPENSSL_free(data);
    return der;
}

std::string Certificate::to_pem() const {
    BioHandle bio(BIO_new(BIO_s_mem()));
    GOSSAMER_ASSERT(PEM_write_bio_X509(bio.get(), get()) == 1, "a certificate can be written");
    return text_of(bio.get());
}

Result<CertificateInfo> Certificate::describe() const {
    const auto bad = [](std::string what) {
        return fail(ErrorCode::kTlsCertificateForm, "certificate: " + std::move(what));
    };
    const int size = i2d_X509(get(), nullptr);
    if (size <= 0 || static_cast<std::size_t>(size) > kCertificateBytesMax)
        return bad(fmt::format("{} bytes, at most {} are allowed", size, kCertificateBytesMax));
    if (X509_get_signature_nid(get()) != NID_ED25519) return bad("not signed with Ed25519");
    const auto key = ed25519_key_of(get());
    if (!key) return bad("not an Ed25519 key");
    const auto name = name_of(get());
    if (!name) return bad("no name of the form gossamer://federation/role/peer");
    const auto from = wall_time_of(X509_get0_notBefore(get()));
    const auto until = wall_time_of(X509_get0_notAfter(get()));
    if (!from || !until) return bad("its times cannot be read");
    const auto flags = X509_get_extension_flags(get());
    if ((flags & EXFLAG_INVALID) != 0) return bad("an extension cannot be read");
    const bool ca = (flags & EXFLAG_CA) != 0, self_signed = (flags & EXFLAG_SS) != 0;
    if (ca == name->holder.has_value()) return bad("its name does not fit its kind");
    const auto kind = !ca           ? CertificateKind::leaf
                      : self_signed ? CertificateKind::root
                                    : CertificateKind::issuing;
    return CertificateInfo{kind,
                           *name,
                           common_name_of(get()),
                           *key,
                           *from,
                           *until,
                           serial_of(get()),
                           static_cast<std::size_t>(size),
                           usage_fits(get(), kind)};
}

std::string to_pem(const std::vector<Certificate>& chain) {
    std::string text;
    for (const auto& certificate : chain) text += certificate.to_pem();
    return text;
}

std::string format_wall_time(WallTime t) {
    const std::time_t s = t.ns / 1'000'000'000;
    std::tm parts{};
    gmtime_r(&s, &parts);
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace gossamer::security
