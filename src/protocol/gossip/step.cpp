// One step of one peer: train, send, hear, mix.
#include <algorithm>
#include <cmath>

#include "protocol/gossip/gossip.hpp"

namespace gossamer::gossip {

namespace {

constexpr std::uint64_t kStepsUnderWay = 2;  // whose models are still offered

// What came out of a job; nullptr when it failed.
template <class Done>
const Done* as(const Result<job::JobDone>& done) {
    return done ? std::get_if<Done>(&*done) : nullptr;
}

bool sound(const MixWeights& weights, std::size_t count) {
    double sum = weights.self;
    for (double w : weights.heard) sum += w;
    return weights.heard.size() == count && std::abs(sum - 1) <= 1e-6;  // false for NaN
}

}  // namespace

void Gossip::go_on(job::Turn& turn) {
    serve_asked(turn);
    if (averaging_) {
        if (done_ >= averaging_end_) return close(turn);
        return begin_step(turn);
    }
    if (done_ < last_step()) return begin_step(turn);
    stage_ = Stage::ending;
    step_ = {};
    since_ = turn.now;
    timer(Timer::ending) = turn.now + patience_.cap();
    timer(Timer::step) = timer(Timer::speak) = Instant::never();
    announce(turn);
    try_average(turn);
}

void Gossip::begin_step(job::Turn& turn) {
    stage_ = Stage::working;
    step_ = {};
    step_.number = done_ + 1;
    step_.averaging = averaging_;
    const auto at = done_;  // the schedule counts from 0
    for (const auto& n : schedule_->in_neighbours(place_, at))
        step_.in.push_back({roster_->at(n.place), n.weight()});
    for (auto place : schedule_->out_neighbours(place_, at))
        step_.out.push_back(roster_->at(place));
    step_.self_weight = schedule_->self_weight(place_, at);
    inbox_.open(turn, step_.number);
    outbox_.withdraw_before(turn, step_.number - std::min(step_.number, kStepsUnderWay - 1));
    if (averaging_) {
        step_.trained = step_.outgoing = model_;
        send_outgoing(turn);
        return own_part_done(turn);
    }
    step_.trained = tensor::Model::promise(setup_->layout);
    job::TrainJob train;
    train.start = model_;
    train.round = step_.number;
    train.epochs = setup_->config.local_epochs;
    train.steps = setup_->config.local_steps;
    train.state = optimiser_;
    train.out = step_.trained;
    start(turn, Work::train, std::move(train), job::JobClass::train);
    if (contract_.sends == Sends::start) {
        step_.outgoing = model_;
        send_outgoing(turn);
    }
}

void Gossip::on_trained(job::Turn& turn, Result<job::JobDone> done, Duration elapsed) {
    if (const auto* trained = as<job::TrainDone>(done)) {
        went_well(Work::train);
        optimiser_ = trained->state;
        step_.sample_count = trained->sample_count;
        step_.loss = trained->loss;
        loss_ = trained->loss;
        patience_.step_took(elapsed);
        turn.notice(message::Trained{step_.number, trained->loss, trained->sample_count, elapsed});
    } else {
        went_wrong(turn, Work::train, done.error(),
                   "its last good model is mixed on until training succeeds again");
        step_.trained = model_;
    }
    if (contract_.sends == Sends::prepared) {
        if (auto arithmetic = setup_->algorithm->prepare(step_.view(self_))) {
            step_.outgoing = tensor::Model::promise(setup_->layout);
            job::ComputeJob compute{arithmetic->name, std::move(arithmetic->run), {}, {}};
            compute.input.models = {model_, step_.trained};
            compute.input.models.insert(compute.input.models.end(), kept_.begin(), kept_.end());
            compute.input.state = state_;
            compute.out_models = {step_.outgoing};
            compute.finite = true;
            start(turn, Work::prepare, std::move(compute), job::JobClass::normal);
            return;
        }
    }
    if (contract_.sends != Sends::start) {
        step_.outgoing = step_.trained;
        send_outgoing(turn);
    }
    own_part_done(turn);
}

void Gossip::on_prepared(job::Turn& turn, Result<job::JobDone> done) {
    if (as<job::ComputeDone>(done)) {
        went_well(Work::prepare);
    } else {
        went_wrong(turn, Work::prepare, done.error(), "the trained model is sent as it is");
        step_.outgoing = step_.trained;
    }
    send_outgoing(turn);
    own_part_done(turn);
}

void Gossip::own_part_done(job::Turn& turn) {
    if (!contract_.needs_start && !step_.averaging) {
        model_ = {};
        step_.trained = {};
    }
    step_.ready = turn.now;
    ready_at_[step_.number] = turn.now;
    while (ready_at_.size() > 8) ready_at_.erase(ready_at_.begin());
}

// ---- sending ------------------------------------------------------------------------------------

void Gossip::send_outgoing(job::Turn& turn) {
    if (step_.out.empty()) return;
    if (setup_->codec->traits().identity) {
        step_.encoded = tensor::Payload::view_of(step_.outgoing);
        return post_outgoing(turn, setup_->layout->byte_count());
    }
    step_.encoded = tensor::Payload::promise();
    job::EncodeJob encode;
    encode.model = step_.outgoing;
    encode.codec = setup_->codec->traits().wire_id;
    encode.round = step_.number;
    encode.out = step_.encoded;
    start(turn, Work::encode, std::move(encode), job::JobClass::normal);
}

void Gossip::on_encoded(job::Turn& turn, Result<job::JobDone> done) {
    if (const auto* encoded = as<job::EncodeDone>(done)) {
        went_well(Work::encode);
        return post_outgoing(turn, encoded->byte_count);
    }
    went_wrong(turn, Work::encode, done.error(), "nothing is sent; the neighbours leave us out");
}

void Gossip::post_outgoing(job::Turn& turn, std::uint64_t byte_count) {
    auto m = manifest(message::TransferKind::gossip_model, step_.number);
    m.byte_count = byte_count;
    m.codec = setup_->codec->traits().wire_id;
    m.sample_count = step_.sample_count;
    m.loss = step_.loss;
    if (!step_.averaging) {
        m.payload = setup_->algorithm->payload(step_.view(self_), state_);
        if (m.payload.size() > kPayloadBytesMax) {
            turn.notice(
                message::Warning{{ErrorCode::kFrameTooLarge,
                                  contract_.name + " made a payload of " +
                                      std::to_string(m.payload.size()) + " bytes; it was left out",
                                  "At most 16 KiB travel with a model."}});
            m.payload.clear();
        }
    }
    for (const auto& to : step_.out) {
        auto it = peers_.find(to);
        if (it == peers_.end() || it->second.state == message::MemberState::dead ||
            it->second.state == message::MemberState::left)
            continue;
        outbox_.post(turn, to, m, step_.encoded, it->second.linked);
    }
    step_.encoded = {};
}

// ---- waiting ------------------------------------------------------------------------------------

// Until when it is waited for; never: not at all.
Instant Gossip::waited_for(const PeerId& peer) const {
    const auto* view = peers_.get(peer);
    if (!view || !view->linked || view->state != message::MemberState::alive)
        return Instant::never();
    if (view->rejoining || view->progress.phase == message::Phase::finished)
        return Instant::never();
    if (view->progress.round > step_.number) return Instant::never();  // it offers this no longer
    return step_.ready + patience_.allowance(peer);
}

template <class F>
void Gossip::each_awaited(Instant now, F&& f) const {
    inbox_.each_missing(step_.number, step_.in, [&](const PeerId& peer) {
        if (const auto until = waited_for(peer); !until.is_never() && until > now) f(peer, until);
    });
}

std::vector<PeerId> Gossip::awaited(Instant now) const {
    std::vector<PeerId> out;
    each_awaited(now, [&](const PeerId& peer, Instant) { out.push_back(peer); });
    return out;
}

Instant Gossip::next_given_up(Instant now) const {
    auto next = Instant::never();
    each_awaited(now, [&](const PeerId&, Instant until) { next = std::min(next, until); });
    return next;
}

void Gossip::try_mix(job::Turn& turn) {
    while (stage_ == Stage::working && !step_.mixing && !step_.ready.is_never() &&
           !running(Work::encode)) {
        const auto next = next_given_up(turn.now);
        if (next.is_never()) {
            start_mix(turn);
            continue;
        }
        timer(Timer::step) = next;
        auto speak = step_.ready + 2 * patience_.floor();
        timer(Timer::speak) = speak > turn.now ? speak : Instant::never();
        return;
    }
}

// ---- mixing -------------------------------------------------------------------------------------

void Gossip::start_mix(job::Turn& turn) {
    step_.mixing = true;
    timer(Timer::step) = timer(Timer::speak) = Instant::never();
    auto arrivals = inbox_.take(step_.number);
    job::MixJob mix;
    std::size_t next = 0;
    for (const auto& edge : step_.in) {
        while (next < arrivals.size() && arrivals[next].from < edge.peer) ++next;
        if (next == arrivals.size() || arrivals[next].from != edge.peer) {
            step_.left_out.push_back(edge.peer);
            if (auto it = peers_.find(edge.peer);
                it != peers_.end() && it->second.linked && !it->second.rejoining)
                patience_.missed(edge.peer);
            continue;
        }
        auto& a = arrivals[next];
        patience_.arrived(a.from, a.at - step_.ready);
        step_.received_bytes += a.manifest.byte_count;
        step_.heard.push_back(
            {a.from, a.manifest.sample_count, a.manifest.loss, std::move(a.manifest.payload)});
        mix.inputs.push_back({a.from, std::move(a.payload), a.manifest.codec, 0});
    }
    auto view = step_.view(self_);
    auto weights = setup_->algorithm->Algorithm::weights(view, step_.heard, state_);
    if (!step_.averaging) {
        auto wish = setup_->algorithm->weights(view, step_.heard, state_);
        if (sound(wish, step_.heard.size())) {
            weights = std::move(wish);
        } else {
            turn.notice(message::Warning{{ErrorCode::kInternal,
                                          contract_.name + ": weights that do not sum to 1; those "
                                                           "of the topology were taken",
                                          {}}});
        }
    }
    if (mix.inputs.empty()) {
        step_.mixed = step_.outgoing;
        return combine(turn);
    }
    for (std::size_t i = 0; i < mix.inputs.size(); ++i) mix.inputs[i].weight = weights.heard[i];
    mix.self = step_.outgoing;
    mix.self_id = self_;
    mix.self_weight = weights.self;
    step_.mixed = mix.out = tensor::Model::promise(setup_->layout);
    start(turn, Work::mix, std::move(mix), job::JobClass::urgent);
}

void Gossip::on_mixed(job::Turn& turn, Result<job::JobDone> done) {
    if (const auto* mixed = as<job::MixDone>(done)) {
        step_.distance = mixed->distance;
        for (const auto& [peer, error] : mixed->refused) {
            turn.notice(message::UpdateRefused{peer, step_.number, error});
            std::erase_if(step_.heard, [&](const Received& r) { return r.from == peer; });
            step_.left_out.push_back(peer);
        }
        std::sort(step_.left_out.begin(), step_.left_out.end());
        went_well(Work::mix);
    } else {
        went_wrong(turn, Work::mix, done.error(), "the step counts without the neighbours");
        for (const auto& r : step_.heard) step_.left_out.push_back(r.from);
        std::sort(step_.left_out.begin(), step_.left_out.end());
        step_.heard.clear();
        step_.mixed = step_.outgoing;
    }
    combine(turn);
}

void Gossip::combine(job::Turn& turn) {
    std::optional<Arithmetic> arithmetic;
    if (!step_.averaging) arithmetic = setup_->algorithm->combine(step_.view(self_), step_.heard);
    if (!arithmetic) return finish_step(turn, step_.mixed);
    job::ComputeJob compute{arithmetic->name, std::move(arithmetic->run), {}, {}};
    compute.input.models = {model_, step_.trained, step_.mixed};
    compute.input.models.insert(compute.input.models.end(), kept_.begin(), kept_.end());
    compute.input.state = state_;
    step_.next = tensor::Model::promise(setup_->layout);
    step_.kept.clear();
    for (unsigned i = 0; i < contract_.kept_models; ++i)
        step_.kept.push_back(tensor::Model::promise(setup_->layout));
    compute.out_models = {step_.next};
    compute.out_models.insert(compute.out_models.end(), step_.kept.begin(), step_.kept.end());
    compute.finite = true;
    start(turn, Work::combine, std::move(compute), job::JobClass::urgent);
}

void Gossip::on_combined(job::Turn& turn, Result<job::JobDone> done) {
    if (auto* combined = as<job::ComputeDone>(done)) {
        state_ = combined->state;
        kept_ = std::move(step_.kept);
        went_well(Work::combine);
        return finish_step(turn, step_.next);
    }
    went_wrong(turn, Work::combine, done.error(), "the mean of the models stands");
    finish_step(turn, step_.mixed);
}

// What our own part of a step could not do: told once, and again after it went well in between.
void Gossip::went_wrong(job::Turn& turn, Work work, Error error, const char* instead) {
    if (!failing_.insert(work).second) return;
    error.what = "this peer, " + self_.short_string() + ", at step " +
                 std::to_string(step_.number) + ": " + error.what + "; " + instead;
    turn.notice(message::Warning{std::move(error)});
}

void Gossip::finish_step(job::Turn& turn, tensor::Model next) {
    model_ = std::move(next);
    done_ = step_.number;
    message::Mixed notice{done_, step_.distance, step_.received_bytes, {}, step_.left_out};
    for (const auto& r : step_.heard) notice.mixed.push_back(r.from);
    turn.notice(std::move(notice));
    after_step(turn);
}

// What was trained counts, though there is no time to hear the neighbours.
void Gossip::finish_alone(job::Turn& turn) {
    model_ = step_.outgoing;
    done_ = step_.number;
    message::Mixed notice{done_, 0, step_.received_bytes, {}, {}};
    for (const auto& edge : step_.in) notice.left_out.push_back(edge.peer);
    turn.notice(std::move(notice));
}

}  // namespace gossamer::gossip
