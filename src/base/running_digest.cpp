#include "gossamer/base/running_digest.hpp"

#include <xxhash.h>

#ifdef __x86_64__
#include <xxh_x86dispatch.h>  // the widest vectors of this machine: four times as fast
#endif

namespace gossamer {

struct RunningDigest::State {
    XXH3_state_t* xxh = XXH3_createState();
    std::uint64_t byte_count = 0;
    State() { XXH3_128bits_reset(xxh); }
    State(const State& other) : byte_count(other.byte_count) { XXH3_copyState(xxh, other.xxh); }
    State& operator=(const State&) = delete;
    ~State() { XXH3_freeState(xxh); }
};

RunningDigest::RunningDigest() = default;
RunningDigest::RunningDigest(const RunningDigest& other)
    : state_(other.state_ ? std::make_unique<State>(*other.state_) : nullptr) {}
RunningDigest::RunningDigest(RunningDigest&&) noexcept = default;
RunningDigest& RunningDigest::operator=(RunningDigest other) noexcept {
    std::swap(state_, other.state_);
    return *this;
}
RunningDigest::~RunningDigest() = default;

void RunningDigest::add(ByteView bytes) {
    if (!state_) state_ = std::make_unique<State>();
    XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
    state_->byte_count += bytes.size();
}

std::uint64_t RunningDigest::byte_count() const { return state_ ? state_->byte_count : 0; }

Digest128 RunningDigest::digest() const {
    if (!state_) return digest128({});
    const auto h = XXH3_128bits_digest(state_->xxh);
    return {h.low64, h.high64};
}

}  // namespace gossamer
