#include "drivers/simulation/mixtures.hpp"

#include <algorithm>
#include <atomic>

#include "gossamer/codec/accumulate.hpp"
#include "gossamer/tensor/kernels.hpp"

namespace gossamer::simulation {

namespace {

constexpr std::size_t kLine = 16;  // floats
// What a thread takes of a set at once: its first block is not fetched ahead.
constexpr std::size_t kColumns = 8192;
// How many must be made in place for one that takes a buffer before its time.
constexpr std::size_t kInPlacePerOther = 4;

std::span<const float> values_of(const tensor::Handle& model) {
    const auto bytes = model.bytes();
    return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
}

}  // namespace

// Mixtures that are made together.
struct Mixtures::Set {
    std::vector<std::shared_ptr<Mixture>> members;
    std::vector<std::vector<tensor::Weighted>> rows;
    std::vector<tensor::Mean> means;
    std::vector<tensor::Handle> read_only;  // what others hold too
    tensor::PoolRef pool;
    std::size_t count = 0;  // of values
    std::atomic<std::size_t> next{0}, left{0};
    std::atomic<bool> done{false};

    // Until no columns are left; true for whoever did the last of them.
    bool work() {
        tensor::Buffer scratch;
        bool last = false;
        while (true) {
            const auto from = next.fetch_add(kColumns, std::memory_order_relaxed);
            if (from >= count) return last;
            const auto to = std::min(from + kColumns, count);
            if (means.size() == 1) {
                make_alone(from, to);
            } else {
                if (scratch.empty())
                    scratch = pool->take_floats(tensor::means_scratch(means.size()));
                tensor::weighted_means(means, from, to, scratch.floats());
            }
            last = left.fetch_sub(to - from, std::memory_order_acq_rel) == to - from;
        }
    }
    void make_alone(std::size_t from, std::size_t to) {
        auto inputs = rows.front();
        for (auto& row : inputs) row.values += from;
        tensor::weighted_mean({means.front().out + from, to - from}, inputs);
    }
};

class Mixtures::Mixture final : public tensor::Later, public std::enable_shared_from_this<Mixture> {
public:
    Mixture(std::shared_ptr<Mixtures> all, tensor::PoolRef pool, std::size_t size_bytes)
        : all_(std::move(all)), pool_(std::move(pool)), size_bytes_(size_bytes) {}
    ~Mixture() override {
        if (is_made()) return;
        std::lock_guard lock(all_->mutex_);
        all_->leave(*this);
    }

    std::size_t size_bytes() const override { return size_bytes_; }
    bool is_made() const override { return made_.load(std::memory_order_acquire); }
    tensor::Buffer& made() override {
        if (!is_made()) all_->make(*this);
        return buffer_;
    }
    void read(std::size_t first, std::span<float> out) override {
        if (!is_made()) {
            std::shared_lock lock(all_->mutex_);
            if (!set && !is_made()) {
                tensor::weighted_mean(out, rows(first));
                return;
            }
        }
        std::ranges::copy(std::as_const(made()).floats().subspan(first, out.size()), out.begin());
    }

    const Input& own() const { return inputs[self]; }
    std::vector<tensor::Weighted> rows(std::size_t first = 0) const {
        std::vector<tensor::Weighted> rows;
        for (const auto& input : inputs)
            rows.push_back({values_of(input.model).data() + first, input.weight});
        return rows;
    }

