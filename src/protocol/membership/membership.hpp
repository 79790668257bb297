// Who is here. Keeps a link to the other members, hears their heartbeats, suspects the silent, and
// passes on what it knows, so that everybody learns of everybody.
//
// What a member is held to be:
//   alive -> suspect    its link is silent beyond its limit, or down and not coming back
//   suspect -> alive    anything is heard from it
//   suspect -> dead     the profile's suspicion is over
//   any -> left         it said so
//   dead, left -> alive a higher incarnation alone, which only the member itself can give
//
// One's own ears come first: what others say against a member that is linked and heard changes
// nothing here, but is told to the accused, who then raises its incarnation; that refutes it
// everywhere. What others say against a member without a link makes it suspect, never dead at once.
// A late timer of our own means that we slept, not they: nobody is accused before a full limit
// later.
//
// A member is believed about itself; what it says of others is bounded, so that a liar costs
// little: as many changes as its budget holds, incarnations that a clock can have given, half of
// the dials for members nobody has met, and places go first to who comes with a certificate.
//
// News travels on heartbeats: every change of a record gets the next version, every link remembers
// up to which version it was told, at most kNewsMax records a message, never back to the teller.
// A new link starts at nothing, so it brings the whole table across.
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gossamer/job/turn.hpp"
#include "protocol/membership/config.hpp"
#include "protocol/membership/detector.hpp"

namespace gossamer::membership {

using message::MemberRecord;
using message::MemberState;

inline constexpr std::size_t kNewsMax = 32;       // records a message
inline constexpr std::size_t kMembersMax = 4096;  // more are not remembered
inline constexpr std::size_t kLocalMembersMax = 1 << 20;
inline constexpr double kBudgetMax = kMembersMax;  // changes one member may tell at once
inline constexpr double kBudgetRefill = 64;        // per heartbeat interval
inline constexpr unsigned kEpochShift = 20;  // incarnation = boot epoch, counter of so many bits
inline constexpr Duration kLate = 250ms;     // a timer later than this: doubt yourself

// When to do what; expired timers are handled in this order.
enum class Timer : std::uint8_t {
    suspect,  // When a linked member will have been silent too long
    bury,     // When a suspicion is over
    beat,     // When to send the next heartbeats
    dial,     // When to dial an address again
    tell,     // When to say again for whom we wait
};
inline constexpr std::size_t kTimerCount = 5;

struct Change {  // for the other cores of the node
    PeerId peer;
    MemberState state{};
};

// One member as seen from here.
struct View {
    MemberRecord record;
    bool linked = false;
    Duration round_trip{};  // zero when not measured
    Instant heard;          // the last sign of life
    message::Progress progress;
    std::string reason;  // of its present state
};

class Membership {
public:
    // `self.incarnation` is ignored: it starts at boot_epoch << 20, and boot_epoch must be larger
    // than in every earlier life. `known` comes from the peer book; it may be empty.
    Membership(MembershipConfig config, MemberRecord self, std::uint64_t boot_epoch,
               std::vector<MemberRecord> known);

    void on_start(job::Turn& turn);
    void on_heartbeat(job::Turn& turn, const PeerId& from, const message::Heartbeat& heartbeat);
    void on_reply(job::Turn& turn, const PeerId& from, const message::HeartbeatReply& reply);
    void on_leave(job::Turn& turn, const PeerId& from, const message::Leave& leave);
    void on_link(job::Turn& turn, const PeerId& peer, const job::LinkEvent& event);
    void on_sign_of_life(Instant now, const PeerId& from);
    void on_resume(job::Turn& turn, Duration asleep);
    void on_deadline(job::Turn& turn);
    Instant next_deadline() const;
    void on_stop(job::Turn& turn, const std::string& reason);  // says Leave; then does nothing

    // The run refused this peer, or was refused by it: close its link and do not dial it again,
    // unless it comes by itself.
    void block(job::Turn& turn, const PeerId& peer, const Error& why);
    void on_progress(const PeerId& from, const message::Progress& progress);
    void set_progress(const message::Progress& own) { progress_ = own; }
    void set_busy(const PeerId& peer, bool busy);  // bulk is on its link
    // Linked with even above mesh_max.
    void want(job::Turn& turn, const std::vector<PeerId>& peers);

