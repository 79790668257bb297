// The peer book of a running daemon: whom it meets is on disk soon after, so that it finds its
// federation again after a restart, also while its seeds are down.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "gossamer/message/message.hpp"
#include "gossamer/node/node.hpp"
#include "records/storage/peer_book.hpp"

namespace gossamer::assembly {

// Each identity has its own: daemons that share a run folder do not share whom they know.
std::string peer_book_path(const std::string& run_folder, const PeerId& self);

// What goes into the book: members that are alive or suspect and can be dialled, and that this peer
// met, now or in an earlier life: of whom others speak may not exist, and would be dialled before
// those who do. At most kKnownMax, which leaves places for others after a start; aggregators and
// those heard last first; in PeerId order.
inline constexpr std::size_t kKnownMax = 1024;
std::vector<storage::KnownPeer> worth_knowing(const std::vector<node::MemberView>& members,
                                              WallTime now);

// What a node begins with out of its book. Whoever is in it may be gone: it is dialled, but counts
// as dead until somebody hears of it.
std::vector<message::MemberRecord> to_be_found(std::vector<storage::KnownPeer> known);

// Writes the book when other peers are known, or others of their addresses: every kEvery at most,
// and at the end. An empty list is never written: with nobody left it is we who are cut off, and
// need the book most.
class PeerBookWriter {
public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr Duration kEvery = std::chrono::seconds(5);

    PeerBookWriter(storage::Disk& disk, std::string path, Time start)
        : disk_(disk), path_(std::move(path)), written_at_(start) {}

    void know(storage::PeerBook book);  // from any thread; touches no disk
    // From one thread. `last`: whatever the time. Errors: those of the disk; the next call with
    // news tries again.
    Status write(Time now, bool last);

private:
    storage::Disk& disk_;
    const std::string path_;
    std::mutex mutex_;
    std::optional<storage::PeerBook> news_;
    std::vector<storage::KnownPeer> written_;
    Time written_at_;
};

}  // namespace gossamer::assembly
