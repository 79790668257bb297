// Mixtures of models that are made when somebody first reads them, then many at once.
//
// What one peer of a simulation mixes its neighbours mix too, and for a moment its sender may have
// to send it again: until the news of its arrival is back. So a mix job is answered with what its
// node asks of it, the distance, and its model is made at the latest when the next training needs
// it. By then the models it is made of are mostly held by mixtures alone, and all of those are made
// together, block by block of columns, each in the place of the one it replaces: every model is
// read once, and there is no second copy of them. Which are made together shows in no bit.
//
// It may be used from any thread; threads that need what is being made help to make it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "gossamer/codec/codec.hpp"
#include "gossamer/job/job.hpp"

namespace gossamer::simulation {

class Mixtures : public std::enable_shared_from_this<Mixtures> {
public:
    // Models of fewer bytes are not worth it.
    explicit Mixtures(std::size_t model_bytes_least) : model_bytes_least_(model_bytes_least) {}
    ~Mixtures();
    Mixtures(const Mixtures&) = delete;
    Mixtures& operator=(const Mixtures&) = delete;

    // Answers the job and fills its output, or takes nothing of it: then it must be mixed here and
    // now, for it is small, or encoded, or nobody has looked yet whether all its values are finite.
    std::optional<job::MixDone> promise(job::MixJob& job, const codec::CodecTable& codecs,
                                        const tensor::PoolRef& pool);

    struct Counts {
        std::uint64_t promised = 0, sets = 0, made = 0, in_place = 0;
    };
    Counts counts() const;

private:
    class Mixture;
    struct Set;
    struct Share {  // of a model, in the mixtures that wait
        const void* key = nullptr;
        std::uint32_t count = 0;   // who hold it
        Mixture* owner = nullptr;  // who replaces it
    };
    struct Input {
        tensor::Handle model;
        double weight = 0;
        Share* share = nullptr;
    };

    void make(Mixture& needed);
    void choose(Mixture& needed, std::vector<std::shared_ptr<Mixture>>& seen);
    void take_out(Mixture& needed, const std::vector<std::shared_ptr<Mixture>>& seen);
    void leave(Mixture& mixture);

    const std::size_t model_bytes_least_;
    mutable std::shared_mutex mutex_;
    std::vector<Mixture*> waiting_;  // not made, nor being made
    std::unordered_map<const void*, Share> shares_;
    Counts counts_;
};

}  // namespace gossamer::simulation
