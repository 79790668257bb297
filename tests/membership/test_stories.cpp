// Runs tests/transcripts/membership_*.txt against one core.
//
//     new ID [seed ADDRESS]... [known pN STATE INCARNATION ADDRESS]...
//     start | wait D (runs timers up to then) | resume D | stop | busy pN on|off
//     up pN ADDRESS dialled|came | down pN CODE | failed ADDRESS CODE [permanent]
//     beat pN #SEQ @INC [pM=STATE@INC]... | reply pN #SEQ @INC [...] | leave pN @INC
//     views
#include <doctest/doctest.h>

#include "protocol/membership/membership.hpp"
#include "support/transcript.hpp"

using namespace gossamer;
using namespace gossamer::testing;
using membership::Membership;
using message::MemberRecord;
using message::MemberState;

namespace {

MemberState state_named(const std::string& name) {
    for (auto state :
         {MemberState::alive, MemberState::suspect, MemberState::dead, MemberState::left})
        if (name == message::to_string(state)) return state;
    FAIL("no state " << name);
    return {};
}

MemberRecord record_of(const std::string& word) {  // p3=dead@7
    const auto equals = word.find('='), at = word.find('@');
    return {peer_named(word.substr(0, equals)),
            Role::peer,
            state_named(word.substr(equals + 1, at - equals - 1)),
            std::stoull(word.substr(at + 1)),
            {}};
}

class Story {
public:
    std::string operator()(const Words& words) {
        const std::string& verb = words[0];
        if (verb == "new") return create(words);
        if (verb == "wait") return wait(*parse_duration(words[1]));
        if (verb == "views") return views();
        job::Turn t{now_, WallTime{0}, RunSeed{1}, ids_};
        if (verb == "start") core_->on_start(t);
        if (verb == "stop") core_->on_stop(t, "asked to");
        if (verb == "busy") core_->set_busy(peer_named(words[1]), words[2] == "on");
        if (verb == "resume") {
            now_ = t.now = now_ + *parse_duration(words[1]);
            core_->on_resume(t);
        }
        if (verb == "up")
            core_->on_link(t, peer_named(words[1]),
                           job::LinkUp{Role::peer, words[2], words[3] == "dialled"});
        if (verb == "down") core_->on_link(t, peer_named(words[1]), job::LinkDown{error(words[2])});
        if (verb == "failed")
            core_->on_link(t, {}, job::DialFailed{words[1], error(words[2]), words.size() > 3});
        if (verb == "leave")
            core_->on_leave(t, peer_named(words[1]), {number(words[2]), "its own wish"});
        if (verb == "beat") {
            message::Heartbeat m{.sequence = number(words[2]), .incarnation = number(words[3])};
            for (std::size_t i = 4; i < words.size(); ++i) m.news.push_back(record_of(words[i]));
            core_->on_heartbeat(t, peer_named(words[1]), m);
        }
        return describe(t);
    }

private:
    static std::uint64_t number(const std::string& word) { return std::stoull(word.substr(1)); }
    static Error error(const std::string& id) {
        const ErrorInfo* info = find_error(id);
        REQUIRE_MESSAGE(info, "no error " << id);
        return {info->code, std::string(info->meaning), {}};
    }
    std::string create(const Words& words) {
        membership::MembershipConfig config{.profile = membership::Profile::local};
        std::vector<MemberRecord> known;
        for (std::size_t i = 2; i < words.size(); ++i) {
            if (words[i] == "seed") config.seeds.push_back(*membership::parse_seed(words[++i]));
            if (words[i] == "known") {
                known.push_back({peer_named(words[i + 1]),
                                 Role::peer,
                                 state_named(words[i + 2]),
                                 std::stoull(words[i + 3]),
                                 {words[i + 4]}});
                i += 4;
            }
        }
        core_.emplace(std::make_shared<const membership::MembershipConfig>(config),
                      MemberRecord{peer_named(words[1]), Role::peer, {}, 0, {words[1] + ":1"}}, 1,
                      known);
        return {};
    }
    std::string wait(Duration d) {
        const Instant end = now_ + d;
        std::string said;
        while (core_->next_deadline() <= end) {
            now_ = core_->next_deadline();
            job::Turn t{now_, WallTime{0}, RunSeed{1}, ids_};
            core_->on_deadline(t);
            if (auto text = describe(t); !text.empty())
                said += "at " + describe_time(now_) + "\n" + text;
        }
        now_ = end;
        return said;
    }
    std::string views() {
        std::string said;
        for (const auto& view : core_->views())
            said += peer_name(view.record.id) + " " +
                    std::string(message::to_string(view.record.state)) + " @" +
                    std::to_string(view.record.incarnation) + (view.linked ? " linked" : "") +
                    " (" + view.reason + ")\n";
        return said;
    }

    Instant now_{0};
    job::TurnIds ids_;
    std::optional<Membership> core_;
};

}  // namespace

TEST_CASE("Story: two members meet, and one crashes") { run_story("membership_crash", Story{}); }
TEST_CASE("Story: others speak against a member that we hear") {
    run_story("membership_refute", Story{});
}
TEST_CASE("Story: a member from the peer book that is gone, and one that left") {
    run_story("membership_gone", Story{});
}
TEST_CASE("Story: members of an earlier life, of whom nothing was heard in this one") {
    run_story("membership_book", Story{});
}
