#include "connection/security/verify.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "connection/security/openssl_handles.hpp"

namespace gossamer::security {
namespace {

constexpr std::size_t kChainLength = 2;

using StoreContext = std::unique_ptr<X509_STORE_CTX, FreeWith<X509_STORE_CTX_free>>;

struct Chain {
    CertificateInfo leaf, issuing;
};

Result<Chain> check_form(std::span<const Certificate> chain) {
    if (chain.empty())
        return fail(ErrorCode::kTlsNoCertificate, "the other side showed no certificate");
    GOSSAMER_TRY(const auto leaf, chain[0].describe());
    if (leaf.kind != CertificateKind::leaf || !leaf.signs_and_authenticates)
        return fail(ErrorCode::kTlsCertificateForm,
                    "certificate: not one of a peer, or its key usage is wrong");
    if (chain.size() != kChainLength)
        return fail(ErrorCode::kTlsCertificateForm,
                    fmt::format("certificate chain: {} certificates, not the leaf and its issuer",
                                chain.size()));
    GOSSAMER_TRY(const auto issuing, chain[1].describe());
    if (issuing.kind != CertificateKind::issuing || !issuing.signs_and_authenticates)
        return fail(ErrorCode::kTlsCertificateForm,
                    "certificate chain: the second certificate is not an issuing certificate");
    return Chain{leaf, issuing};
}

Error untrusted(const CertificateInfo& leaf, const TrustBundle& trust, std::string_view why) {
    // The name proves nothing here, but it is the best hint at what went wrong.
    if (leaf.name.federation != trust.federation())
        return Error{ErrorCode::kTlsFederation,
                     fmt::format("the certificate names federation {}, this is {} (\"{}\")",
                                 leaf.name.federation.to_string(), trust.federation().to_string(),
                                 trust.federation_name()),
                     {}};
    return Error{ErrorCode::kTlsUntrusted,
                 fmt::format("the certificate of {} was not issued by this federation: {}",
                             leaf.name.holder->peer.short_string(), why),
                 {}};
}

Error outside_validity(bool expired, const CertificateInfo& info, WallTime now) {
    const auto who = info.kind == CertificateKind::leaf
                         ? "certificate of " + info.name.holder->peer.short_string()
                         : std::string("certificate of the federation's authority");
    return expired ? Error{ErrorCode::kTlsExpired,
                           fmt::format("the {} expired on {}; it is {} here", who,
                                       format_wall_time(info.not_after), format_wall_time(now)),
                           {}}
                   : Error{ErrorCode::kTlsNotYetValid,
                           fmt::format("the {} is valid from {}; it is {} here", who,
                                       format_wall_time(info.not_before), format_wall_time(now)),
                           {}};
}

// Path building and signatures are OpenSSL's; `now` is ours.
Status check_path(std::span<const Certificate> chain, const Chain& info, const TrustBundle& trust,
                  WallTime now) {
    StoreContext context(X509_STORE_CTX_new());
    std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * s) { sk_X509_free(s); })> extra(
        sk_X509_new_null());
    sk_X509_push(extra.get(), chain[1].get());
    if (X509_STORE_CTX_init(context.get(), trust.store(), chain[0].get(), extra.get()) != 1)
        return fail(ErrorCode::kInternal, "OpenSSL cannot verify certificates");
    X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(param, static_cast<time_t>(now.ns / 1'000'000'000));
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_depth(param, 1);
    X509_VERIFY_PARAM_set_auth_level(param, 2);
    const bool ok = X509_verify_cert(context.get()) == 1;
    const int error = X509_STORE_CTX_get_error(context.get());
    const int depth = X509_STORE_CTX_get_error_depth(context.get());
    ERR_clear_error();
    if (ok) return {};
    switch (error) {
        case X509_V_ERR_CERT_NOT_YET_VALID:
        case X509_V_ERR_CERT_HAS_EXPIRED: {
            const bool expired = error == X509_V_ERR_CERT_HAS_EXPIRED;
            if (depth == 0) return fail(outside_validity(expired, info.leaf, now));
            if (depth == 1) return fail(outside_validity(expired, info.issuing, now));
            GOSSAMER_TRY(const auto root, trust.roots().front().describe());
            return fail(outside_validity(expired, root, now));
        }
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_CERT_CHAIN_TOO_LONG:
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        case X509_V_ERR_CERT_UNTRUSTED:
            return fail(untrusted(info.leaf, trust, X509_verify_cert_error_string(error)));
        default:
            return fail(ErrorCode::kTlsCertificateForm,
                        fmt::format("certificate: {}", X509_verify_cert_error_string(error)));
    }
}

}  // namespace

Result<AuthenticatedPeer> verify_chain(std::span<const Certificate> chain, const TrustBundle& trust,
                                       const VerifyPolicy& policy) {
    GOSSAMER_TRY(const auto info, check_form(chain));
    GOSSAMER_CHECK(check_path(chain, info, trust, policy.now));

    const CertificateInfo& leaf = info.leaf;
    const auto& holder = *leaf.name.holder;
    if (leaf.name.federation != trust.federation() ||
        info.issuing.name.federation != trust.federation())
        return fail(untrusted(leaf, trust, "its issuer is of another federation"));
    const PeerId actual = peer_id_of(leaf.key);
    if (holder.peer != actual)
        return fail(ErrorCode::kTlsKeyMismatch,
                    fmt::format("the certificate names peer {}, but its key is of {}",
                                holder.peer.short_string(), actual.short_string()));
    if (policy.expected_peer && *policy.expected_peer != actual)
        return fail(ErrorCode::kTlsPeerId,
                    fmt::format("expected peer {}, found {}", policy.expected_peer->short_string(),
                                actual.short_string()));
    if (policy.banned && std::binary_search(policy.banned->begin(), policy.banned->end(), actual))
        return fail(ErrorCode::kTlsBanned, fmt::format("peer {} is banned", actual.short_string()));
    if (!policy.roles.contains(holder.role))
        return fail(ErrorCode::kTlsRole,
                    fmt::format("peer {} has the role {}, which is not allowed here",
                                actual.short_string(), gossamer::to_string(holder.role)));
    return AuthenticatedPeer{actual,
                             holder.role,
                             leaf.name.federation,
                             leaf.key,
                             std::max(leaf.not_before, info.issuing.not_before),
                             std::min(leaf.not_after, info.issuing.not_after)};
}

}  // namespace gossamer::security
