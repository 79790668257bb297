#include "drivers/program/config_check.hpp"

#include <algorithm>

#include "connection/transport/address.hpp"
#include "connection/transport/transport.hpp"
#include "drivers/assembly/member.hpp"
#include "gossamer/data/load.hpp"
#include "gossamer/model/network.hpp"
#include "gossamer/topology/schedule.hpp"
#include "gossamer/training/options.hpp"
#include "protocol/membership/config.hpp"

namespace gossamer::program {
namespace {

using config::of_key;

// The setups of a run do not look into its model.
tensor::LayoutRef any_layout() {
    auto layout = std::make_shared<tensor::Layout>();
    layout->add("any", {1});
    return layout;
}

class Check {
public:
    Check(const config::Config& config, const Extensions& extensions)
        : config_(config), extensions_(extensions) {}

    void values() {
        keep(training::training_config(config_));
        const auto data = data::data_config(config_);
        if (!keep(data) || extensions_.trainer) return;  // a trainer of one's own has its own data
        for (const auto& text : config_.text_list("model.layers"))
            keep(of_key("model.layers", model::parse_layer(text)));
        using data::DataFormat;
        const bool needs_files = data->format == DataFormat::csv ||
                                 data->format == DataFormat::npy ||
                                 data->format == DataFormat::text;
        if (needs_files && data->train.empty())
            add({ErrorCode::kConfigMissing, "data.train names no file",
                 "Set data.train to the file with the training samples."});
        const auto parts = data->partition.part_count != 0
                               ? static_cast<std::int64_t>(data->partition.part_count)
                               : config_.integer("run.peers");
        const auto kind = data->partition.kind;
        // Of one that is read from a file there may be more parts than peers.
        if (parts > 0 && data->part >= parts && kind != data::PartitionKind::whole &&
            kind != data::PartitionKind::explicit_)
            add({ErrorCode::kConfigRange,
                 "data.part: " + std::to_string(data->part) + " of " + std::to_string(parts) +
                     " parts",
                 "They are numbered from 0."});
    }

    // Peers dial seeds for as long as they live, also those that can never be reached.
    void addresses() {
        const auto& listen = config_.text("listen.address");
        if (!listen.empty()) keep(of_key("listen.address", transport::parse_address(listen)));
        keep(transport::advertised_address(config_));
        keep(transport::banned_peers(config_));
        for (const auto& text : config_.text_list("membership.seeds")) {
            const auto seed = of_key("membership.seeds", membership::parse_seed(text));
            if (keep(seed))
                keep(of_key("membership.seeds", transport::parse_address(seed->address)));
        }
        keep(membership::membership_config(config_));
    }

    void run(std::optional<Role> role) {
        const auto run = job::run_config(config_);
        const auto codecs = assembly::make_codecs(extensions_);
        if (!keep(run) || !keep(codecs)) return;
        const bool gossips = run->mode == message::Mode::gossip;
        if (role || gossips) {
            setup(*run, **codecs, role.value_or(Role::peer));
        } else {
            setup(*run, **codecs, Role::aggregator);
            setup(*run, **codecs, Role::peer);
        }
        if (gossips) graph(*run);
    }

    ConfigFindings findings;

private:
    void setup(const job::RunConfig& run, const codec::CodecTable& codecs, Role role) {
        std::vector<Error> all;
        (void)assembly::NodeMould::create({.config = config_,
                                           .extensions = extensions_,
                                           .codecs = codecs,
                                           .role = role,
                                           .run = run,
                                           .layout = any_layout()},
                                          &all);
        for (auto& error : all) add(std::move(error));
    }

    // Of the peers that the run waits for.
    void graph(const job::RunConfig& run) {
        const auto peers =
            static_cast<std::uint32_t>(std::max<std::uint64_t>(run.peers, run.roster.size()));
        auto made = topology::make_schedule(topology::topology_config(config_), peers, run.seed);
        const auto schedule = of_key("topology.graph", std::move(made));
        if (!keep(schedule)) return;
        for (auto& warning : topology::check(*schedule))
            findings.warnings.push_back(config_.located(std::move(warning)));
    }

    template <class T>
    bool keep(const Result<T>& result) {
        if (!result) add(result.error());
        return result.has_value();
    }

    void add(Error error) {
        error = config_.located(std::move(error));
        if (std::ranges::find(findings.errors, error) == findings.errors.end())
            findings.errors.push_back(std::move(error));
    }

    const config::Config& config_;
    const Extensions& extensions_;
};

}  // namespace

ConfigFindings check_config(const config::Config& config, std::optional<Role> role,
                            const Extensions& extensions) {
    Check check(config, extensions);
    check.values();
    check.addresses();
    check.run(role);
    return std::move(check.findings);
}

}  // namespace gossamer::program
