// What one more client costs a simulation: its node, both ends of its link, its row everywhere; and
// how many copies of models there are.
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
    CHECK(each < 6 * 1024);  // while the last model goes to all
    CHECK(each > 512);       // it was counted at all
}
#endif

TEST_CASE(
    "peers of D-PSGD in step hold one copy of the model each, however many threads there are") {
    constexpr std::size_t kPeers = 200;
    for (const unsigned threads : {2u, 1u}) {
        CAPTURE(threads);
        const auto scenario = testing::load(
            testing::gossip_run(kPeers, 3),
            {"data.synthetic_train=4000", "model.name=mlp-200-200", "training.batch_size=10",
             "gossip.local_steps=1", "gossip.evaluate_every=0", "gossip.final_averaging_steps=0",
             "topology.graph=random-regular", "simulation.samples_per_second=100",
             "simulation.start_spread=0s"});
        const auto simulation = testing::make(scenario, {.threads = threads});
        const auto outcome = simulation->run();
        REQUIRE(outcome);
        CHECK(outcome->client_updates == kPeers * 3);
        const auto one = kPeers * scenario->learning().layout()->byte_count();
        const auto most = scenario->learning().pool()->usage().peak_bytes;
        const double copies = static_cast<double>(most) / static_cast<double>(one);
        MESSAGE(copies << " copies");
        CHECK(most >= one);
        CHECK(most <= one + one * 3 / 10);
    }
}
