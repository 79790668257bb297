// Runs that learn and exchange a part of the model alone.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "records/storage/safetensors.hpp"
#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {

struct Folder {
    Folder() {
        auto pattern = (std::filesystem::temp_directory_path() / "gossamer-base-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()));
        path = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
};

std::string run_of(const std::string& model, std::size_t rounds, const char* mode = "federated") {
    return std::string("[run]\nmode = \"") + mode +
           "\"\npeers = 6\nrounds = " + std::to_string(rounds) +
           "\nseed = 5\n[data]\nformat = \"synthetic\"\nsynthetic_features = 64\n[model]\nlayers = "
           "[" +
           model + "]\n";
}
const char* kPlain = R"("dense 128 relu", "dense 64 relu", "dense 4")";
const char* kAdapted = R"("dense 128 relu lora 4", "dense 64 relu lora 4", "dense 4")";

}  // namespace

TEST_CASE("with adapters a run sends less, learns, and leaves frozen tensors as they are") {
    const Folder folder;
    storage::RealDisk disk;
    const auto pool = tensor::BufferPool::create(1 << 20);
    // A base that knows little yet: one round of all tensors.
    auto first = make(load(run_of(kPlain, 1)));
    const auto whole = first->run();
    REQUIRE(whole);
    const auto& layout = *first->scenario().learning().layout();
    const auto base = first->model(6);
    const std::string path = folder.path + "/base.safetensors";
    REQUIRE(storage::save_model(disk, path, layout, base, {}));

    for (const char* mode : {"federated", "gossip"}) {
        CAPTURE(std::string(mode));
        auto more = make(load(run_of(kPlain, 8, mode), {"model.base=" + path}));
        const auto all = more->run();
        REQUIRE(all);
        const std::string trainable = "model.trainable=[\"*.adapter_*\", \"dense3.*\"]";
        auto simulation = make(load(run_of(kAdapted, 8, mode), {"model.base=" + path, trainable}));
        const auto part = simulation->run();
        REQUIRE(part);
        const auto* plans = simulation->scenario().learning().plans();
        const auto& network = plans->network();
        const auto learnt = simulation->model(simulation->scenario().federated() ? 6 : 0);
        REQUIRE(learnt.size() == 64 * 4 + 4 * 128 + 128 * 4 + 4 * 64 + 64 * 4 + 4);
        CHECK(part->accuracy > 0.9);
        // Of models of 16,836 and 1,796 parameters, less what is said besides.
        CHECK(double(part->bytes_sent) < 0.2 * double(all->bytes_sent));

        const std::string final_path = folder.path + "/final.safetensors";
        REQUIRE(assembly::save_whole(disk, final_path, plans, *network.layout(), learnt, {}));
        const auto final_model =
            storage::load_parameters(disk, final_path, *network.whole_layout(), pool);
        REQUIRE(final_model);
        for (const auto& t : network.whole_layout()->tensors()) {
            const auto* before = layout.find(t.name);
            const auto now = final_model->floats().subspan(t.offset, t.count);
            CAPTURE(t.name);
            if (!before) continue;
            const bool same = std::equal(now.begin(), now.end(), &base[before->offset]);
            CHECK(same == (t.name != "dense3.weight" && t.name != "dense3.bias"));
        }
        bool moved = false;
        const auto* b = network.whole_layout()->find("dense1.adapter_b");
        for (float v : final_model->floats().subspan(b->offset, b->count)) moved |= v != 0;
        CHECK(moved);
    }
}

TEST_CASE("a base that is not there or does not suit stops a run before it starts") {
    const auto missing = Scenario::load("test.toml", run_of(kPlain, 1),
                                        {"model.base=/nowhere/base.safetensors"}, no_extensions());
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ErrorCode::kModelBase);
    CHECK(missing.error().what.find("/nowhere/base.safetensors") != std::string::npos);
    const auto nothing = Scenario::load("test.toml", run_of(kPlain, 1),
                                        {"model.trainable=[\"conv*\"]"}, no_extensions());
    REQUIRE_FALSE(nothing);
    CHECK(nothing.error().code == ErrorCode::kModelShape);
}
