// A plan: everything N replicas of one network need to be trained side by side, sized once. A
// template over the machine, so that what runs on a card is what tests run on the processor.
#pragma once

#include <algorithm>
#include <memory>

#include "learning/cuda/device_data.hpp"
#include "learning/cuda/kernels.hpp"
#include "learning/cuda/outbox.hpp"
#include "learning/cuda/program.hpp"

namespace gossamer::cuda {

constexpr int kGraphSteps = 16, kGraphOps = 4096;     // in one launch of a graph, at most
constexpr std::size_t kChipBytes = 110 * 1024;        // of a block, so that two share a processor
constexpr std::uint64_t kPersistentMost = 1'000'000;  // parameters, unless asked for

template <class Machine>
class Plan {
public:
    Plan(const gossamer_cuda_network& net, const gossamer_cuda_plan_options& options,
         std::size_t shared_bytes)
        : options_(options), machine_(options.device), outbox_(machine_) {
        input_count_ = net.input_count, output_count_ = net.output_count;
        target_count_ = net.target_count, label_count_ = net.label_count;
        loss_ = static_cast<int>(net.loss);
        Optimiser& o = areas_.optimiser;
        o.kind = static_cast<int>(options.optimiser), o.nesterov = options.nesterov != 0;
        o.momentum = options.momentum, o.decay = options.decay, o.beta1 = options.beta1;
        o.beta2 = options.beta2, o.epsilon = options.epsilon, o.clip_norm = options.clip_norm;
        o.proximal_mu = options.proximal_mu;
        const bool plain = o.kind == 0 && o.momentum == 0 && o.clip_norm == 0;
        fused_ = plain && o.proximal_mu == 0 && options.unfused == 0;
        choose_mode(net, shared_bytes);
        program_ = ProgramBuilder(net, {.batch = static_cast<int>(options.batch_size),
                                        .replicas = static_cast<int>(options.replica_max),
                                        .scoring = options.scoring != 0,
                                        .persistent = persistent_,
                                        .fused = fused_,
                                        .clips = o.clip_norm > 0})
                       .build();
        allocate(net);
        if (options.scoring == 0 && !machine_.failed())
            outbox_.reserve(options.replica_max,
                            static_cast<std::uint64_t>(areas_.parameter_count));
    }
    ~Plan() {
        machine_.destroy(graph_);
        machine_.destroy(single_);
    }
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;

    const Failure& failure() const { return machine_.failure(); }
    std::uint64_t bytes() const { return machine_.bytes(); }
    bool persistent() const { return persistent_; }
    bool scoring() const { return options_.scoring != 0; }
    const Program& program() const { return program_; }
    const gossamer_cuda_plan_options& options() const { return options_; }

    // Empty, or what is wrong with a job.
    std::string fault(const gossamer_cuda_job& job) const {
        return job_fault<Machine>(job, {input_count_, output_count_, target_count_, label_count_,
                                        loss_, static_cast<std::uint64_t>(areas_.parameter_count),
                                        options_.replica_max, scoring()});
    }

    // REQUIRES fault(job).empty().
    void run(gossamer_cuda_job& job) {
        machine_.enter();
        const std::uint32_t count = job.replica_count;
        for (std::uint32_t r = 0; r < count; ++r) begin(job.replicas[r], r, job.replicas[0].start);
        const int steps = place_jobs(job);
        if (machine_.failed()) return;
        if (!persistent_) prepare_graphs(count);
        machine_.begin_timing();
        if (persistent_)
            run_persistent(count, steps);
        else
            run_graphs(count, steps);
        job.device_seconds = machine_.end_timing();
        if (!scoring()) finish(job);
        std::vector<ReplicaState> states(count);
        machine_.download(states.data(), areas_.states, count * sizeof(ReplicaState));
        if (machine_.failed()) return;
        for (std::uint32_t r = 0; r < count; ++r) {
            auto& one = job.replicas[r];
            one.loss_sum = states[r].loss_sum, one.seen = states[r].seen;
            one.correct = states[r].correct, one.counted = states[r].counted;
            one.failed_step = static_cast<std::uint32_t>(states[r].failed);
        }
    }

private:
    static constexpr std::size_t kFloat = sizeof(float);

