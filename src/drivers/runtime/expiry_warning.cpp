#include "drivers/runtime/expiry_warning.hpp"

#include "connection/security/certificate.hpp"

namespace gossamer::runtime {

ExpiryWarning::ExpiryWarning(WallTime not_before, WallTime not_after)
    : not_after_(not_after), next_(not_after + -((not_after - not_before) / 5)) {}

std::optional<Error> ExpiryWarning::due(WallTime now) {
    if (now < next_) return std::nullopt;
    next_ = now + 24h;
    const std::string verb = now <= not_after_ ? "runs" : "ran";
    return Error{ErrorCode::kTlsExpired,
                 "our own certificate " + verb + " out on " +
                     security::format_wall_time(not_after_) + "; nobody links with us after that",
                 "Sign a new one with `gossamer identity sign` and start the daemon again."};
}

}  // namespace gossamer::runtime
