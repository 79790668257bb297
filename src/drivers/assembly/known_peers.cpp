#include "drivers/assembly/known_peers.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace gossamer::assembly {
namespace {

using storage::KnownPeer;

// As far as finding them goes: when they were heard changes all the time.
bool same(const std::vector<KnownPeer>& a, const std::vector<KnownPeer>& b) {
    return std::ranges::equal(a, b, [](const KnownPeer& x, const KnownPeer& y) {
        return std::tie(x.id, x.role, x.addresses) == std::tie(y.id, y.role, y.addresses);
    });
}

bool is_here(const message::MemberRecord& record) {
    const bool heard_of = record.incarnation != 0;  // in this life: not out of the book alone
    return heard_of && record.state <= message::MemberState::suspect;
}

}  // namespace

std::string peer_book_path(const std::string& run_folder, const PeerId& self) {
    return storage::join(run_folder, "peers-" + self.short_string() + ".book");
}

std::vector<KnownPeer> worth_knowing(const std::vector<node::MemberView>& members, WallTime now) {
    std::vector<KnownPeer> known;
    for (const auto& member : members) {
        const auto& record = member.record;
        if (member.hearsay || !is_here(record) || record.addresses.empty()) continue;
        known.push_back({record.id,
                         record.role,
                         {record.addresses.begin(), record.addresses.end()},
                         now + -member.silent_for});
    }
    if (known.size() > kKnownMax) {
        std::ranges::sort(known, [](const KnownPeer& a, const KnownPeer& b) {
            const bool leads = a.role == Role::aggregator, lead = b.role == Role::aggregator;
            return std::tie(leads, a.seen, b.id) > std::tie(lead, b.seen, a.id);
        });
        known.resize(kKnownMax);
    }
    std::ranges::sort(known, {}, &KnownPeer::id);
    return known;
}

std::vector<message::MemberRecord> to_be_found(std::vector<KnownPeer> known) {
    std::vector<message::MemberRecord> records;
    for (auto& peer : known)
        records.push_back({.id = peer.id,
                           .role = peer.role,
                           .state = message::MemberState::dead,
                           .addresses = std::move(peer.addresses)});
    return records;
}

void PeerBookWriter::know(storage::PeerBook book) {
    if (book.peers.empty()) return;
    std::lock_guard lock(mutex_);
    news_ = std::move(book);
}

Status PeerBookWriter::write(Time now, bool last) {
    if (!last && now - written_at_ < kEvery) return {};
    std::optional<storage::PeerBook> book;
    {
        std::lock_guard lock(mutex_);
        book = std::exchange(news_, std::nullopt);
    }
    if (!book || same(book->peers, written_)) return {};
    written_at_ = now;
    GOSSAMER_CHECK(book->save(disk_, path_));
    written_ = std::move(book->peers);
    return {};
}

}  // namespace gossamer::assembly