    std::vector<Change> take_changes() { return std::move(changes_); }  // since the last call
    const MemberRecord& self() const { return self_; }
    bool linked(const PeerId& peer) const;
    std::vector<PeerId> linked_peers() const;               // in PeerId order
    MemberState state_of(const PeerId& peer) const;         // dead when unknown
    std::optional<Role> role_of(const PeerId& peer) const;  // empty when unknown
    // Alive on the word of others, but no link can be had: no address, or dialling keeps failing.
    bool out_of_reach(const PeerId& peer) const;
    bool local_view() const { return config_.local_view; }
    bool full_mesh() const { return !config_.local_view && members_.size() < config_.mesh_max; }
    // Mean and four deviations, for deadlines; the profile's guess until measured.
    Duration patient_round_trip(const PeerId& peer) const;
    std::vector<View> views() const;                // in PeerId order, without self
    std::vector<message::Waiting> waiting() const;  // seeds nobody answers at
    bool stopped() const { return stopped_; }
    Digest128 digest() const;

private:
    struct Dial {
        bool under_way = false;
        bool blocked = false;  // retrying cannot help
        std::uint32_t failures = 0;
        Instant next;
        std::string address;  // of the dial under way
        Error last;           // why the last one failed
    };
    struct Member {
        MemberRecord record;
        std::string reason;
        bool linked = false, busy = false;
        bool judged = false;  // by our own ears; false: alive on the word of others
        Detector detector;
        Instant bury_at = Instant::never();  // when suspect
        std::uint64_t told = 0;              // versions up to here went over its link
        std::uint64_t version = 0;           // of its record
        PeerId teller;                       // who told us the record; zero: our own finding
        std::uint64_t sequence = 0;          // of our heartbeats to it
        message::Progress progress;
        Dial dial;
        std::vector<std::string> found_at;  // addresses it answered at
        std::size_t next_address = 0;
        bool accused = false;  // others speak against it: tell it
        MemberState accused_state{};
        bool met = false;            // linked with it in this life
        double budget = kBudgetMax;  // of the changes it tells
        Instant budget_time;
        bool overdrawn = false;  // and that was said
    };
    struct SeedState {
        Seed seed;
        std::optional<PeerId> bound;  // who answered
        Dial dial;
        Instant since;
    };

    // records.cpp: what is said about whom
    void learn(job::Turn& turn, const PeerId& from, const std::vector<MemberRecord>& news);
    void learn_one(job::Turn& turn, const PeerId& from, const MemberRecord& record);
    void hear_about_self(job::Turn& turn, const PeerId& from, const MemberRecord& record);
    void hear_directly(job::Turn& turn, const PeerId& from, std::uint64_t incarnation);
    std::vector<MemberRecord> news_for(Member& member);
    bool has_news_for(const Member& member) const;
    Member* meet(job::Turn& turn, const PeerId& id, Role role, MemberState state, std::string how);
    void change(job::Turn& turn, Member& member, MemberState to, std::string reason,
                const PeerId& teller);
    void touch(Member& member, const PeerId& teller);
    bool may_tell(job::Turn& turn, const PeerId& teller);
    void make_room();
    std::size_t places() const { return config_.local_view ? kLocalMembersMax : kMembersMax; }
    // judging.cpp: what silence means
    void suspect_silent(job::Turn& turn);
    void bury_overdue(job::Turn& turn);
    void suspect(job::Turn& turn, Member& member, std::string reason, Duration patience);
    void doubt(Instant now, bool forget_rhythm);
    // dialling.cpp: whom to dial and when
    void dial_due(job::Turn& turn);
    bool dial_member(job::Turn& turn, Member& member);
    void dial_seed(job::Turn& turn, SeedState& seed);
    bool wants_link(const Member& member) const;
    std::vector<std::string> addresses_of(const Member& member) const;
    void on_up(job::Turn& turn, const PeerId& peer, const job::LinkUp& up);
    void on_down(job::Turn& turn, const PeerId& peer, const job::LinkDown& down);
    void on_dial_failed(job::Turn& turn, const PeerId& peer, const job::DialFailed& failed);
    void back_off(job::Turn& turn, Dial& dial, const Error& error);
    void end_retries(job::Turn& turn, Dial& dial, const Error& error, std::string until);
    void tell_waiting(job::Turn& turn);
    // membership.cpp
    void beat_all(job::Turn& turn);
    void beat(job::Turn& turn, Member& member);
    Member* find(const PeerId& peer);
    const Member* find(const PeerId& peer) const;
    Instant& at(Timer timer) { return timers_[static_cast<std::size_t>(timer)]; }
    void arm(Timer timer, Instant when) { at(timer) = std::min(at(timer), when); }
    Duration jittered(job::Turn& turn, Duration d, double part);  // d less up to `part` of it
    void soon(job::Turn& turn);  // heartbeats at once: there is news

    MembershipConfig config_;
    Timings times_;
    MemberRecord self_;
    std::uint64_t self_version_ = 1;
    std::map<PeerId, Member> members_;
    std::map<std::uint64_t, PeerId> versions_;  // of records, ours included: who changed when
    std::uint64_t next_version_ = 1;
    std::vector<SeedState> seeds_;
    std::set<PeerId> wanted_;
    std::array<Instant, kTimerCount> timers_;
    std::vector<Change> changes_;
    message::Progress progress_;
    std::uint64_t draws_ = 0;
    std::uint32_t tellings_ = 0;
    Instant last_beat_{};
    bool full_warned_ = false, stopped_ = false;
};

}  // namespace gossamer::membership
