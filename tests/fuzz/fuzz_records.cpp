// What a program reads of its own folder, where a bad disk or somebody else has been: the book of
// peers, the file of commits, the record of a round. The first byte says which.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "protocol/federated/round_record.hpp"
#include "records/storage/checkpoint.hpp"
#include "records/storage/memory_disk.hpp"
#include "records/storage/peer_book.hpp"

using namespace gossamer;

namespace {

void put(storage::MemoryDisk& disk, const std::string& path, ByteView bytes) {
    const ByteView parts[] = {bytes};
    if (!disk.make_folders(storage::folder_of(path)) || !disk.replace_file(path, parts))
        std::abort();
}

// What was read must be read again when it was written again.
void read_book(ByteView bytes) {
    storage::MemoryDisk disk;
    put(disk, "run/book", bytes);
    const auto book = storage::PeerBook::load(disk, "run/book");
    if (!book) return;
    if (!book->save(disk, "run/book")) std::abort();
    const auto again = storage::PeerBook::load(disk, "run/book");
    if (!again || again->peers != book->peers || again->boot_epoch != book->boot_epoch)
        std::abort();
}

void read_commits(ByteView bytes) {
    storage::MemoryDisk disk;
    put(disk, "run/checkpoints/commits", bytes);
    auto store = storage::CheckpointStore::open(disk, "run/checkpoints");
    if (!store) std::abort();
    const auto found = store->latest(tensor::BufferPool::create(0));
    if (!found || found->checkpoint) std::abort();  // no file is there
    if (!store->save_record(1, bytes.first(std::min<std::size_t>(bytes.size(), 64)))) std::abort();
}

void read_record(ByteView bytes) {
    const auto record = federated::load_round_record(bytes);
    if (record && !(federated::load_round_record(federated::save(*record)) == *record))
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const ByteView bytes(reinterpret_cast<const std::byte*>(data + 1), size - 1);
    switch (data[0] % 3) {
        case 0: read_book(bytes); break;
        case 1: read_commits(bytes); break;
        default: read_record(bytes);
    }
    return 0;
}
