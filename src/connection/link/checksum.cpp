#include "connection/link/checksum.hpp"

#include <xxhash.h>

#ifdef __x86_64__
#include <xxh_x86dispatch.h>  // the widest vectors of this machine: four times as fast
#endif

namespace gossamer::link {

struct Checksum::State {
    XXH3_state_t* xxh = XXH3_createState();
    State() { XXH3_128bits_reset(xxh); }
    ~State() { XXH3_freeState(xxh); }
};

Checksum::Checksum() = default;
Checksum::Checksum(Checksum&&) noexcept = default;
Checksum& Checksum::operator=(Checksum&&) noexcept = default;
Checksum::~Checksum() = default;

void Checksum::add(ByteView bytes) {
    if (!state_) state_ = std::make_unique<State>();
    XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

Digest128 Checksum::digest() const {
    if (!state_) return digest128({});
    const auto h = XXH3_128bits_digest(state_->xxh);
    return {h.low64, h.high64};
}

}  // namespace gossamer::link
