#include "records/storage/peer_book.hpp"

#include <algorithm>

#include <xxhash.h>

#include "gossamer/message/message.hpp"

namespace gossamer::storage {
namespace {

constexpr std::uint32_t kMagic = 0x42505347;  // "GSPB"
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kFileBytesMax = std::uint64_t{64} << 20;

tl::unexpected<Error> damaged(const std::string& path) {
    return fail(ErrorCode::kDiskFailed, path + " is damaged",
                "remove it; known peers are learnt again from the addresses configured");
}

std::uint64_t checksum(ByteView bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace

Result<PeerBook> PeerBook::load(const Disk& disk, const std::string& path) {
    PeerBook book;
    if (!disk.exists(path)) return book;
    GOSSAMER_TRY(auto bytes, disk.read(path, kFileBytesMax));
    if (bytes.size() < sizeof(std::uint64_t)) return damaged(path);
    auto content = ByteView(bytes).first(bytes.size() - sizeof(std::uint64_t));
    ByteReader tail(ByteView(bytes).subspan(content.size()));
    if (tail.get<std::uint64_t>() != checksum(content)) return damaged(path);
    ByteReader in(content);
    if (in.get<std::uint32_t>() != kMagic || in.get<std::uint32_t>() != kVersion)
        return damaged(path);
    book.boot_epoch = in.get<std::uint64_t>();
    auto count = in.get<std::uint32_t>();
    if (count > kPeersMax) return damaged(path);
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        KnownPeer peer;
        peer.id = in.get<PeerId>();
        auto role = in.get<std::uint8_t>();
        if (role > static_cast<std::uint8_t>(Role::operator_)) return damaged(path);
        peer.role = static_cast<Role>(role);
        peer.seen = in.get<WallTime>();
        auto addresses = in.get<std::uint8_t>();
        if (addresses > message::kAddressesMax) return damaged(path);
        for (int k = 0; k < addresses; ++k)
            peer.addresses.push_back(in.get_text(message::kAddressBytesMax));
        book.peers.push_back(std::move(peer));
    }
    if (!in.at_end()) return damaged(path);
    return book;
}

Status PeerBook::save(Disk& disk, const std::string& path) const {
    ByteWriter out;
    out.put(kMagic);
    out.put(kVersion);
    out.put(boot_epoch);
    auto count = std::min(peers.size(), kPeersMax);
    out.put(static_cast<std::uint32_t>(count));
    for (std::size_t i = 0; i < count; ++i) {
        const auto& peer = peers[i];
        out.put(peer.id);
        out.put(static_cast<std::uint8_t>(peer.role));
        out.put(peer.seen);
        auto addresses = std::min(peer.addresses.size(), message::kAddressesMax);
        out.put(static_cast<std::uint8_t>(addresses));
        for (std::size_t k = 0; k < addresses; ++k)
            out.put_text(std::string_view(peer.addresses[k]).substr(0, message::kAddressBytesMax));
    }
    out.put(checksum(out.view()));
    ByteView parts[] = {out.view()};
    return disk.replace_file(path, parts, kPrivateMode);
}

std::uint64_t PeerBook::epoch_of(WallTime now) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(now.ns, 0)) / 1'000'000'000;
}

Result<std::uint64_t> PeerBook::begin_epoch(Disk& disk, const std::string& path, WallTime now) {
    PeerBook book;
    if (auto loaded = load(disk, path)) book = std::move(*loaded);
    book.boot_epoch = std::max(book.boot_epoch + 1, epoch_of(now));
    GOSSAMER_CHECK(book.save(disk, path));
    return book.boot_epoch;
}

}  // namespace gossamer::storage