    void choose_mode(const gossamer_cuda_network& net, std::size_t shared_bytes) {
        const std::size_t weights = (net.parameter_count + 3) / 4 * 4 * kFloat;
        weights_on_chip_ =
            kScratchBytes + weights <= std::min<std::size_t>(shared_bytes, kChipBytes);
        persistent_ = options_.mode == GOSSAMER_CUDA_PERSISTENT;
        // Norms, recurrent stages and attention keep one block too busy.
        const bool plain =
            std::none_of(net.layers, net.layers + net.layer_count,
                         [](const auto& l) { return l.kind >= GOSSAMER_CUDA_GROUP_NORM; });
        if (options_.mode == GOSSAMER_CUDA_AUTO)
            persistent_ = plain && net.parameter_count + net.frozen_count < kPersistentMost &&
                          options_.replica_max >= (weights_on_chip_ ? 8u : 128u);
        shared_bytes_ = std::min(shared_bytes, kChipBytes);
    }

    void* take(std::size_t bytes, const char* purpose) { return machine_.allocate(bytes, purpose); }
    float* take_floats(std::int64_t count, const char* purpose) {
        return static_cast<float*>(take(static_cast<std::size_t>(count) * kFloat, purpose));
    }

    void allocate(const gossamer_cuda_network& net) {
        const std::int64_t replicas = options_.replica_max;
        Areas& a = areas_;
        a.parameter_count = static_cast<int>(net.parameter_count);
        a.parameter_stride = (std::int64_t{a.parameter_count} + 31) / 32 * 32;
        a.arena_stride = program_.arena_floats;
        a.replica_count = static_cast<int>(replicas);
        const std::int64_t all = a.parameter_stride * replicas;
        const bool adam = a.optimiser.kind != 0;
        a.parameters = take_floats(all, "parameters");
        if (!scoring()) a.anchor = take_floats(all, "the parameters at the start");
        if (!scoring() && !fused_) a.gradient = take_floats(all, "gradients");
        if (!scoring() && (adam || a.optimiser.momentum != 0))
            a.first = take_floats(all, "the optimiser's state");
        if (!scoring() && adam) a.second = take_floats(all, "the optimiser's state");
        auto* frozen = take_floats(static_cast<std::int64_t>(net.frozen_count), "frozen values");
        a.frozen = frozen;
        a.arena = take_floats(program_.arena_floats * replicas, "activations");
        a.workspace =
            take_floats(std::max<std::int64_t>(program_.workspace_floats, 1), "partial sums");
        const std::size_t tickets = static_cast<std::size_t>(program_.ticket_count) + 1;
        a.tickets = static_cast<unsigned*>(take(tickets * sizeof(unsigned), "tickets"));
        const auto number = static_cast<std::size_t>(replicas);
        a.states = static_cast<ReplicaState*>(take(number * sizeof(ReplicaState), "states"));
        jobs_ = static_cast<ReplicaJob*>(take(number * sizeof(ReplicaJob), "jobs"));
        a.jobs = jobs_;
        const std::size_t pixels = program_.pixels.size() * sizeof(Pixel);
        const std::size_t windows = program_.windows.size() * sizeof(Window);
        pixels_ = static_cast<Pixel*>(take(pixels, "tables"));
        windows_ = static_cast<Window*>(take(windows, "tables"));
        if (machine_.failed()) return;
        machine_.clear(a.tickets, tickets * sizeof(unsigned));
        machine_.upload(frozen, net.frozen, net.frozen_count * kFloat);
        machine_.upload(pixels_, program_.pixels.data(), pixels);
        machine_.upload(windows_, program_.windows.data(), windows);
        for (std::size_t i = 0; i < program_.ops.size(); ++i) {
            const auto& at = program_.table_at[i];
            if (at.pixels >= 0) program_.ops[i].pixels = pixels_ + at.pixels;
            if (at.windows >= 0) program_.ops[i].windows = windows_ + at.windows;
        }
        if (persistent_) {
            const std::size_t bytes = program_.ops.size() * sizeof(Op);
            ops_ = static_cast<Op*>(take(bytes, "the list of ops"));
            if (ops_ != nullptr) machine_.upload(ops_, program_.ops.data(), bytes);
        }
        machine_.wait();
    }

