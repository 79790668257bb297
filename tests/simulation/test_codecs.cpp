// Runs whose updates are encoded with loss: they learn as much, send less, and stay what they are
// on any number of threads and with real bytes.
#include <map>

#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

TEST_CASE("federated runs learn with every codec, in the bytes that it takes") {
    const std::string text =
        federated_run(8, 30) + "[federated]\nlocal_epochs = 2\nfraction = 1.0\n";
    const std::vector<std::string> wide = {"data.synthetic_features=100",
                                           "data.synthetic_spread=3"};
    const auto with = [&](const std::string& codec) {
        auto sets = wide;
        sets.push_back("federated.codec=" + codec);
        return run(text, sets);
    };
    const auto plain = with("f32");
    REQUIRE(plain.accuracy > 0.8);
    // 404 parameters: 416 bytes of a frame and its manifest beside, each way the model in f32.
    const std::map<std::string, double> update_bytes{{"f16", 808}, {"bf16", 808},  {"int8", 408},
                                                     {"sign", 55}, {"top10", 332}, {"top1", 44}};
    for (const auto& [codec, bytes] : update_bytes) {
        CAPTURE(codec);
        const auto lossy = with(codec);
        CHECK(lossy.client_updates == plain.client_updates);
        CHECK(lossy.accuracy > plain.accuracy - (codec == "top1" ? 0.05 : 0.02));
        const double saved = double(plain.bytes_sent) - double(lossy.bytes_sent);
        const double expected = double(plain.client_updates) * (1616 - bytes);
        CHECK(saved == doctest::Approx(expected).epsilon(0.05));
    }
}

TEST_CASE("lossy codecs give the same run on any number of threads and with real bytes") {
    const std::vector<std::string> rough = {
        "simulation.loss=0.02",    "simulation.up=1MB",        "simulation.availability=churn",
        "simulation.churn_up=30s", "simulation.churn_down=2s", "simulation.time_max=120s"};
    for (const char* codec : {"int8", "sign", "top10", "top1"}) {
        CAPTURE(codec);
        auto sets = rough;
        sets.push_back(std::string("federated.codec=") + codec);
        const auto text = federated_run(6, 4);
        const auto one = run(text, sets, {.threads = 1}), two = run(text, sets, {.threads = 2});
        const auto bytes = run(text, sets, {.wire = true});
        CHECK(one.client_updates > 0);
        CHECK(one.broken.empty());
        for (const auto* other : {&two, &bytes}) {
            CHECK(other->trace_hash == one.trace_hash);
            CHECK(other->model == one.model);
            CHECK(other->bytes_sent == one.bytes_sent);
        }
    }
}

TEST_CASE("gossip runs learn with every codec that whole models take, in half the bytes") {
    const auto text = gossip_run(6, 30);
    const auto with = [&](const std::string& codec) {
        return run(text, {"gossip.codec=" + codec, "data.synthetic_features=100"});
    };
    const auto plain = with("f32");
    REQUIRE(plain.accuracy > 0.8);
    for (const char* codec : {"f16", "bf16"}) {
        CAPTURE(codec);
        const auto lossy = with(codec);
        CHECK(lossy.accuracy > plain.accuracy - 0.02);
        CHECK(lossy.bytes_sent < plain.bytes_sent);
    }
}

TEST_CASE("gossip refuses codecs for differences, by name and with what to do") {
    for (const char* codec : {"int8", "sign", "top1"}) {
        auto made =
            Simulation::create(load(gossip_run(4, 1), {std::string("gossip.codec=") + codec}), {});
        REQUIRE_FALSE(made);
        CHECK(made.error().code == ErrorCode::kConfigConflict);
        CHECK(made.error().what.find(codec) != std::string::npos);
        CHECK(made.error().hint.find("f16") != std::string::npos);
    }
}
