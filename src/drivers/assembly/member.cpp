#include "drivers/assembly/member.hpp"

#include <map>

#include "connection/security/identity.hpp"
#include "connection/wire/wire.hpp"
#include "drivers/assembly/known_peers.hpp"
#include "gossamer/data/load.hpp"
#include "gossamer/federated/config.hpp"
#include "gossamer/model/options.hpp"
#include "gossamer/topology/schedule.hpp"
#include "gossamer/training/options.hpp"
#include "protocol/node/make_node.hpp"
#include "records/telemetry/recorder.hpp"

namespace gossamer::assembly {
namespace {

OptionTable assembly_options() {
    return {
        {.key = "control.socket",
         .kind = OptionKind::text,
         .fallback = std::string(),
         .reason = "Unix socket at which `gossamer status` asks this daemon; empty: "
                   "gossamer-<role>.sock in run.folder. At most 107 bytes. A socket left there "
                   "is replaced, a file is not."},
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

// What the configuration names, looked up; every name that nobody knows is kept.
class NodeMould::Findings {
public:
    explicit Findings(const Parts& parts) : parts_(parts) {}

    gossip::GossipSetup gossip() {
        if (parts_.role != Role::peer)
            errors_.push_back({ErrorCode::kConfigConflict,
                               "run.mode is gossip, and a gossip run has no aggregator",
                               "set run.mode = \"federated\", or start gossamer-peer"});
        gossip::GossipSetup core;
        core.run = parts_.run;
        core.config = gossip::gossip_config(parts_.config);
        core.topology = topology::topology_config(parts_.config);
        core.layout = parts_.layout;
        take(core.codec, "gossip.codec", whole_model_codec(core.config.codec));
        take(core.algorithm, "gossip.algorithm",
             gossip::make_algorithm(core.config.algorithm, parts_.config,
                                    parts_.extensions.algorithms));
        core.roster = parts_.roster;
        core.schedule = parts_.schedule;
        return core;
    }

    federated::EngineSetup engine() {
        federated::EngineSetup core;
        core.run = parts_.run;
        core.config = federated::federated_config(parts_.config);
        core.layout = parts_.layout;
        take(core.codec, "federated.codec", parts_.codecs.find(core.config.codec));
        take(core.strategy, "federated.strategy",
             federated::make_strategy(core.config.strategy, parts_.config,
                                      parts_.extensions.strategies));
        core.has_test_data = parts_.has_test_data;
        const bool evaluates = core.config.client_evaluate_every > 0 ||
                               (core.config.evaluate_every > 0 && parts_.has_test_data);
        if (core.run.rounds == 0 && core.run.wall_time == Duration{} && !evaluates)
            errors_.push_back({ErrorCode::kConfigConflict,
                               "run.rounds and run.wall_time are 0, and nothing is ever evaluated: "
                               "neither run.target_accuracy nor run.patience would end the run",
                               "set federated.evaluate_every or federated.client_evaluate_every, "
                               "or run.rounds"});
        return core;
    }

    // What each link begins with must fit a frame, or nobody would ever hear of this run.
    void greeting() {
        const auto fits = wire::check(
            message::Join{.run_name = parts_.run.name, .tensors = parts_.layout->tensors()});
        if (!fits)
            errors_.push_back(
                {ErrorCode::kConfigRange,
                 "the run and its model cannot be told to others: " + fits.error().what,
                 "shorten run.name, or give the model fewer tensors"});
    }

    const std::vector<Error>& errors() const { return errors_; }

private:
    template <class T>
    void take(T& into, std::string_view key, Result<T> found) {
        auto named = config::of_key(key, std::move(found));
        if (named)
            into = std::move(*named);
        else
            errors_.push_back(std::move(named).error());
    }

    Result<codec::CodecRef> whole_model_codec(const std::string& name) const {
        GOSSAMER_TRY(auto codec, parts_.codecs.find(name));
        if (!codec->traits().needs_base) return codec;
        return fail(ErrorCode::kConfigConflict,
                    "codec " + name +
                        " is for differences to a model that both sides have, and gossip sends "
                        "whole models",
                    "set gossip.codec to f32, f16 or bf16");
    }

    const Parts& parts_;
    std::vector<Error> errors_;
};

Result<NodeMould> NodeMould::create(const Parts& parts, std::vector<Error>* all) {
    NodeMould mould;
    Findings findings(parts);
    findings.greeting();
    job::SharedSettings shared(parts.run, parts.layout->digest());
    if (parts.run.mode == message::Mode::gossip) {
        auto core = findings.gossip();
        gossip::add_shared(shared, core.config, core.topology);
        mould.core_ = std::make_shared<const gossip::GossipSetup>(std::move(core));
    } else if (parts.role == Role::peer) {
        mould.core_ = std::make_shared<const federated::ClientSetup>(federated::ClientSetup{
            parts.run, federated::federated_config(parts.config), parts.layout});
    } else {
        mould.core_ = std::make_shared<const federated::EngineSetup>(findings.engine());
    }
    if (all) *all = findings.errors();
    if (!findings.errors().empty()) return fail(findings.errors().front());
    mould.identity_ = std::make_shared<const node::RunIdentity>(node::RunIdentity{
        parts.run.name, parts.run.mode, parts.layout, shared.digest(), shared.lines()});
    return mould;
}

Result<std::unique_ptr<node::Node>> NodeMould::cast(node::NodeSetup own,
                                                    std::optional<job::Restored> restored) const {
    own.run = identity_;
    if (const auto* peer = std::get_if<gossip::GossipSetupRef>(&core_))
        return node::make_gossip_peer(std::move(own), *peer, std::move(restored));
    if (const auto* client = std::get_if<federated::ClientSetupRef>(&core_))
        return node::make_federated_peer(std::move(own), *client);
    return node::make_aggregator(std::move(own), *std::get<Engine>(core_), std::move(restored));
}

Result<Member> make_member(const MemberSetup& setup) {
    Member member;
    GOSSAMER_TRY(member.run, job::run_config(setup.config));
    GOSSAMER_TRY(member.learning,
                 make_learning(setup.config, member.run, setup.role, setup.extensions));
    using telemetry::Level;
    if (!member.learning.remark.empty())
        member.remarks.push_back({Level::info, "trainer", member.learning.remark});
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
            for (auto& text : damaged)
                member.remarks.push_back(
                    {Level::warning, "checkpoint_damaged", "passed over: " + text});
            if (restored)
                member.remarks.push_back(
                    {Level::info, "restored",
                     "going on from the checkpoint of round " + std::to_string(restored->round)});
        }
    }
    node::NodeSetup base;
    base.self = {.id = setup.self, .role = setup.role, .addresses = setup.addresses};
    GOSSAMER_TRY(auto membership, membership::membership_config(setup.config));
    membership.local_view =
        member.run.mode == message::Mode::federated && member.run.peers >= membership.mesh_max;
    base.membership = std::make_shared<const membership::MembershipConfig>(std::move(membership));
    base.sample_count = member.learning.trainer->sample_count();
    auto book = peer_book_path(member.run.folder, setup.self);
    if (auto known = storage::PeerBook::load(setup.disk, book))
        base.known = to_be_found(std::move(known->peers));
    else
        member.remarks.push_back({Level::warning, "peer_book",
                                  "nobody is known from before: " + known.error().to_string()});
    if (auto epoch = storage::PeerBook::begin_epoch(setup.disk, book, setup.now)) {
        member.boot_epoch = *epoch;
    } else {
        // Without a disk the clock still gives a number larger than in earlier lives.
        member.boot_epoch = storage::PeerBook::epoch_of(setup.now);
        member.remarks.push_back({Level::warning, "peer_book",
                                  "the peer book cannot be written: " + epoch.error().to_string()});
    }
    base.boot_epoch = member.boot_epoch;
    GOSSAMER_TRY(auto mould, NodeMould::create({.config = setup.config,
                                                .extensions = setup.extensions,
                                                .codecs = *member.learning.codecs,
                                                .role = setup.role,
                                                .run = member.run,
                                                .layout = member.learning.trainer->layout(),
                                                .has_test_data = member.learning.has_test_data}));
    GOSSAMER_TRY(member.node, mould.cast(std::move(base), std::move(restored)));
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
