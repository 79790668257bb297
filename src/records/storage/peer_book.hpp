// Whom this peer knows, and how often it has started: what it needs to find its federation again.
//
// Format: "GSPB", u32 version, content, XXH3 of all before it; replaced atomically.
#pragma once

#include <string>
#include <vector>

#include "gossamer/base/peer_id.hpp"
#include "gossamer/base/time.hpp"
#include "records/storage/disk.hpp"

namespace gossamer::storage {

struct KnownPeer {
    PeerId id;
    Role role = Role::peer;
    std::vector<std::string> addresses;  // host:port
    WallTime seen;                       // last sign of life
    bool operator==(const KnownPeer&) const = default;
};

class PeerBook {
public:
    static constexpr std::size_t kPeersMax = 100'000;

    // A missing file is an empty book. Errors: those of the disk; kDiskFailed when damaged.
    static Result<PeerBook> load(const Disk& disk, const std::string& path);
    Status save(Disk& disk, const std::string& path) const;  // on disk when it returns

    // The boot epoch of this start: larger than any before it, on disk when this returns. It is
    // also at least the wall time in seconds, so that losing the book does not make it go back.
    static Result<std::uint64_t> begin_epoch(Disk& disk, const std::string& path, WallTime now);

    // What the clock alone gives, for who cannot write.
    static std::uint64_t epoch_of(WallTime now);

    std::uint64_t boot_epoch = 0;
    std::vector<KnownPeer> peers;
};

}  // namespace gossamer::storage
