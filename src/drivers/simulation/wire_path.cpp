#include "drivers/simulation/wire_path.hpp"

namespace gossamer::simulation {

struct WirePath::State {};
WirePath::WirePath(const PeerId&, const PeerId&) {}
WirePath::~WirePath() = default;
Status WirePath::carry(std::size_t, Packet&) { return {}; }

}  // namespace gossamer::simulation