    // A buffer that is made anew when it is too small.
    struct Growing {
        void* data = nullptr;
        std::size_t room = 0;
    };
    template <class T>
    T* grown(Growing& g, std::size_t count, const char* purpose) {
        const std::size_t bytes = count * sizeof(T);
        if (bytes > g.room) {
            machine_.release(g.data);
            g.data = take(bytes + bytes / 4, purpose);
            g.room = g.data != nullptr ? bytes + bytes / 4 : 0;
        }
        return static_cast<T*>(g.data);
    }

    // Those of a federated round start from one model, which crosses the bus once.
    void begin(const gossamer_cuda_replica& one, std::uint32_t r, const float* of_first) {
        const std::size_t bytes = static_cast<std::size_t>(areas_.parameter_count) * kFloat;
        const std::int64_t at = r * areas_.parameter_stride;
        if (r > 0 && one.start == of_first)
            machine_.copy(areas_.parameters + at, areas_.parameters, bytes);
        else
            machine_.upload(areas_.parameters + at, one.start, bytes);
        if (scoring()) return;
        machine_.copy(areas_.anchor + at, areas_.parameters + at, bytes);
        const auto state = [&](float* area, const float* from) {
            if (area == nullptr) return;
            if (from != nullptr)
                machine_.upload(area + at, from, bytes);
            else
                machine_.clear(area + at, bytes);
        };
        state(areas_.first, one.first), state(areas_.second, one.second);
    }

