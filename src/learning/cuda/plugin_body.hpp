// The functions of plugin.h over a Machine: what they are given is checked here, before it runs.
#pragma once

#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <tuple>
#include <utility>

#include "learning/cuda/plan.hpp"

namespace gossamer::cuda {

template <class Machine>
struct Functions {
    static std::int32_t fail(gossamer_cuda_error* error, int code, const std::string& what) {
        if (error == nullptr) return code;
        error->code = code;
        std::snprintf(error->what, sizeof error->what, "%s", what.c_str());
        return code;
    }
    static std::int32_t told(gossamer_cuda_error* error, const Failure& f) {
        if (error != nullptr && f.code == GOSSAMER_CUDA_OK) error->code = 0, error->what[0] = 0;
        return f.code == GOSSAMER_CUDA_OK ? GOSSAMER_CUDA_OK : fail(error, f.code, f.what);
    }
    template <class T>
    static bool sized(const T* s) {
        return s != nullptr && s->size >= sizeof(T);
    }
    // No exception of this library may pass into a program of another compiler: what the machine
    // itself lacks is told like all else. Each function's last parameter takes the error.
    template <auto Function>
    struct Guarded;
    template <class... Args, std::int32_t (*Function)(Args...)>
    struct Guarded<Function> {
        static std::int32_t call(Args... args) noexcept {
            gossamer_cuda_error* error = std::get<sizeof...(Args) - 1>(std::tie(args...));
            try {
                return Function(args...);
            } catch (const std::bad_alloc&) {
                return fail(error, GOSSAMER_CUDA_MEMORY,
                            "this machine, not the card, lacks memory");
            } catch (const std::exception& e) {
                return fail(error, GOSSAMER_CUDA_FAILED, e.what());
            }
        }
    };
    static constexpr const char* kSmall = "a struct of another version of this interface";

    static std::int32_t device_count(std::int32_t* count, gossamer_cuda_error* error) {
        int devices = 0;
        const Failure f = Machine::count(devices);
        *count = devices;
        return told(error, f);
    }
    static std::int32_t describe(std::int32_t device, gossamer_cuda_device* d,
                                 gossamer_cuda_error* error) {
        if (!sized(d)) return fail(error, GOSSAMER_CUDA_ARGUMENT, kSmall);
        d->device = device;
        return told(error, Machine::describe(device, *d));
    }

    static std::int32_t data_create(std::int32_t device, const gossamer_cuda_data_description* d,
                                    gossamer_cuda_data** to, gossamer_cuda_error* error) {
        if (!sized(d)) return fail(error, GOSSAMER_CUDA_ARGUMENT, kSmall);
        if (d->sample_count == 0 || d->feature_count == 0 || d->sample_count > 0xffffffffu ||
            d->feature_count > (1u << 30) || (d->bytes == nullptr) == (d->floats == nullptr) ||
            (d->targets == nullptr) != (d->target_count == 0))
            return fail(error, GOSSAMER_CUDA_ARGUMENT, "the sizes of a data set do not agree");
        if (d->labels != nullptr && (d->label_count == 0 || d->label_count > (1u << 24)))
            return fail(error, GOSSAMER_CUDA_ARGUMENT, "a data set has labels, but none a sample");
        const std::uint64_t labels = d->sample_count * d->label_count;
        const std::int32_t least = d->label_count > 1 ? -1 : 0;
        for (std::uint64_t i = 0; d->labels != nullptr && i < labels; ++i)
            if (d->labels[i] < least || d->labels[i] >= static_cast<std::int64_t>(d->class_count))
                return fail(error, GOSSAMER_CUDA_ARGUMENT, "a label is out of range");
        auto data = std::make_unique<DeviceData<Machine>>(device, *d);
        if (data->machine.failed()) return told(error, data->machine.failure());
        *to = reinterpret_cast<gossamer_cuda_data*>(data.release());
        return told(error, {});
    }
    static void data_destroy(gossamer_cuda_data* data) {
        delete reinterpret_cast<DeviceData<Machine>*>(data);
    }

