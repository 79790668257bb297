#include "drivers/program/exit_code.hpp"

namespace gossamer::program {

ExitCode exit_code_of(ErrorCode code) {
    switch (code) {  // the exceptions within their sections
        case ErrorCode::kNetTimeout:
        case ErrorCode::kLinkTimeout:
        case ErrorCode::kQuorum:
        case ErrorCode::kNoPeers: return ExitCode::timed_out;
        case ErrorCode::kInternal: return ExitCode::internal;
        case ErrorCode::kCodecUnknown: return ExitCode::usage;  // a configuration's name for it
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