    // Under the lock of all.
    std::vector<Input> inputs;  // in PeerId order
    std::size_t self = 0;       // ours among them
    std::size_t place = 0;      // among those that wait
    bool chosen = false;        // for the set that is being put together,
    bool in_place = false;      // there to replace its own
    std::shared_ptr<Set> set;   // while it is being made

private:
    friend class Mixtures;
    const std::shared_ptr<Mixtures> all_;
    const tensor::PoolRef pool_;
    const std::size_t size_bytes_;
    tensor::Buffer buffer_;
    std::atomic<bool> made_{false};
};

Mixtures::~Mixtures() = default;

Mixtures::Counts Mixtures::counts() const {
    std::shared_lock lock(mutex_);
    return counts_;
}

std::optional<job::MixDone> Mixtures::promise(job::MixJob& job, const codec::CodecTable& codecs,
                                              const tensor::PoolRef& pool) {
    const auto size = job.self.layout()->byte_count();
    if (size < model_bytes_least_ || !job.self.known_finite()) return std::nullopt;
    for (const auto& input : job.inputs) {
        const auto codec = codecs.find(input.codec);
        const bool plain = codec && (*codec)->traits().identity;
        if (!plain || !input.payload.known_finite() || input.payload.size_bytes() != size)
            return std::nullopt;
    }
    auto mixture = std::make_shared<Mixture>(shared_from_this(), pool, size);
    std::ranges::sort(job.inputs, {}, &job::MixInput::from);
    bool mean = job.self_weight >= 0;
    for (auto& input : job.inputs) {
        if (input.from < job.self_id) ++mixture->self;
        mean = mean && input.weight >= 0;
        mixture->inputs.push_back({std::move(input.payload), input.weight});
    }
    mixture->inputs.insert(mixture->inputs.begin() + static_cast<long>(mixture->self),
                           {std::move(job.self), job.self_weight});
    // Reading them here makes them, should they be mixtures themselves.
    const auto rows = mixture->rows();
    job::MixDone done;
    done.distance =
        codec::mix_distance(rows, mixture->self, size / sizeof(float), job.out.layout().get());
    {
        std::lock_guard lock(mutex_);
        ++counts_.promised;
        for (auto& input : mixture->inputs) {
            input.share = &shares_[input.model.key()];
            input.share->key = input.model.key();
            ++input.share->count;
        }
        mixture->own().share->owner = mixture.get();
        mixture->place = waiting_.size();
        waiting_.push_back(mixture.get());
    }
    // A mean of finite values is finite; with other weights it may be too large.
    job.out.fill_later(mixture, mean ? tensor::Values::finite : tensor::Values::unknown);
    return done;
}

// ---- making them --------------------------------------------------------------------------------

void Mixtures::make(Mixture& needed) {
    std::vector<std::shared_ptr<Mixture>> seen;  // outlives the lock: the last holder leaves
    std::shared_ptr<Set> set;
    {
        std::lock_guard lock(mutex_);
        if (needed.is_made()) return;
        if (!needed.set) {
            choose(needed, seen);
            take_out(needed, seen);
        }
        set = needed.set;
    }
    if (set->work()) {
        {
            std::lock_guard lock(mutex_);
            for (auto& member : set->members) {
                member->set = nullptr;
                member->made_.store(true, std::memory_order_release);
            }
        }
        set->read_only.clear();
        set->members.clear();
        set->done = true;
        set->done.notify_all();
    }
    set->done.wait(false);
}

// Those whose own model is held by such mixtures alone are made in its place. What others read of
// it is needed no longer when those are made at the same time, each in a buffer of its own; where
// that would be many, the model stays instead, and with it what is made of it.
void Mixtures::choose(Mixture& needed, std::vector<std::shared_ptr<Mixture>>& seen) {
    const auto replaceable = [](const Mixture& mixture) {
        const auto& own = mixture.own();
        return own.share->owner == &mixture && own.model.held_by(own.share->count);
    };
    needed.chosen = true;
    needed.in_place = replaceable(needed);
    seen.push_back(needed.shared_from_this());
    if (!needed.in_place) return;
    std::vector<Mixture*> left_out, others;
    std::size_t in_place = 1;
    for (auto* mixture : waiting_) {
        if (mixture == &needed) continue;
        auto held = mixture->weak_from_this().lock();  // null: it waits for the lock to leave
        mixture->chosen = mixture->in_place = held && replaceable(*mixture);
        in_place += mixture->in_place;
        if (!held)
            left_out.push_back(mixture);
        else if (!mixture->in_place)
            others.push_back(mixture);
        if (held) seen.push_back(std::move(held));
    }
    std::erase_if(others, [&](const Mixture* mixture) {
        return std::ranges::none_of(mixture->inputs, [](const Input& input) {
            return input.share->owner != nullptr && input.share->owner->in_place;
        });
    });
    if (others.size() <= in_place / kInPlacePerOther)
        for (auto* mixture : others) mixture->chosen = true;
    else
        left_out.insert(left_out.end(), others.begin(), others.end());
    while (!left_out.empty()) {  // what it holds is still needed afterwards
        auto* mixture = left_out.back();
        left_out.pop_back();
        for (const auto& input : mixture->inputs) {
            auto* owner = input.share->owner;
            if (owner == nullptr || !std::exchange(owner->in_place, false) || owner == &needed)
                continue;
            owner->chosen = false;
            left_out.push_back(owner);
        }
    }
}

void Mixtures::take_out(Mixture& needed, const std::vector<std::shared_ptr<Mixture>>& seen) {
    auto set = std::make_shared<Set>();
    for (const auto& mixture : seen)
        if (mixture->chosen) set->members.push_back(mixture);
    set->pool = needed.pool_;
    set->count = needed.size_bytes_ / sizeof(float);
    set->left = set->count;
    ++counts_.sets;
    counts_.made += set->members.size();
    for (auto& member : set->members) {
        member->set = set;
        set->rows.push_back(member->rows());
    }
    for (auto& member : set->members)  // last it is held by who replaces it alone
        for (auto& input : member->inputs) {
            const auto* owner = input.share->owner;
            if (owner == nullptr || !owner->in_place)
                set->read_only.push_back(std::move(input.model));
            else if (owner != member.get())
                input.model = {};
        }
    for (std::size_t m = 0; m < set->members.size(); ++m) {
        auto& member = *set->members[m];
        if (member.in_place) {
            member.buffer_ = member.inputs[member.self].model.take();
            ++counts_.in_place;
        } else {
            member.buffer_ = member.pool_->take(member.size_bytes_);
        }
        set->means.push_back({member.buffer_.floats().data(), set->rows[m]});
    }
    for (auto& member : set->members) leave(*member);
}

void Mixtures::leave(Mixture& mixture) {
    for (auto& input : mixture.inputs) {
        if (input.share->owner == &mixture) input.share->owner = nullptr;
        if (--input.share->count == 0) shares_.erase(input.share->key);
    }
    mixture.inputs.clear();
    waiting_[mixture.place] = waiting_.back();
    waiting_[mixture.place]->place = mixture.place;
    waiting_.pop_back();
}

}  // namespace gossamer::simulation