    static std::int32_t plan_create(const gossamer_cuda_network* net,
                                    const gossamer_cuda_plan_options* options,
                                    gossamer_cuda_plan** to, gossamer_cuda_error* error) {
        if (!sized(net) || !sized(options)) return fail(error, GOSSAMER_CUDA_ARGUMENT, kSmall);
        if (options->batch_size == 0 || options->batch_size > 65536 || options->replica_max == 0 ||
            options->replica_max > 65535 || options->optimiser > 2 || options->mode > 2)
            return fail(error, GOSSAMER_CUDA_ARGUMENT, "an option of a plan is out of range");
        const std::string fault = network_fault(*net, options->batch_size);
        if (!fault.empty()) return fail(error, GOSSAMER_CUDA_MODEL, fault);
        gossamer_cuda_device device{};
        device.size = sizeof device;
        const Failure f = Machine::describe(options->device, device);
        if (f.code != GOSSAMER_CUDA_OK) return told(error, f);
        auto plan = std::make_unique<Plan<Machine>>(*net, *options, device.shared_bytes);
        if (plan->failure().code != GOSSAMER_CUDA_OK) return told(error, plan->failure());
        *to = reinterpret_cast<gossamer_cuda_plan*>(plan.release());
        return told(error, {});
    }
    static void plan_destroy(gossamer_cuda_plan* plan) {
        delete reinterpret_cast<Plan<Machine>*>(plan);
    }
    static std::uint64_t plan_bytes(const gossamer_cuda_plan* plan) {
        return reinterpret_cast<const Plan<Machine>*>(plan)->bytes();
    }
    static std::uint32_t plan_mode(const gossamer_cuda_plan* plan) {
        return reinterpret_cast<const Plan<Machine>*>(plan)->persistent() ? GOSSAMER_CUDA_PERSISTENT
                                                                          : GOSSAMER_CUDA_GRAPH;
    }
    static std::int32_t run(gossamer_cuda_plan* plan, gossamer_cuda_job* job, bool scoring,
                            gossamer_cuda_error* error) {
        auto& p = *reinterpret_cast<Plan<Machine>*>(plan);
        if (!sized(job) || job->replicas == nullptr)
            return fail(error, GOSSAMER_CUDA_ARGUMENT, kSmall);
        if (p.scoring() != scoring)
            return fail(error, GOSSAMER_CUDA_ARGUMENT, "the plan was made for something else");
        const std::string fault = p.fault(*job);
        if (!fault.empty()) return fail(error, GOSSAMER_CUDA_ARGUMENT, fault);
        p.run(*job);
        return told(error, p.failure());
    }
    static std::int32_t train(gossamer_cuda_plan* plan, gossamer_cuda_job* job,
                              gossamer_cuda_error* error) {
        return run(plan, job, false, error);
    }
    static std::int32_t score(gossamer_cuda_plan* plan, gossamer_cuda_job* job,
                              gossamer_cuda_error* error) {
        return run(plan, job, true, error);
    }

    struct Vector {
        Vector(int device, std::uint64_t n) : machine(device), outbox(machine), count(n) {
            values = static_cast<float*>(machine.allocate(n * sizeof(float), "a vector"));
        }
        Machine machine;
        Outbox<Machine> outbox;
        std::uint64_t count;
        float* values;
        double* sums = nullptr;  // of mixes of more vectors than one kernel takes
    };
    static Vector& of(gossamer_cuda_vector* v) { return *reinterpret_cast<Vector*>(v); }
    static const Vector& of(const gossamer_cuda_vector* v) {
        return *reinterpret_cast<const Vector*>(v);
    }

