#include "connection/security/tls_error.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace gossamer::security {

Error tls_alert(int alert) {
    const auto they_say = [](ErrorCode code, std::string what) {
        return Error{code, "the other side says: " + std::move(what), {}};
    };
    switch (alert) {
        case SSL_AD_CERTIFICATE_EXPIRED:
            return they_say(ErrorCode::kTlsExpired, "our certificate has expired");
        case SSL_AD_BAD_CERTIFICATE:
            return they_say(ErrorCode::kTlsNotYetValid, "our certificate is not yet valid");
        case SSL_AD_UNKNOWN_CA:
            return they_say(ErrorCode::kTlsUntrusted, "our certificate is not of its federation");
        case SSL_AD_UNSUPPORTED_CERTIFICATE:
            return they_say(ErrorCode::kTlsCertificateForm,
                            "our certificate is not of the form required");
        case SSL_AD_CERTIFICATE_REVOKED:
            return they_say(ErrorCode::kTlsBanned, "this peer is banned");
        case SSL_AD_ACCESS_DENIED:
            return they_say(ErrorCode::kTlsRole, "our role is not allowed there");
        case SSL_AD_CERTIFICATE_UNKNOWN:
            return they_say(ErrorCode::kTlsRefused, "our certificate is not accepted");
        case TLS13_AD_CERTIFICATE_REQUIRED:
            return they_say(ErrorCode::kTlsNoCertificate, "we showed no certificate");
        case SSL_AD_NO_APPLICATION_PROTOCOL:
        case SSL_AD_PROTOCOL_VERSION:
            return they_say(ErrorCode::kTlsAlpn, "it speaks another protocol or version");
        case SSL_AD_BAD_RECORD_MAC:
            return they_say(ErrorCode::kTlsIntegrity, "a record of ours arrived altered");
        default: {
            const char* name = SSL_alert_desc_string_long(alert);
            return they_say(ErrorCode::kTlsHandshake, name != nullptr ? name : "unknown alert");
        }
    }
}

Error tls_error(unsigned long openssl_error) {
    const int reason = ERR_GET_REASON(openssl_error);
    const char* text = ERR_reason_error_string(openssl_error);
    const std::string what = text != nullptr ? text : "no reason given by OpenSSL";
    if (ERR_GET_LIB(openssl_error) != ERR_LIB_SSL) return Error{ErrorCode::kTlsHandshake, what, {}};
    if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
        return tls_alert(reason - SSL_AD_REASON_OFFSET);
    switch (reason) {
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return Error{ErrorCode::kTlsNoCertificate, "the other side showed no certificate", {}};
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_NO_APPLICATION_PROTOCOL: return Error{ErrorCode::kTlsAlpn, what, {}};
        case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
            return Error{ErrorCode::kTlsIntegrity, "a record arrived altered", {}};
        case SSL_R_EXCESSIVE_MESSAGE_SIZE:
            return Error{ErrorCode::kTlsCertificateForm, "the certificate chain is too long", {}};
        default: return Error{ErrorCode::kTlsHandshake, what, {}};
    }
}

}  // namespace gossamer::security
