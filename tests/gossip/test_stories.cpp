// Runs tests/transcripts/gossip_*.txt against one core, p1, whose jobs and neighbours the story
// plays. A model is one number.
//
//     new PEERS GRAPH rounds N [average N]
//     start | wait D (runs timers up to then) | resume D | stop
//     joined pN at STEP | down pN | member pN STATE | progress pN at STEP [stop STEP] [finished]
//     done JOB (the oldest of its kind) | fail JOB CODE
//     offer pN #ID step S [catch_up] | arrived pN #ID step S [catch_up]
//     delivered pN #ID | refused pN #ID REASON | lost pN #ID in|out | request pN at STEP
//     status
#include <doctest/doctest.h>

#include <map>

#include "protocol/gossip/gossip.hpp"
#include "support/transcript.hpp"

using namespace gossamer;
using namespace gossamer::gossip;
using namespace gossamer::testing;

namespace {

class Story {
public:
    std::string operator()(const Words& w) {
        const std::string& verb = w[0];
        if (verb == "new") return create(w);
        if (verb == "wait") return wait(*parse_duration(w[1]));
        if (verb == "status") return status();
        job::Turn t{now_, WallTime{0}, RunSeed{1}, ids_};
        if (verb == "start") core_->on_start(t);
        if (verb == "stop") core_->on_stop(t, "asked to");
        if (verb == "resume") {
            now_ = t.now = now_ + *parse_duration(w[1]);
            core_->on_resume(t, *parse_duration(w[1]));
        }
        if (verb == "done" || verb == "fail") end_job(t, w);
        if (w.size() > 1 && w[1].starts_with("p")) from_peer(t, peer_named(w[1]), w);
        return settled(t);
    }

private:
    static std::uint64_t number(const std::string& word) {
        return std::stoull(word.starts_with("#") ? word.substr(1) : word);
    }

    std::string create(const Words& w) {
        auto layout = std::make_shared<tensor::Layout>();
        layout->add("x", {});
        layout_ = layout;
        GossipSetup setup;
        setup.run.name = "story";
        setup.run.peers = number(w[1]);
        setup.run.rounds = number(w[4]);
        setup.config.evaluate_every = setup.config.checkpoint_every = 0;
        setup.config.final_averaging_steps = w.size() > 6 ? number(w[6]) : 0;
        for (int k = 0; k <= static_cast<int>(topology::GraphKind::edges); ++k)
            if (to_string(static_cast<topology::GraphKind>(k)) == w[2])
                setup.topology.graph.kind = static_cast<topology::GraphKind>(k);
        setup.layout = layout_;
        setup.codec = codec::find_codec("f32").value();
        setup.algorithm = d_psgd();
        core_.emplace(std::make_shared<const GossipSetup>(std::move(setup)), peer_named("p1"),
                      std::nullopt);
        return "";
    }

    std::string wait(Duration d) {
        std::string text;
        const auto end = now_ + d;
        while (core_->next_deadline() <= end) {
            now_ = std::max(now_, core_->next_deadline());
            job::Turn t{now_, WallTime{0}, RunSeed{1}, ids_};
            core_->on_deadline(t);
            if (auto said = settled(t); !said.empty())
                text += "at " + describe_time(now_) + "\n" + said;
        }
        now_ = end;
        return text;
    }

    std::string settled(job::Turn& t) {
        for (auto& order : t.jobs)
            jobs_[std::string(job::name_of(order.job))].push_back(std::move(order));
        return describe(t);
    }

    tensor::Buffer one(float value) {
        auto buffer = pool_->take_floats(1);
        buffer.floats()[0] = value;
        return buffer;
    }

    void end_job(job::Turn& t, const Words& w) {
        auto& waiting = jobs_[w[1]];
        REQUIRE_MESSAGE(!waiting.empty(), "no job " << w[1]);
        auto order = std::move(waiting.front());
        waiting.erase(waiting.begin());
        if (w[0] == "fail") {
            const auto* info = find_error(w[2]);
            REQUIRE(info);
            Error error{info->code, std::string(info->meaning), {}};
            REQUIRE(core_->on_job_done(t, order.id, fail(error), 20ms));
            return;
        }
        REQUIRE(core_->on_job_done(t, order.id, perform(order.job), 20ms));
    }

