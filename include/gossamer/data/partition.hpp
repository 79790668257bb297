// Who holds which samples: the simulated, or agreed, division of one dataset among peers. Every
// peer computes the same division from the same seed and takes its own part.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/result.hpp"
#include "gossamer/base/rng.hpp"
#include "gossamer/data/dataset.hpp"

namespace gossamer::data {

using Partition = std::vector<std::vector<std::uint32_t>>;  // the rows of each part

enum class PartitionKind : std::uint8_t {
    whole,  // every part holds all samples: each peer has files of its own
    iid,    // a random, even division
    // Each class divided over the parts by proportions from Dir(alpha) (Yurochkin et al. 2019;
    // NIID-Bench, Li et al. 2022): parts differ in size too. Hsu et al. 2019 draw the classes of
    // parts of one size, so figures of the same alpha do not compare.
    dirichlet,
    shards,     // sorted by label, cut into shards, some to each part (McMahan et al. 2017)
    explicit_,  // rows listed in a file
};
std::string_view to_string(PartitionKind kind);

struct PartitionOptions {
    PartitionKind kind = PartitionKind::iid;
    std::size_t part_count = 1;
    double alpha = 0.5;              // dirichlet: small = few classes a part, large = like iid
    std::size_t least_samples = 10;  // iid, dirichlet: a part with fewer takes from the largest
    std::size_t shards_per_part = 2;
};

// Every sample is in exactly one part (but for kind whole), rows in ascending order.
// Not for explicit_. Errors: kDataPartition.
Result<Partition> make_partition(const Dataset& data, const PartitionOptions& options,
                                 RunSeed seed);

// A text with a line a part, of row numbers from 0 separated by blanks or commas; '#' starts a
// comment. A row may be in no part, but not in two. Errors: kDataPartition, with the line.
Result<Partition> parse_partition(ByteView text, std::size_t sample_count, const std::string& name);

}  // namespace gossamer::data
