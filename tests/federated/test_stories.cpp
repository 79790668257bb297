// Runs tests/transcripts/federated_*.txt against one round engine. Jobs are answered when the story
// says so; nothing is computed.
//
//     new [rounds N] [peers N] [wanted FRACTION] [invited FACTOR] [quorum SHARE] [staging N]
//     start | wait D (runs timers up to then) | member pN STATE
//     join pN SAMPLES | down pN | has pN (the model was delivered) | gave_up pN
//     offer pN #ID ROUND | arrive pN #ID | report pN ROUND ACCURACY
//     done KIND [ERROR] (the oldest job of that kind) | copies (which models are on their way)
#include <deque>

#include <doctest/doctest.h>

#include "protocol/federated/round_engine.hpp"
#include "support/transcript.hpp"

using namespace gossamer;
using namespace gossamer::federated;
using namespace gossamer::testing;
using message::MemberState;

namespace {

class Story {
public:
    std::string operator()(const Words& words) {
        const std::string& verb = words[0];
        if (verb == "new") return create(words);
        if (verb == "wait") return wait(*parse_duration(words[1]));
        auto peer = words.size() > 1 && words[1][0] == 'p' ? peer_named(words[1]) : PeerId{};
        return tell([&](job::Turn& t) {
            if (verb == "start") engine_->on_start(t);
            if (verb == "join") {
                message::Join join;
                join.sample_count = std::stoull(words[2]);
                engine_->on_joined(t, peer, join);
            }
            if (verb == "down") engine_->on_link(t, peer, false);
            if (verb == "has") engine_->on_transfer(t, peer, copies_.at(peer), delivered());
            if (verb == "member") engine_->on_member(t, peer, state_named(words[2]));
            if (verb == "gave_up") {
                message::RoundClosed closed{run(), std::stoull(words[2]),
                                            ErrorCode::kTrainingFailed, "the loss is not finite"};
                engine_->on_message(t, peer, closed);
            }
            if (verb == "report") {
                auto round = std::stoull(words[2]);
                engine_->on_message(
                    t, peer,
                    message::EvaluationReport{run(), round, 0.5, std::stod(words[3]), 100});
            }
            if (verb == "offer")
                engine_->on_transfer(t, peer, number(words[2]), offer(std::stoull(words[3])));
            if (verb == "arrive")
                engine_->on_transfer(t, peer, number(words[2]), message::TransferArrived{});
            if (verb == "done") finish_job(t, words);
        });
    }

private:
    static job::TransferId number(const std::string& word) { return {std::stoull(word.substr(1))}; }
    static message::RunId run() { return message::run_id("run"); }
    static message::TransferEvent delivered() { return message::TransferDelivered{}; }
    static MemberState state_named(const std::string& name) {
        return name == "dead"   ? MemberState::dead
               : name == "left" ? MemberState::left
                                : MemberState::alive;
    }

    message::TransferEvent offer(std::uint64_t round) const {
        message::Manifest m;
        m.run = run(), m.kind = message::TransferKind::update, m.round = round;
        m.byte_count = 16, m.codec = codec::find_codec("f32").value()->traits().wire_id;
        m.base = message::Base::announced, m.base_version = round - 1;
        m.layout = layout_->digest();
        return message::TransferOffered{m};
    }

    std::string create(const Words& words) {
        EngineSetup setup;
        setup.run.rounds = 2;
        setup.strategy = fed_avg();
        setup.codec = codec::find_codec("f32").value();
        setup.has_test_data = true;
        tensor::Layout layout;
        layout.add("weight", {4});
        layout_ = setup.layout = std::make_shared<tensor::Layout>(layout);
        for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
            auto value = std::stod(words[i + 1]);
            if (words[i] == "rounds") setup.run.rounds = static_cast<std::uint64_t>(value);
            if (words[i] == "peers") setup.run.peers = static_cast<std::uint64_t>(value);
            if (words[i] == "wanted") setup.config.fraction = value;
            if (words[i] == "invited") setup.config.over_provision = value;
            if (words[i] == "quorum") setup.config.quorum = value;
            if (words[i] == "staging") setup.config.staging = static_cast<std::uint32_t>(value);
        }
        engine_.emplace(std::move(setup));
        return {};
    }

    template <class F>
    std::string tell(F&& what) {
        job::Turn t{now_, WallTime{0}, RunSeed{1}, ids_};
        what(t);
        for (const auto& o : t.offers) copies_[o.to] = o.id;
        for (const auto& order : t.jobs) jobs_.push_back({order.id, order.job});
        return describe(t);
    }

    std::string wait(Duration d) {
        const Instant end = now_ + d;
        std::string said;
        while (engine_->next_deadline() <= end) {
            now_ = std::max(now_, engine_->next_deadline());
            auto text = tell([&](job::Turn& t) { engine_->on_deadline(t); });
            if (!text.empty()) said += "at " + describe_time(now_) + "\n" + text;
        }
        now_ = end;
        return said;
    }

    void finish_job(job::Turn& t, const Words& words) {
        auto found = std::ranges::find_if(
            jobs_, [&](const auto& j) { return job::name_of(j.second) == words[1]; });
        REQUIRE_MESSAGE(found != jobs_.end(), "no job " << words[1]);
        auto [id, any] = *found;
        jobs_.erase(found);
        Result<job::JobDone> done = fail(ErrorCode::kInternal, "not a job of these stories");
        if (words[1] == "initial_model") done = job::InitialModelDone{};
        if (words[1] == "identify") done = job::IdentifyDone{digest256(as_bytes("a model"))};
        if (words[1] == "checkpoint") done = job::CheckpointDone{"a file"};
        if (words[1] == "accumulate") done = job::AccumulateDone{};
        if (words[1] == "compute") done = job::ComputeDone{};
        if (words[1] == "evaluate") done = job::EvaluateDone{0.5, std::stod(words[2]), 100};
        if (words.size() > 2 && words[1] != "evaluate") {
            const ErrorInfo* info = find_error(words[2]);
            REQUIRE_MESSAGE(info, "no error " << words[2]);
            done = fail(info->code, std::string(info->meaning));
        }
        CHECK(engine_->on_job_done(t, id, std::move(done), {}));
    }

    Instant now_{0};
    job::TurnIds ids_;
    tensor::LayoutRef layout_;
    std::optional<RoundEngine> engine_;
    std::map<PeerId, job::TransferId> copies_;
    std::deque<std::pair<job::JobId, job::Job>> jobs_;
};

}  // namespace

TEST_CASE("Story: a round from the first model to Commit") {
    run_story("federated_round", Story{});
}
TEST_CASE("Story: a client dies, another sends what must be refused, a third gives up") {
    run_story("federated_left_out", Story{});
}
TEST_CASE("Story: more are invited than wanted, and the late one hears it") {
    run_story("federated_late", Story{});
}
