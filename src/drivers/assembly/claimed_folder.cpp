#include "drivers/assembly/claimed_folder.hpp"

#include <algorithm>
#include <optional>

#include "records/telemetry/event.hpp"

namespace gossamer::assembly {
namespace {

bool is_over(const storage::RunOverview& run) { return run.state == "finished"; }

// Why this folder is not ours; empty when it is.
std::string whose(const storage::RunOverview& run, const FolderClaim& claim) {
    const auto recorded = run.fact("peer"), name = run.fact("run");
    // Names that differ in what no file's name holds share their folders' names.
    if (!name.empty() && name != telemetry::harmless(claim.run)) return "it is of run " + name;
    if (recorded == claim.me.to_string()) return {};
    if (auto other = PeerId::parse(recorded)) return "it belongs to peer " + other->short_string();
    return "it does not say whose it is";
}

ClaimedFolder take(storage::RunFolder folder, Result<storage::FileLockRef> lock) {
    ClaimedFolder claimed{std::move(folder), {}, {}};
    if (lock)
        claimed.lock = std::move(*lock);
    else
        claimed.remark =
            lock.error().to_string() + "; " + claimed.folder.path() + " is used without a lock";
    return claimed;
}

struct PassedOver {
    std::string folder, why;  // the newest such
};

bool holds_checkpoint(const storage::Disk& disk, const storage::RunFolder& folder) {
    const auto names = disk.list(folder.checkpoints());
    return names && std::ranges::any_of(*names, [](const std::string& name) {
               return name.ends_with(".safetensors");
           });
}

// Our newest folder that is free and holds a checkpoint, or else the newest that is free: a start
// that failed leaves one of which nothing can be gone on with. Empty when the run is over, or there
// is none.
std::optional<ClaimedFolder> earlier(storage::Disk& disk, const FolderClaim& claim,
                                     std::optional<PassedOver>& passed_over) {
    auto pass_over = [&](const storage::RunFolder& folder, std::string why) {
        if (!passed_over) passed_over = PassedOver{folder.path(), std::move(why)};
    };
    std::optional<ClaimedFolder> without;
    for (auto& folder : storage::RunFolder::all(disk, claim.root, claim.run)) {
        const auto run = storage::overview(disk, folder);
        if (auto why = whose(run, claim); !why.empty()) {
            pass_over(folder, std::move(why));
            continue;
        }
        if (is_over(run)) break;
        auto lock = disk.lock(folder.lock());
        if (lock && !*lock) {
            pass_over(folder, "another process writes there");
            continue;
        }
        // Whoever held the lock until now may have ended the run.
        if (is_over(storage::overview(disk, folder))) break;
        const bool to_go_on_with = holds_checkpoint(disk, folder);
        if (!to_go_on_with && without) continue;
        auto taken = take(std::move(folder), std::move(lock));
        if (to_go_on_with) return taken;
        without = std::move(taken);
    }
    return without;
}

}  // namespace

Result<ClaimedFolder> claim_folder(storage::Disk& disk, const FolderClaim& claim) {
    std::optional<PassedOver> passed_over;
    std::optional<ClaimedFolder> claimed;
    if (claim.resume) claimed = earlier(disk, claim, passed_over);
    if (!claimed) {
        GOSSAMER_TRY(auto folder, storage::RunFolder::create(disk, claim.root, claim.run));
        auto lock = disk.lock(folder.lock());
        claimed = take(std::move(folder), std::move(lock));
    }
    if (passed_over) {
        auto text = passed_over->folder + " is passed over, as " + passed_over->why +
                    "; this daemon writes into " + claimed->folder.path();
        claimed->remark = claimed->remark.empty() ? text : text + ". " + claimed->remark;
    }
    return std::move(*claimed);
}

}  // namespace gossamer::assembly
