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
// the dials for members nobody has met, places that go first to who comes with a certificate, and
// few of them where a view is local, which has places for many but is told of aggregators alone.
//
// News travels on heartbeats: every change of a record gets the next version, every link remembers
// up to which version it was told, at most kNewsMax records and message::kNewsBytesMax a message,
// never back to the teller. A new link starts at nothing, so it brings the whole table across.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "gossamer/base/boxed.hpp"
#include "gossamer/base/peer_map.hpp"
#include "gossamer/job/turn.hpp"
#include "protocol/membership/config.hpp"
#include "protocol/membership/detector.hpp"

namespace gossamer::membership {

using message::MemberRecord;
using message::MemberState;

inline constexpr std::size_t kNewsMax = 32;       // records a message
inline constexpr std::size_t kMembersMax = 4096;  // more are not remembered
inline constexpr std::size_t kLocalMembersMax = 1 << 20;
inline constexpr std::size_t kLocalHearsayMax = 64;     // of them, in a local view, never met here
inline constexpr std::size_t kBudgetMax = kMembersMax;  // changes one member may tell at once
inline constexpr std::size_t kBudgetRefill = 64;        // per heartbeat interval
inline constexpr unsigned kEpochShift = 20;     // incarnation = boot epoch, counter of so many bits
inline constexpr std::size_t kFetchedMost = 8;  // members a hint is given for, see node.hpp

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
    bool hearsay = false;   // neither met nor in the peer book
    Duration round_trip{};  // zero when not measured
    Instant heard;          // the last sign of life
    std::string reason;     // of its present state
};

class Membership {
public:
    // `self.incarnation` is ignored: it starts at boot_epoch << 20, and boot_epoch must be larger
    // than in every earlier life. `known` comes from the peer book; it may be empty. Who is dead in
    // it is dialled all the same, and nobody counts on it before it is heard of.
    Membership(MembershipConfigRef config, MemberRecord self, std::uint64_t boot_epoch,
               std::vector<MemberRecord> known);

    // `own`: how far this node is, for the heartbeats that go out.
    void on_start(job::Turn& turn);
    void on_heartbeat(job::Turn& turn, const PeerId& from, const message::Heartbeat& heartbeat);
    void on_leave(job::Turn& turn, const PeerId& from, const message::Leave& leave);
    void on_link(job::Turn& turn, const PeerId& peer, const job::LinkEvent& event,
                 const message::Progress& own = {});
    void on_sign_of_life(Instant now, const PeerId& from);
    void on_resume(job::Turn& turn);
    void on_deadline(job::Turn& turn, const message::Progress& own = {});
    Instant next_deadline() const;
    void on_stop(job::Turn& turn, const std::string& reason);  // says Leave; then does nothing

    // The run refused this peer, or was refused by it: close its link and do not dial it again,
    // unless it comes by itself.
    void block(job::Turn& turn, const PeerId& peer, const Error& why);
    void set_busy(const PeerId& peer, bool busy);  // bulk is on its link
    // Linked with even above mesh_max.
    void want(job::Turn& turn, std::vector<PeerId> peers);

    std::vector<Change> take_changes() { return std::move(changes_); }  // since the last call
    bool has_changes() const { return !changes_.empty(); }
    const MemberRecord& self() const { return self_; }
    bool linked(const PeerId& peer) const;
    MemberState state_of(const PeerId& peer) const;         // dead when unknown
    std::optional<Role> role_of(const PeerId& peer) const;  // empty when unknown
    // Alive on the word of others, but no link can be had: no address, or dialling keeps failing.
    bool out_of_reach(const PeerId& peer) const;
    bool local_view() const { return config_->local_view; }
    bool full_mesh() const { return !local_view() && members_.size() < config_->mesh_max; }
    std::vector<View> views() const;                // in PeerId order, without self
    std::vector<message::Waiting> waiting() const;  // seeds nobody answers at
    bool stopped() const { return stopped_; }
    void fetch(unsigned which, const PeerId* peer) const {  // see node.hpp
        if (which == 0) return members_.fetch_way();
        if (which == 1 && peer) return members_.fetch_value(*peer);
        if (which == 1) members_.fetch_values(kFetchedMost);  // heartbeats go to all
    }
    Digest128 digest() const;

private:
    // Why a member is held to be what it is. Words of ours cost nothing; most members have those.
    class Reason {
    public:
        Reason(const char* ours = "") : ours_(ours) {}
        Reason(std::string told) : told_(std::move(told)) {}
        std::string text() const { return told_ ? *told_ : std::string(ours_); }

