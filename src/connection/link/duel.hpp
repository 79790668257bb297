// Which of two links between the same pair of peers stays: the one opened by the smaller PeerId.
// Asked by the side that was dialled, when the other's HELLO has come.
#pragma once

#include "gossamer/base/peer_id.hpp"
#include "gossamer/base/time.hpp"

namespace gossamer::link {

// A link younger than this may have crossed with another dial; over an older one the other side
// dials because it lost its end.
inline constexpr Duration kCrossingMax = 5s;

struct PresentLink {
    bool dialled = false;  // by us
    Duration age{};
};
// `greeting`: a dial of ours to the same peer waits for its WELCOME.
inline bool refuse_newcomer(const PeerId& self, const PeerId& peer, bool greeting,
                            const PresentLink* present) {
    if (peer < self) return false;
    return greeting || (present && present->dialled && present->age < kCrossingMax);
}

}  // namespace gossamer::link