    // Rows, orders, rates and states of all replicas; returns the most steps of any.
    int place_jobs(const gossamer_cuda_job& job) {
        const std::uint32_t count = job.replica_count;
        const std::uint64_t batch = options_.batch_size;
        std::vector<ReplicaJob> jobs(count);
        std::vector<ShuffleRow> shuffles;
        std::size_t rows = 0, entries = 0;
        int steps = 0, longest = 0;
        for (std::uint32_t r = 0; r < count; ++r) {
            const auto& one = job.replicas[r];
            const auto& data = *reinterpret_cast<const DeviceData<Machine>*>(one.data);
            ReplicaJob& to = jobs[r];
            to.bytes = data.bytes, to.floats = data.floats, to.labels = data.labels;
            to.targets = data.targets, to.byte_scale = data.byte_scale;
            to.row_count = static_cast<int>(one.row_count);
            to.batch_count = static_cast<int>((one.row_count + batch - 1) / batch);
            const auto in_epoch = static_cast<std::uint64_t>(to.batch_count);
            to.first = static_cast<int>(one.first_step % in_epoch);
            to.step_count = static_cast<int>(one.step_count);
            steps = std::max(steps, to.step_count), longest = std::max(longest, to.row_count);
            if (one.rows != nullptr) rows += one.row_count;
            entries += epochs_of(to) * one.row_count;
        }
        auto* row_buffer = grown<std::uint32_t>(rows_, std::max<std::size_t>(rows, 1), "rows");
        auto* order = grown<std::uint32_t>(order_, std::max<std::size_t>(entries, 1), "orders");
        if (machine_.failed()) return 0;
        const bool on_host = longest > kShuffleMax;
        std::vector<std::uint32_t> made(on_host ? entries : 0), sent;
        std::size_t row_at = 0, order_at = 0;
        for (std::uint32_t r = 0; r < count; ++r) {
            const auto& one = job.replicas[r];
            jobs[r].order = order + order_at;
            const std::uint32_t* here = one.rows != nullptr ? row_buffer + row_at : nullptr;
            if (one.rows != nullptr) {
                sent.insert(sent.end(), one.rows, one.rows + one.row_count);
                row_at += one.row_count;
            }
            const std::uint64_t epoch = one.first_step / std::uint64_t(jobs[r].batch_count);
            for (std::size_t e = 0; e < epochs_of(jobs[r]); ++e, order_at += one.row_count) {
                constexpr std::uint32_t kShufflePurpose = 2;
                const Draws draws = draws_of(one.seed, kShufflePurpose, epoch + e, one.who);
                shuffles.push_back(
                    {here, order + order_at, draws, jobs[r].row_count, one.shuffled != 0 ? 1 : 0});
                if (!on_host) continue;
                std::uint32_t* to = made.data() + order_at;
                for (std::uint32_t i = 0; i < one.row_count; ++i)
                    to[i] = one.rows != nullptr ? one.rows[i] : i;
                if (one.shuffled != 0) shuffle_serially(to, jobs[r].row_count, draws);
            }
        }
        machine_.upload(jobs_, jobs.data(), count * sizeof(ReplicaJob));
        if (on_host) {
            machine_.upload(order, made.data(), entries * sizeof(std::uint32_t));
        } else {
            machine_.upload(row_buffer, sent.data(), sent.size() * sizeof(std::uint32_t));
            const std::size_t bytes = shuffles.size() * sizeof(ShuffleRow);
            auto* table =
                grown<ShuffleRow>(shuffles_, std::max<std::size_t>(shuffles.size(), 1), "orders");
            if (machine_.failed()) return 0;
            machine_.upload(table, shuffles.data(), bytes);
            if (!shuffles.empty())
                machine_.template launch<Shuffle>(
                    {.x = static_cast<unsigned>(shuffles.size()),
                     .threads = static_cast<unsigned>(Shuffle::kThreads),
                     .shared_bytes = shuffle_bytes(longest)},
                    {table, 0});
        }
        place_steps(job, steps);
        const std::vector<ReplicaState> states(count);
        machine_.upload(areas_.states, states.data(), count * sizeof(ReplicaState));
        return steps;
    }
    static std::size_t epochs_of(const ReplicaJob& job) {
        if (job.step_count == 0) return 0;
        return static_cast<std::size_t>((job.first + job.step_count - 1) / job.batch_count) + 1;
    }

    void place_steps(const gossamer_cuda_job& job, int steps) {
        if (scoring()) return;
        const std::size_t width = options_.replica_max;
        const auto number = static_cast<std::size_t>(std::max(steps, 1));
        const auto* before = areas_.steps;
        auto* table = grown<StepRow>(steps_, number * width, "rates");
        areas_.steps = table;
        if (before != table) drop_graphs();  // they hold the old place
        if (machine_.failed()) return;
        std::vector<StepRow> rows(number * width);
        for (std::uint32_t r = 0; r < job.replica_count; ++r)
            for (std::uint32_t s = 0; s < job.replicas[r].step_count; ++s) {
                const auto& from = job.replicas[r].steps[s];
                rows[s * width + r] = {from.rate, from.correction1, from.correction2, 0,
                                       from.draws};
            }
        machine_.upload(table, rows.data(), rows.size() * sizeof(StepRow));
    }