    job::JobDone perform(job::Job& job) {
        if (auto* j = std::get_if<job::InitialModelJob>(&job))
            return j->out.fill(one(0)), job::InitialModelDone{};
        if (auto* j = std::get_if<job::TrainJob>(&job))
            return j->out.fill(one(1)), job::TrainDone{10, 1, 0.5, nullptr};
        if (auto* j = std::get_if<job::DecodeJob>(&job))
            return j->out.fill(one(2)), job::DecodeDone{};
        if (auto* j = std::get_if<job::MixJob>(&job))
            return j->out.fill(one(3)), job::MixDone{0.25, {}};
        if (std::get_if<job::EvaluateJob>(&job)) return job::EvaluateDone{0.5, 0.75, 10};
        return job::CheckpointDone{"final"};
    }

    void from_peer(job::Turn& t, const PeerId& peer, const Words& w);
    std::string status();

    tensor::LayoutRef layout_;
    tensor::PoolRef pool_ = tensor::BufferPool::create(1 << 16);
    std::optional<Gossip> core_;
    std::map<std::string, std::vector<job::JobOrder>> jobs_;
    job::TurnIds ids_;
    Instant now_{};
};

void Story::from_peer(job::Turn& t, const PeerId& peer, const Words& w) {
    const std::string& verb = w[0];
    auto has = [&](std::string_view word) {
        return std::find(w.begin(), w.end(), word) != w.end();
    };
    auto after = [&](std::string_view word) {
        auto it = std::find(w.begin(), w.end(), word);
        return it == w.end() ? 0 : number(*(it + 1));
    };
    message::Manifest m;
    m.run = message::run_id("story");
    m.kind =
        has("catch_up") ? message::TransferKind::catch_up : message::TransferKind::gossip_model;
    m.round = after("step");
    m.epoch = 1, m.byte_count = 4, m.codec = 1;
    m.layout = layout_->digest();
    if (verb == "joined") {
        message::Join join;
        join.run = m.run;
        join.round = after("at");
        core_->on_joined(t, peer, join);
    } else if (verb == "down") {
        core_->on_link(t, peer, false);
    } else if (verb == "member") {
        using S = message::MemberState;
        for (auto state : {S::alive, S::suspect, S::dead, S::left})
            if (w[2] == message::to_string(state)) core_->on_member(t, peer, state);
    } else if (verb == "progress") {
        auto phase = has("finished") ? message::Phase::finished : message::Phase::training;
        core_->on_progress(t, peer, {m.run, after("at"), phase, after("stop"), 0});
    } else if (verb == "request") {
        core_->on_message(t, peer, message::ModelRequest{m.run, after("at")});
    } else if (verb == "offer") {
        core_->on_transfer(t, peer, {number(w[2])}, message::TransferOffered{m});
    } else if (verb == "arrived") {
        core_->on_transfer(t, peer, {number(w[2])},
                           message::TransferArrived{m, tensor::Payload::of(one(5))});
    } else if (verb == "delivered") {
        core_->on_transfer(t, peer, {number(w[2])}, message::TransferDelivered{});
    } else if (verb == "lost") {
        core_->on_transfer(t, peer, {number(w[2])}, message::TransferLost{{}, w[3] == "in"});
    } else if (verb == "refused") {
        auto reason = w[3] == "busy" ? message::RefuseReason::busy : message::RefuseReason::stale;
        core_->on_transfer(t, peer, {number(w[2])}, message::TransferRefused{reason});
    } else {
        FAIL("no command " << verb);
    }
}

std::string Story::status() {
    auto s = core_->status(now_);
    std::string text = "step " + std::to_string(s.round) + " of " + std::to_string(s.round_max) +
                       (core_->finished() ? ", over" : "") + "\n";
    for (const auto& wait : s.waiting) {
        text += "waits for " + wait.what + ":";
        for (const auto& id : wait.whom) text += " " + peer_name(id);
        text += wait.until.is_never() ? "\n" : " until " + describe_time(wait.until) + "\n";
    }
    return text;
}

void tell(const std::string& name) {
    Story story;
    run_story(name, [&](const Words& words) { return story(words); });
}

}  // namespace

TEST_CASE("story: a step, from training to mixing") { tell("gossip_step"); }
TEST_CASE("story: a neighbour is late, another one gone") { tell("gossip_left_out"); }
TEST_CASE("story: far behind, a peer takes a neighbour's model") { tell("gossip_catch_up"); }
TEST_CASE("story: one peer ends the run for all") { tell("gossip_end"); }
TEST_CASE("story: between training and mixing there is one model") { tell("gossip_between"); }
