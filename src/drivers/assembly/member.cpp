#include "drivers/assembly/member.hpp"

#include <map>

#include "connection/security/identity.hpp"
#include "gossamer/data/load.hpp"
#include "gossamer/federated/config.hpp"
#include "gossamer/model/options.hpp"
#include "gossamer/topology/schedule.hpp"
#include "gossamer/training/options.hpp"
#include "protocol/node/make_node.hpp"
#include "records/storage/peer_book.hpp"
#include "records/telemetry/recorder.hpp"

namespace gossamer::assembly {
namespace {

OptionTable assembly_options() {
    return {
        {.key = "control.socket",
         .kind = OptionKind::text,
         .fallback = std::string(),
         .reason = "Unix socket at which `gossamer status` asks this daemon; empty: "
                   "gossamer-<role>.sock in run.folder. At most 107 bytes."},
        {.key = "work.threads",
         .kind = OptionKind::integer,
         .fallback = std::int64_t{0},
         .unit = "threads",
         .reason = "Workers that train, evaluate, mix and add up; 0: one a core. One suffices when "
                   "several peers share a machine.",
         .least = 0,
         .most = 256},
        {.key = "run.exit_when_finished",
         .kind = OptionKind::boolean,
         .fallback = true,
         .reason = "Whether the daemon ends by itself when the run is over and nothing is owed to "
                   "others; otherwise it stays a member until it is told to stop."},
    };
}

template <class Entries>
void add_entries(std::vector<OptionTable>& tables, const Entries& entries) {
    for (const auto& entry : entries) tables.push_back(entry.options);
}

}  // namespace

Result<config::SchemaRef> schema_for(Role role, const Extensions& extensions, OptionTable more) {
    std::vector<OptionTable> tables = {job::run_options(),
                                       identity_options(),
                                       membership::membership_options(),
                                       std::move(more),
                                       data::data_options(),
                                       model::model_options(),
                                       training::training_options(),
                                       topology::topology_options(),
                                       gossip::gossip_options(),
                                       federated::federated_options(),
                                       storage::checkpoint_options(),
                                       telemetry::telemetry_options(),
                                       assembly_options(),
                                       extensions.options};
    (void)role;  // one schema for peers and aggregators: a file may serve both
    add_entries(tables, gossip::built_in_algorithms());
    add_entries(tables, extensions.algorithms);
    add_entries(tables, federated::built_in_strategies());
    add_entries(tables, extensions.strategies);
    GOSSAMER_TRY(auto schema, config::Schema::merge(tables));
    return std::make_shared<const config::Schema>(std::move(schema));
}

Result<std::unique_ptr<node::Node>> make_node(NodeParts parts) {
    const auto& config = parts.config;
    auto& base = parts.base;
    const auto run = base.run;
    const auto layout = base.layout;
    const Role role = base.self.role;
    job::SharedSettings shared(run, layout->digest());
    auto fill = [&] {
        base.settings = shared.digest();
        if (parts.lines && *parts.lines)
            base.setting_lines = *parts.lines;
        else
            base.setting_lines = std::make_shared<const std::vector<std::string>>(shared.lines());
        if (parts.lines) *parts.lines = base.setting_lines;
    };
    if (run.mode == message::Mode::gossip) {
        if (role != Role::peer)
            return fail(ErrorCode::kConfigConflict, "a gossip run has no aggregator",
                        "set run.mode = \"federated\", or start gossamer-peer");
        gossip::GossipSetup core;
        core.self = base.self.id;
        core.run = run;
        core.config = gossip::gossip_config(config);
        core.topology = topology::topology_config(config);
        core.layout = layout;
        GOSSAMER_TRY(core.codec, parts.codecs.find(core.config.codec));
        GOSSAMER_TRY(core.algorithm, gossip::make_algorithm(core.config.algorithm, config,
                                                            parts.extensions.algorithms));
        core.restored = std::move(parts.restored);
        core.roster = std::move(parts.roster);
        core.schedule = std::move(parts.schedule);
        gossip::add_shared(shared, core.config, core.topology);
        fill();
        return node::make_gossip_peer(std::move(base), std::move(core));
    }
    auto federated = federated::federated_config(config);
    fill();
    if (role == Role::peer)
        return node::make_federated_peer(std::move(base),
                                         {.run = run, .config = federated, .layout = layout});
    federated::EngineSetup core;
    core.run = run;
    core.config = federated;
    core.layout = layout;
    GOSSAMER_TRY(core.codec, parts.codecs.find(federated.codec));
    GOSSAMER_TRY(core.strategy,
                 federated::make_strategy(federated.strategy, config, parts.extensions.strategies));
    core.has_test_data = parts.has_test_data;
    return node::make_aggregator(std::move(base), std::move(core), std::move(parts.restored));
}

Result<Member> make_member(const MemberSetup& setup) {
    Member member;
    GOSSAMER_TRY(member.run, job::run_config(setup.config));
    GOSSAMER_TRY(member.learning,
                 make_learning(setup.config, member.run, setup.role, setup.extensions));
    if (!member.learning.remark.empty()) member.remarks.push_back(member.learning.remark);
    std::optional<job::Restored> restored;
    if (setup.folder) {
        GOSSAMER_TRY(
            member.checkpoints,
            Checkpoints::open(setup.disk, setup.folder->checkpoints(), setup.folder->final_model(),
                              member.run.name, storage::checkpoint_config(setup.config)));
        member.checkpoints->complete_with(member.learning.plans);
        if (member.run.resume) {
            std::vector<std::string> damaged;
            GOSSAMER_TRY(restored, member.checkpoints->restore(member.learning.pool, damaged));
            for (auto& text : damaged) member.remarks.push_back("passed over: " + text);
            if (restored)
                member.remarks.push_back("going on from the checkpoint of round " +
                                         std::to_string(restored->round));
        }
    }
    node::NodeSetup base;
    base.self = {.id = setup.self, .role = setup.role, .addresses = setup.addresses};
    GOSSAMER_TRY(base.membership, membership::membership_config(setup.config));
    base.membership.local_view =
        member.run.mode == message::Mode::federated && member.run.peers >= base.membership.mesh_max;
    base.run = member.run;
    base.layout = member.learning.trainer->layout();
    base.sample_count = member.learning.trainer->sample_count();
    auto book = storage::join(member.run.folder, "peers.book");
    if (auto known = storage::PeerBook::load(setup.disk, book))
        for (auto& peer : known->peers)
            base.known.push_back(
                {.id = peer.id, .role = peer.role, .addresses = std::move(peer.addresses)});
    if (auto epoch = storage::PeerBook::begin_epoch(setup.disk, book, setup.now)) {
        base.boot_epoch = *epoch;
    } else {
        // Without a disk the clock still gives a number larger than in earlier lives.
        base.boot_epoch = static_cast<std::uint64_t>(setup.now.ns / 1'000'000'000);
        member.remarks.push_back("the peer book cannot be written: " + epoch.error().to_string());
    }
    GOSSAMER_TRY(member.node, make_node({.config = setup.config,
                                         .extensions = setup.extensions,
                                         .codecs = *member.learning.codecs,
                                         .has_test_data = member.learning.has_test_data,
                                         .base = std::move(base),
                                         .restored = std::move(restored)}));
    return member;
}

work::Tools tools_of(const Member& member, const PeerId& self,
                     std::shared_ptr<const security::IdentityKey> key) {
    work::Tools tools;
    tools.trainer = member.learning.trainer;
    tools.codecs = member.learning.codecs;
    tools.pool = member.learning.pool;
    tools.seed = member.run.seed;
    tools.self = self;
    if (auto* checkpoints = member.checkpoints.get())
        tools.checkpoint = [checkpoints](const job::CheckpointJob& j) {
            return checkpoints->write(j);
        };
    tools.sign = [key = std::move(key)](ByteView text) -> Result<Bytes> {
        auto signature = key->sign("membership", text);
        return Bytes(signature.begin(), signature.end());
    };
    return tools;
}

}  // namespace gossamer::assembly