    private:
        const char* ours_ = "";
        Boxed<std::string> told_;
    };
    struct Attempt {  // to dial: under way, or failed since the last success
        bool under_way = false;
        std::uint32_t failures = 0;
        std::string address;  // of the dial under way
        Error last;           // why the last one failed
    };
    struct Dial {
        Instant next;          // not before
        bool blocked = false;  // retrying cannot help
        Boxed<Attempt> attempt;
        bool under_way() const { return attempt && attempt->under_way; }
        std::uint32_t failures() const { return attempt ? attempt->failures : 0; }
    };
    struct Found {
        std::vector<std::string> at;  // it answered there, though its record does not say so
        std::size_t next = 0;         // of all its addresses: to dial
    };
    struct Member {
        std::uint64_t incarnation = 0;
        Role role = Role::peer;
        MemberState state = MemberState::alive, accused_state = MemberState::alive;
        bool linked = false, busy = false;
        bool judged = false;     // by our own ears; false: alive on the word of others
        bool accused = false;    // others speak against it: tell it
        bool met = false;        // linked with it in this life
        bool hearsay = false;    // known by what others say alone: neither met nor in the peer book
        bool wanted = false;     // see want()
        bool overdrawn = false;  // its budget is, and that was said
        Reason reason;
        Detector detector;
        Instant bury_at = Instant::never();  // when suspect
        std::uint64_t told = 0;              // versions up to here went over its link
        std::uint64_t version = 0;           // of its record
        std::uint64_t teller = 0;            // prefix of who told us the record; 0: our own finding
        Instant budget_full;                 // when it may tell kBudgetMax changes at once again
        Dial dial;
        message::Addresses addresses;
        Boxed<Found> found;
    };
    using Entry = PeerMap<Member>::value_type;  // id, member
    struct SeedState {
        const Seed* seed;
        std::optional<PeerId> bound;  // who answered
        Dial dial;
        Instant since;
    };

    // records.cpp: what is said about whom
    void learn(job::Turn& turn, const PeerId& from, const std::vector<MemberRecord>& news);
    void learn_one(job::Turn& turn, const PeerId& from, const MemberRecord& record);
    void hear_about_self(job::Turn& turn, const PeerId& from, const MemberRecord& record);
    void hear_directly(job::Turn& turn, Entry& from, std::uint64_t incarnation);
    MemberRecord record_of(const Entry& entry) const;
    std::vector<MemberRecord> news_for(Entry& entry);
    bool has_news_for(const Member& member) const;
    Entry* meet(job::Turn& turn, const PeerId& id, Role role, MemberState state, Reason how);
    void change(job::Turn& turn, Entry& entry, MemberState to, Reason reason, std::uint64_t teller);
    void touch(Entry& entry, std::uint64_t teller);
    bool may_tell(job::Turn& turn, const PeerId& teller);
    void make_room();
    std::size_t places() const { return local_view() ? kLocalMembersMax : kMembersMax; }
    std::size_t hearsay_places() const { return local_view() ? kLocalHearsayMax : kMembersMax; }
    void warn_full(job::Turn& turn, bool& warned, std::size_t count, const char* of_whom);
    // judging.cpp: what silence means
    void suspect_silent(job::Turn& turn);
    void bury_overdue(job::Turn& turn);
    void suspect(job::Turn& turn, Entry& entry, Reason reason, Duration patience);
    void doubt(Instant now, bool forget_rhythm);
    // dialling.cpp: whom to dial and when
    void dial_due(job::Turn& turn);
    void dial_member(job::Turn& turn, Entry& entry);
    void dial_seed(job::Turn& turn, SeedState& seed);
    bool wants_link(const Member& member) const;
    std::vector<std::string> addresses_of(const Member& member) const;
    void on_up(job::Turn& turn, const PeerId& peer, const job::LinkUp& up,
               const message::Progress& own);
    void on_down(job::Turn& turn, const PeerId& peer, const job::LinkDown& down);
    void on_dial_failed(job::Turn& turn, const PeerId& peer, const job::DialFailed& failed);
    void back_off(job::Turn& turn, Dial& dial, const Error& error);
    void end_retries(job::Turn& turn, const Dial& dial, const Error& error, std::string until);
    void tell_waiting(job::Turn& turn);
    // membership.cpp
    void beat_all(job::Turn& turn, const message::Progress& own);
    void beat(job::Turn& turn, Entry& entry, const message::Progress& own);
    Entry* find(const PeerId& peer);
    const Entry* find(const PeerId& peer) const;
    Instant& at(Timer timer) { return timers_[static_cast<std::size_t>(timer)]; }
    void arm(Timer timer, Instant when) { at(timer) = std::min(at(timer), when); }
    Duration jittered(job::Turn& turn, Duration d, double part);  // d less up to `part` of it
    void soon(job::Turn& turn);  // heartbeats at once: there is news
    const Timings& times() const { return timings(config_->profile); }

    MembershipConfigRef config_;
    MemberRecord self_;
    std::uint64_t self_version_ = 1, next_version_ = 2;
    PeerMap<Member> members_;
    std::vector<SeedState> seeds_;
    std::vector<PeerId> wanted_;  // in order
    std::array<Instant, kTimerCount> timers_;
    std::vector<Change> changes_;
    std::uint64_t draws_ = 0;
    Instant last_beat_{};
    std::uint32_t tellings_ = 0;
    std::size_t hearsay_count_ = 0, linked_count_ = 0;
    bool full_warned_ = false, hearsay_warned_ = false, stopped_ = false;
};

}  // namespace gossamer::membership