    void launch_step(std::uint32_t replicas) {
        for (const Op& op : program_.ops) {
            if (learns_beside(op.kind))
                machine_.fork();
            else if (op.kind == OpKind::squares || op.kind == OpKind::optimise)
                machine_.join();
            launch_op(machine_, OpArgs{op, areas_}, replicas);
            machine_.main_line();
        }
        machine_.join();
    }
    int graph_steps() const {
        return std::clamp(kGraphOps / static_cast<int>(program_.ops.size()), 1, kGraphSteps);
    }
    void drop_graphs() {
        machine_.destroy(graph_);
        machine_.destroy(single_);
        graph_replicas_ = 0;
    }
    void prepare_graphs(std::uint32_t replicas) {
        if (graph_replicas_ == replicas || machine_.failed()) return;
        drop_graphs();
        machine_.rehearse(true);
        launch_step(replicas);
        machine_.rehearse(false);
        machine_.begin_graph();
        launch_step(replicas);
        single_ = machine_.end_graph();
        machine_.begin_graph();
        for (int i = 0; i < graph_steps(); ++i) launch_step(replicas);
        graph_ = machine_.end_graph();
        if (!machine_.failed()) graph_replicas_ = replicas;
    }
    void run_graphs(std::uint32_t, int steps) {
        for (; steps >= graph_steps(); steps -= graph_steps()) machine_.play(graph_);
        for (; steps > 0; --steps) machine_.play(single_);
    }
    void run_persistent(std::uint32_t replicas, int steps) {
        Persistent p{areas_, ops_, static_cast<int>(program_.ops.size()), steps, 0, false, false};
        std::size_t shared = kScratchBytes;
        const std::size_t weights =
            (static_cast<std::size_t>(areas_.parameter_count) + 3) / 4 * 4 * kFloat;
        const std::size_t arena = static_cast<std::size_t>(program_.arena_floats) * kFloat;
        if (weights_on_chip_) p.weights_on_chip = true, shared += weights;
        if (shared + arena <= shared_bytes_) p.arena_on_chip = true, shared += arena;
        machine_.template launch<RunPersistent>(
            {.x = replicas,
             .threads = static_cast<unsigned>(RunPersistent::kThreads),
             .shared_bytes = shared},
            p);
    }

    // Encodes all, then copies what is good to its place.
    void finish(gossamer_cuda_job& job) {
        const std::int64_t stride = areas_.parameter_stride;
        const auto count = static_cast<std::uint64_t>(areas_.parameter_count);
        std::vector<OutItem> items;
        for (std::uint32_t r = 0; r < job.replica_count; ++r) {
            auto& one = job.replicas[r];
            const bool delta = one.product.kind != GOSSAMER_CUDA_WEIGHTS;
            items.push_back({areas_.parameters + r * stride,
                             delta ? areas_.anchor + r * stride : nullptr, one.product, one.out});
        }
        const auto results = outbox_.send(items, count);
        if (machine_.failed()) return;
        const std::size_t bytes = count * kFloat;
        for (std::uint32_t r = 0; r < job.replica_count; ++r) {
            auto& one = job.replicas[r];
            one.finite = results[r].bad == 0          ? GOSSAMER_CUDA_SENT
                         : results[r].not_finite != 0 ? GOSSAMER_CUDA_DIVERGED
                                                      : GOSSAMER_CUDA_BEYOND_CODEC;
            one.delta_norm = one.product.clip_norm > 0 ? results[r].norm : 0;
            one.out_bytes = results[r].bytes;
            if (one.finite != GOSSAMER_CUDA_SENT) {
                one.out_bytes = 0;
                continue;
            }
            if (areas_.first != nullptr && one.first_out != nullptr)
                machine_.download(one.first_out, areas_.first + r * stride, bytes);
            if (areas_.second != nullptr && one.second_out != nullptr)
                machine_.download(one.second_out, areas_.second + r * stride, bytes);
        }
    }

    gossamer_cuda_plan_options options_;
    Machine machine_;
    Outbox<Machine> outbox_;
    Program program_;
    Areas areas_;
    std::uint64_t input_count_ = 0, output_count_ = 0;
    std::uint32_t target_count_ = 0, label_count_ = 1;
    int loss_ = 0;
    bool fused_ = false, persistent_ = false, weights_on_chip_ = false;
    std::size_t shared_bytes_ = 0;
    ReplicaJob* jobs_ = nullptr;
    Pixel* pixels_ = nullptr;
    Window* windows_ = nullptr;
    Op* ops_ = nullptr;
    Growing rows_, order_, shuffles_, steps_;
    typename Machine::Graph graph_{}, single_{};
    std::uint32_t graph_replicas_ = 0;
};

}  // namespace gossamer::cuda
