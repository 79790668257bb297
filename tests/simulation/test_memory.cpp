// What one more client costs a simulation: its node, both ends of its link, its row everywhere.
#include <doctest/doctest.h>

#include <malloc.h>

#include <algorithm>

#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;

namespace {

std::size_t most_in_use(std::size_t clients) {
    auto simulation = testing::make(testing::load(
        testing::federated_run(clients, 2),
        {"simulation.compute=cost", "federated.evaluate_every=0",
         "federated.fraction=" + std::to_string(20.0 / static_cast<double>(clients))}));
    std::size_t most = 0;
    const auto outcome = simulation->run([&] {
        most = std::max<std::size_t>(most, mallinfo2().uordblks);
        return true;
    });
    REQUIRE(outcome);
    CHECK(outcome->rounds == 2);
    return most;
}

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose heaps are their own
TEST_CASE("a client that idles costs a few kilobytes, however many there are") {
    const auto few = most_in_use(500), many = most_in_use(2500);
    const auto each = (many - few) / 2000;
    MESSAGE(each << " bytes a client");
    CHECK(each < 16 * 1024);
    CHECK(each > 512);  // it was counted at all
}
#endif
