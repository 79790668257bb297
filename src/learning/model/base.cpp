// Networks some of whose tensors are frozen: where their values come from, and what the whole is.
#include <algorithm>

#include "gossamer/base/assert.hpp"
#include "gossamer/model/network.hpp"
#include "gossamer/tensor/identity.hpp"

namespace gossamer::model {

Status Network::rest_on(const tensor::Layout& base, std::span<const float> values,
                        tensor::BufferPool& pool) {
    GOSSAMER_ASSERT(values.size() == base.parameter_count(), "one float a parameter");
    std::string wrong;
    auto take = [&](const tensor::TensorSpec& t, float* to, bool needed) {
        const auto* found = base.find(t.name);
        if (found && found->shape == t.shape) {
            std::copy_n(values.data() + found->offset, t.count, to);
            return true;
        }
        if (found || needed)
            wrong += (wrong.empty() ? "" : "; ") + t.name + ": here " +
                     tensor::shape_text(t.shape) + ", in the base " +
                     (found ? tensor::shape_text(found->shape) : "missing");
        return false;
    };
    auto first = std::make_shared<tensor::Buffer>(pool.take_floats(layout_->parameter_count()));
    from_base_.clear();
    for (const auto& t : layout_->tensors())
        from_base_.push_back(t.count > 0 && take(t, first->floats().data() + t.offset, false));
    std::shared_ptr<tensor::Buffer> frozen;
    if (frozen_layout_) {
        frozen =
            std::make_shared<tensor::Buffer>(pool.take_floats(frozen_layout_->parameter_count()));
        for (const auto& t : frozen_layout_->tensors())
            take(t, frozen->floats().data() + t.offset, true);
    }
    if (!wrong.empty())
        return fail(ErrorCode::kModelLayout,
                    "the base model does not suit " + spec_.name + ": " + wrong);
    first_ = std::move(first), frozen_ = std::move(frozen);
    if (frozen_) mark_frozen();
    return {};
}

void Network::rest_on_draws(RunSeed seed, tensor::BufferPool& pool) {
    if (!frozen_layout_) return;
    auto frozen =
        std::make_shared<tensor::Buffer>(pool.take_floats(frozen_layout_->parameter_count()));
    draw(seed, nullptr, frozen->floats().data());
    frozen_ = std::move(frozen);
    mark_frozen();
}

void Network::mark_frozen() {
    const auto identity = tensor::model_identity(
        std::as_const(*frozen_).bytes().first(frozen_layout_->byte_count()), *frozen_layout_);
    auto marked = std::make_shared<tensor::Layout>();
    for (const auto& t : layout_->tensors())
        if (t.count > 0) marked->add(t.name, t.shape);
    marked->add("frozen:" + identity.to_string().substr(0, 32), {0});
    layout_ = std::move(marked);
}

void Network::join(std::span<float> whole, std::span<const float> learnt) const {
    GOSSAMER_ASSERT(whole.size() == whole_layout_->parameter_count() &&
                        learnt.size() == layout_->parameter_count(),
                    "one float a parameter");
    for (const auto& t : whole_layout_->tensors()) {
        const auto* own = layout_->find(t.name);
        const float* from = own ? learnt.data() + own->offset
                                : frozen_values() + frozen_layout_->find(t.name)->offset;
        std::copy_n(from, t.count, whole.data() + t.offset);
    }
}

}  // namespace gossamer::model
