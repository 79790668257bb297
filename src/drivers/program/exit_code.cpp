#include "drivers/program/exit_code.hpp"

namespace gossamer::program {

ExitCode exit_code_of(ErrorCode code) {
    switch (code) {  // the exceptions within their sections
        case ErrorCode::kNetTimeout:
        case ErrorCode::kLinkTimeout:
        case ErrorCode::kQuorum:
        case ErrorCode::kNoPeers: return ExitCode::timed_out;
        case ErrorCode::kInternal: return ExitCode::internal;
        case ErrorCode::kCodecUnknown:  // a configuration's name for it
        case ErrorCode::kNetAddress:    // likewise: nobody was dialled yet
        case ErrorCode::kGpuPlugin:
        case ErrorCode::kGpuModel:
        // What ends a program is its own certificate: that of others is logged, and they are
        // dialled again. One that is not yet valid becomes so by waiting, and is not listed.
        case ErrorCode::kTlsUntrusted:
        case ErrorCode::kTlsFederation:
        case ErrorCode::kTlsExpired:
        case ErrorCode::kTlsRole:
        case ErrorCode::kTlsKeyMismatch:
        case ErrorCode::kTlsCertificateForm: return ExitCode::usage;
        case ErrorCode::kNetAddressInUse:
        case ErrorCode::kNetListen:
        case ErrorCode::kTrainingFailed:
        case ErrorCode::kModelNotFinite: return ExitCode::failed;
        default: break;
    }
    auto section = describe(code).id.substr(0, 3);
    for (auto usage : {"CFG", "USE", "DAT", "MOD", "KEY", "TOP", "ALG"})
        if (section == usage) return ExitCode::usage;
    for (auto reach : {"NET", "TLS", "LNK", "CTL"})
        if (section == reach) return ExitCode::unreachable;
    return ExitCode::failed;
}

}  // namespace gossamer::program
