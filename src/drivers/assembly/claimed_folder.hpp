// Which folder a daemon writes into, and that nobody else does meanwhile.
//
// Several daemons may share one `run.folder`, also with runs of one name: an aggregator and peers
// started in one directory, or one daemon started twice. Each needs a folder of its own, since
// checkpoints, history and summary have one writer. So a folder is gone on in only by the peer that
// its summary.json names, and only while its `lock` is free.
#pragma once

#include <string>

#include "gossamer/base/peer_id.hpp"
#include "records/storage/run_folder.hpp"

namespace gossamer::assembly {

struct FolderClaim {
    std::string root, run;  // run.folder, run.name
    PeerId me;
    bool resume = true;
};

struct ClaimedFolder {
    storage::RunFolder folder;
    storage::FileLockRef lock;  // keep it as long as anything writes there
    std::string remark;         // for the log: what was passed over, and why; mostly empty
};

// The newest folder of this run that is ours and free, when that run is not over and `resume` is
// set; else a new one. Where a lock cannot be had at all, such as on a full disk, the folder is
// taken without, and the remark says so: losing a run's progress would be worse than the small risk
// that a second daemon has our identity. Errors: those of RunFolder::create.
Result<ClaimedFolder> claim_folder(storage::Disk& disk, const FolderClaim& claim);

}  // namespace gossamer::assembly