    static std::int32_t vector_create(std::int32_t device, std::uint64_t count,
                                      gossamer_cuda_vector** to, gossamer_cuda_error* error) {
        if (count == 0 || count > (std::uint64_t{1} << 36))
            return fail(error, GOSSAMER_CUDA_ARGUMENT, "a vector needs values");
        auto v = std::make_unique<Vector>(device, count);
        if (v->machine.failed()) return told(error, v->machine.failure());
        *to = reinterpret_cast<gossamer_cuda_vector*>(v.release());
        return told(error, {});
    }
    static void vector_destroy(gossamer_cuda_vector* v) { delete reinterpret_cast<Vector*>(v); }
    static std::int32_t vector_write(gossamer_cuda_vector* v, const float* from,
                                     gossamer_cuda_error* error) {
        of(v).machine.enter();
        of(v).machine.upload(of(v).values, from, of(v).count * sizeof(float));
        of(v).machine.wait();
        return told(error, of(v).machine.failure());
    }
    static std::int32_t vector_read(const gossamer_cuda_vector* v, float* to,
                                    gossamer_cuda_error* error) {
        auto& vector = const_cast<Vector&>(of(v));  // its ring is used; its values stay
        vector.machine.enter();
        vector.machine.download(to, vector.values, vector.count * sizeof(float));
        return told(error, vector.machine.failure());
    }
    static std::int32_t vector_copy(gossamer_cuda_vector* out, const gossamer_cuda_vector* in,
                                    double* seconds, gossamer_cuda_error* error) {
        Vector& to = of(out);
        if (of(in).count != to.count)
            return fail(error, GOSSAMER_CUDA_ARGUMENT, "vectors differ in size");
        to.machine.enter();
        if (seconds != nullptr) to.machine.begin_timing();
        to.machine.copy(to.values, of(in).values, to.count * sizeof(float));
        if (seconds != nullptr) *seconds = to.machine.end_timing();
        to.machine.wait();
        return told(error, to.machine.failure());
    }
    static std::int32_t mix(gossamer_cuda_vector* out, const gossamer_cuda_vector* const* inputs,
                            const double* weights, std::uint32_t input_count, double* seconds,
                            gossamer_cuda_error* error) {
        Vector& to = of(out);
        if (input_count == 0 || input_count > 100'000)
            return fail(error, GOSSAMER_CUDA_ARGUMENT, "nothing to mix");
        for (std::uint32_t i = 0; i < input_count; ++i)
            if (of(inputs[i]).count != to.count)
                return fail(error, GOSSAMER_CUDA_ARGUMENT, "vectors differ in size");
        to.machine.enter();
        if (input_count > kMixMax && to.sums == nullptr)
            to.sums = static_cast<double*>(
                to.machine.allocate(to.count * sizeof(double), "sums of a mix"));
        constexpr std::uint64_t kEach = std::uint64_t{Mix::kThreads} * Mix::kFours * 4;
        if (seconds != nullptr) to.machine.begin_timing();
        for (std::uint32_t at = 0; at < input_count && !to.machine.failed(); at += kMixMax) {
            MixArgs args{};
            args.input_count = static_cast<int>(std::min<std::uint32_t>(kMixMax, input_count - at));
            for (int k = 0; k < args.input_count; ++k) {
                args.inputs[k] = of(inputs[at + static_cast<std::uint32_t>(k)]).values;
                args.weights[k] = weights[at + static_cast<std::uint32_t>(k)];
            }
            args.out = to.values, args.count = static_cast<std::int64_t>(to.count);
            args.before = at > 0 ? to.sums : nullptr;
            args.after = at + kMixMax < input_count ? to.sums : nullptr;
            to.machine.template launch<Mix>(
                {.x = static_cast<unsigned>((to.count + kEach - 1) / kEach),
                 .threads = Mix::kThreads},
                args);
        }
        if (seconds != nullptr) *seconds = to.machine.end_timing();
        to.machine.wait();
        return told(error, to.machine.failure());
    }
    static std::int32_t encode(const gossamer_cuda_vector* weights,
                               const gossamer_cuda_vector* start,
                               const gossamer_cuda_product* product, void* out,
                               std::uint64_t out_room_bytes, std::uint64_t* out_bytes,
                               double* seconds, gossamer_cuda_error* error) {
        auto& v = const_cast<Vector&>(of(weights));
        if (start != nullptr && of(start).count != v.count)
            return fail(error, GOSSAMER_CUDA_ARGUMENT, "vectors differ in size");
        if (product->kind > GOSSAMER_CUDA_TOP || out == nullptr ||
            (product->kind == GOSSAMER_CUDA_TOP &&
             (product->top_count == 0 || product->top_count > v.count || v.count >> 32 != 0)))
            return fail(error, GOSSAMER_CUDA_ARGUMENT, "no such product");
        if (out_room_bytes <
            encoded_bytes(static_cast<int>(product->kind), v.count, product->top_count))
            return fail(error, GOSSAMER_CUDA_ARGUMENT, "too little room for the product");
        v.machine.enter();
        const float* from = start != nullptr ? of(start).values : nullptr;
        const auto results = v.outbox.send({{v.values, from, *product, out}}, v.count, seconds);
        if (v.machine.failed()) return told(error, v.machine.failure());
        *out_bytes = results[0].bytes;
        if (results[0].bad == 0) return told(error, {});
        return fail(error, GOSSAMER_CUDA_NOT_FINITE,
                    "values are not finite, or beyond the range of the encoding");
    }

    static constexpr gossamer_cuda_interface table() {
        return {GOSSAMER_CUDA_VERSION,
                sizeof(gossamer_cuda_interface),
                Guarded<device_count>::call,
                Guarded<describe>::call,
                Guarded<data_create>::call,
                data_destroy,
                Guarded<plan_create>::call,
                plan_destroy,
                plan_bytes,
                plan_mode,
                Guarded<train>::call,
                Guarded<score>::call,
                Guarded<vector_create>::call,
                vector_destroy,
                Guarded<vector_write>::call,
                Guarded<vector_read>::call,
                Guarded<vector_copy>::call,
                Guarded<mix>::call,
                Guarded<encode>::call};
    }
};

}  // namespace gossamer::cuda
