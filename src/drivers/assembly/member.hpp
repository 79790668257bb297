// One member of a run, assembled out of its configuration: node, trainer, data, keys, checkpoints.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "drivers/assembly/checkpoints.hpp"
#include "drivers/assembly/identity.hpp"
#include "drivers/assembly/learning.hpp"
#include "drivers/work/perform.hpp"
#include "protocol/node/make_node.hpp"
#include "records/config/config.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::assembly {

// All options of a daemon of this role, in one schema. `more` are those of rooms that assembly does
// not include, such as transport's.
Result<config::SchemaRef> schema_for(Role role, const Extensions& extensions, OptionTable more);

// What all nodes of one role in a run have in common: made once, and shared by those it casts.
class NodeMould {
public:
    struct Parts {
        const config::Config& config;
        const Extensions& extensions;
        const codec::CodecTable& codecs;
        Role role{};
        const job::RunConfig& run;
        tensor::LayoutRef layout;
        bool has_test_data = false;
        // In gossip, when it is settled beforehand who takes part; else null.
        std::shared_ptr<const topology::Roster> roster;
        std::shared_ptr<const topology::Schedule> schedule;
    };
    // Errors are those of the configuration; the first is returned, `all` gets every one.
    static Result<NodeMould> create(const Parts& parts, std::vector<Error>* all = nullptr);

    // `own.run` is filled in. Errors are those of what was restored.
    Result<std::unique_ptr<node::Node>> cast(node::NodeSetup own,
                                             std::optional<job::Restored> restored) const;

private:
    class Findings;
    using Engine = std::shared_ptr<const federated::EngineSetup>;
    node::RunIdentityRef identity_;
    std::variant<gossip::GossipSetupRef, federated::ClientSetupRef, Engine> core_;
};

struct MemberSetup {
    const config::Config& config;
    Role role{};
    PeerId self;
    std::vector<std::string> addresses;  // it can be dialled at
    const Extensions& extensions;
    storage::Disk& disk;
    WallTime now;
    // Where checkpoints lie; not used when nothing can be written.
    const storage::RunFolder* folder = nullptr;
};

// For the log: what was found while a member was put together.
struct Remark {
    telemetry::Level level{};
    std::string name, text;  // of the event
};

struct Member {
    job::RunConfig run;
    Learning learning;
    std::unique_ptr<Checkpoints> checkpoints;  // null without a folder
    std::unique_ptr<node::Node> node;
    std::uint64_t boot_epoch = 0;  // of this start
    std::vector<Remark> remarks;
};

// Errors are those of the configuration, the data, the model and the checkpoints.
Result<Member> make_member(const MemberSetup& setup);

// What jobs may use, for this member.
work::Tools tools_of(const Member& member, const PeerId& self,
                     std::shared_ptr<const security::IdentityKey> key);

}  // namespace gossamer::assembly
