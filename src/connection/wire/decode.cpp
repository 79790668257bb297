#include <flatbuffers/flatbuffers.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "connection/wire/frame_generated.h"
#include "connection/wire/frame_types.hpp"

namespace gossamer::wire {

namespace {

// Collects "something was out of bounds" while the fields are copied, so that the code below reads
// as a list of fields. Once bad, the frame is dropped whole.
struct Reader {
    bool ok = true;
    void need(bool condition) { ok = ok && condition; }

    template <class E>
    E choice(std::uint8_t value, E last) {
        need(value <= static_cast<std::uint8_t>(last));
        return static_cast<E>(value);
    }
    // A name others compare or look up: no control characters.
    std::string name(const flatbuffers::String* s, std::size_t most) {
        if (!s) return {};
        need(s->size() <= most);
        if (!ok) return {};
        std::string out = s->str();
        need(std::none_of(out.begin(), out.end(),
                          [](unsigned char c) { return c < 0x20 || c == 0x7f; }));
        return out;
    }
    // A text for people: it will be printed, so control characters lose their power here.
    std::string text(const flatbuffers::String* s, std::size_t most = kTextMax) {
        if (!s) return {};
        need(s->size() <= most);
        if (!ok) return {};
        std::string out = s->str();
        for (char& c : out)
            if (auto u = static_cast<unsigned char>(c); (u < 0x20 && c != '\n') || u == 0x7f)
                c = '?';
        return out;
    }
    ErrorCode code(const flatbuffers::String* s) {
        const auto id = name(s, 16);
        const auto* info = find_error(id);
        return info ? info->code : ErrorCode::kLinkRejected;  // of a newer version
    }
    Bytes blob(const flatbuffers::Vector<std::uint8_t>* v, std::size_t most) {
        if (!v) return {};
        need(v->size() <= most);
        if (!ok) return {};
        const auto* p = reinterpret_cast<const std::byte*>(v->data());
        return Bytes(p, p + v->size());
    }
    std::vector<std::uint8_t> codecs(const flatbuffers::Vector<std::uint8_t>* v) {
        if (!v) return {};
        need(v->size() <= kCodecsMax);
        return ok ? std::vector<std::uint8_t>(v->begin(), v->end()) : std::vector<std::uint8_t>{};
    }
    std::array<std::byte, 32> id(const fb::Id* value) {
        std::array<std::byte, 32> out{};
        need(value != nullptr);
        if (value) std::memcpy(out.data(), value->bytes()->Data(), 32);
        return out;
    }
    Digest128 checksum(const fb::Checksum* value) {
        need(value != nullptr);
        return value ? Digest128{value->low(), value->high()} : Digest128{};
    }
    message::Progress progress(const fb::Progress* p) {
        need(p != nullptr);
        if (!p) return {};
        return {{p->run()},
                p->round(),
                choice(p->phase(), message::Phase::finished),
                p->stop(),
                p->roster()};
    }
    std::vector<message::MemberRecord> news(
        const flatbuffers::Vector<flatbuffers::Offset<fb::MemberRecord>>* records);
    std::vector<tensor::TensorSpec> tensors(
        const flatbuffers::Vector<flatbuffers::Offset<fb::Tensor>>* list);
    message::Manifest manifest(const fb::Manifest* m);

    // One per table; each fills the struct of the same name.
    Body read(const fb::Hello& t);
    Body read(const fb::Welcome& t);
    message::Message read(const fb::Join& t);
    message::Message read(const fb::RoundStart& t);
    message::Heartbeat read(const fb::Heartbeat& t) {
        message::Heartbeat m;
        m.sequence = t.sequence();
        m.incarnation = t.incarnation();
        m.busy = t.busy();
        m.echo = t.echo();
        m.echo_age_ns = t.echo_age_ns();
        m.progress = progress(t.progress());
        m.news = news(t.news());
        return m;
    }
};

std::vector<message::MemberRecord> Reader::news(
    const flatbuffers::Vector<flatbuffers::Offset<fb::MemberRecord>>* records) {
    std::vector<message::MemberRecord> out;
    if (!records) return out;
    need(records->size() <= kMemberRecordsMax);
    for (flatbuffers::uoffset_t i = 0; ok && i < records->size(); ++i) {
        const auto* r = records->Get(i);
        auto& record = out.emplace_back();
        record.id.bytes = id(r->id());
        record.role = choice(r->role(), Role::operator_);
        record.state = choice(r->state(), message::MemberState::left);
        record.incarnation = r->incarnation();
        if (!r->addresses()) continue;
        need(r->addresses()->size() <= message::kAddressesMax);
        std::vector<std::string> addresses;
        for (flatbuffers::uoffset_t k = 0; ok && k < r->addresses()->size(); ++k)
            addresses.push_back(name(r->addresses()->Get(k), message::kAddressBytesMax));
        record.addresses = addresses;
    }
    return out;
}

std::vector<tensor::TensorSpec> Reader::tensors(
    const flatbuffers::Vector<flatbuffers::Offset<fb::Tensor>>* list) {
    std::vector<tensor::TensorSpec> out;
    if (!list) return out;
    need(list->size() <= kTensorsMax);
    std::uint64_t offset = 0;
    for (flatbuffers::uoffset_t i = 0; ok && i < list->size(); ++i) {
        const auto* t = list->Get(i);
        auto& spec = out.emplace_back();
        spec.name = name(t->name(), kNameMax);
        std::uint64_t count = 1;
        if (t->shape()) {
            need(t->shape()->size() <= kRankMax);
            for (flatbuffers::uoffset_t k = 0; ok && k < t->shape()->size(); ++k) {
                const auto dimension = t->shape()->Get(k);
                spec.shape.push_back(dimension);
                need(dimension == 0 || count <= kParametersMax / dimension);
                count *= dimension;
            }
        }
        need(count <= kParametersMax - offset);
        spec.offset = offset;
        spec.count = count;
        offset += count;
    }
    std::vector<std::string_view> names;
    for (const auto& spec : out) names.push_back(spec.name);
    std::sort(names.begin(), names.end());
    need(std::adjacent_find(names.begin(), names.end()) == names.end());
    return out;
}

message::Manifest Reader::manifest(const fb::Manifest* m) {
    message::Manifest out;
    need(m != nullptr);
    if (!m) return out;
    out.run = {m->run()};
    out.kind = choice(m->kind(), message::TransferKind::update);
    out.round = m->round();
    out.epoch = m->epoch();
    out.byte_count = m->byte_count();
    out.codec = m->codec();
    out.base = choice(m->base(), message::Base::announced);
    out.base_version = m->base_version();
    out.layout = checksum(m->layout());
    out.identity.bytes = id(m->identity());
    out.sample_count = m->sample_count();
    out.loss = m->loss();
    out.payload = blob(m->payload(), message::kPayloadBytesMax);
    return out;
}

Body Reader::read(const fb::Hello& t) {
    Hello h;
    h.major = t.major();
    h.minor = t.minor();
    h.features = t.features();
    h.role = choice(t.role(), Role::operator_);
    h.codecs = codecs(t.codecs());
    h.federation = name(t.federation(), kNameMax);
    h.software = text(t.software(), kNameMax);
    return h;
}

Body Reader::read(const fb::Welcome& t) {
    Welcome w;
    w.minor = t.minor();
    w.features = t.features();
    w.role = choice(t.role(), Role::operator_);
    w.codecs = codecs(t.codecs());
    w.software = text(t.software(), kNameMax);
    return w;
}

message::Message Reader::read(const fb::Join& t) {
    message::Join m;
    m.run = {t.run()};
    m.run_name = name(t.run_name(), kNameMax);
    m.mode = choice(t.mode(), message::Mode::federated);
    m.tensors = tensors(t.tensors());
    m.settings = checksum(t.settings());
    m.sample_count = t.sample_count();
    m.round = t.round();
    m.phase = choice(t.phase(), message::Phase::finished);
    return m;
}

message::Message Reader::read(const fb::RoundStart& t) {
    message::RoundStart m;
    m.run = {t.run()};
    m.round = t.round();
    m.base.bytes = id(t.base());
    m.train = t.train();
    m.evaluate = t.evaluate();
    m.local_epochs = t.local_epochs();
    m.local_steps = t.local_steps();
    m.proximal_mu = t.proximal_mu();
    m.codec = t.codec();
    m.patience_ns = t.patience_ns();
    return m;
}

// The verified root table, or nullptr.
template <class Table>
const Table* table(ByteView body) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(body.data());
    flatbuffers::Verifier::Options bounds;
    bounds.max_depth = 16;
    bounds.max_tables = 2 * kTensorsMax;
    flatbuffers::Verifier verifier(data, body.size(), bounds);
    return verifier.VerifyBuffer<Table>(nullptr) ? flatbuffers::GetRoot<Table>(data) : nullptr;
}

std::optional<Body> read_link_frame(Reader& in, FrameType type, StreamId stream, ByteView body) {
    using T = FrameType;
    const auto get = [&]<class Table>(const Table* t, auto&& make) -> std::optional<Body> {
        if (!t) return std::nullopt;
        return Body(make(*t));
    };
    switch (type) {
        case T::hello: return get(table<fb::Hello>(body), [&](auto& t) { return in.read(t); });
        case T::welcome: return get(table<fb::Welcome>(body), [&](auto& t) { return in.read(t); });
        case T::reject:
            return get(table<fb::Reject>(body), [&](auto& t) {
                return Reject{in.choice(t.reason(), RejectReason::stopping), in.text(t.what())};
            });
        case T::goodbye:
            return get(table<fb::Goodbye>(body), [&](auto& t) {
                return Goodbye{in.code(t.code()), in.text(t.what())};
            });
        case T::offer:
            return get(table<fb::Offer>(body), [&](auto& t) {
                return Offer{stream, {t.id()}, in.manifest(t.manifest())};
            });
        case T::grant:
            return get(table<fb::Grant>(body), [&](auto& t) { return Grant{stream, t.credit()}; });
        case T::refuse:
            return get(table<fb::Refuse>(body), [&](auto& t) {
                return Refuse{stream, in.choice(t.reason(), message::RefuseReason::stopping)};
            });
        case T::withdraw:
            return get(table<fb::Withdraw>(body), [&](auto&) { return Withdraw{stream}; });
        case T::credit:
            return get(table<fb::Credit>(body), [&](auto& t) { return Credit{stream, t.limit()}; });
        case T::transfer_end:
            return get(table<fb::TransferEnd>(body), [&](auto& t) {
                return TransferEnd{stream, in.checksum(t.checksum()), {}};
            });
        case T::delivered:
            return get(table<fb::Delivered>(body), [&](auto&) { return Delivered{stream}; });
        case T::transfer_failed:
            return get(table<fb::TransferFailed>(body), [&](auto& t) {
                return TransferFailed{stream, in.code(t.code()), in.text(t.what())};
            });
        default: return std::nullopt;
    }
}

std::optional<message::Message> read_message(Reader& in, FrameType type, ByteView body) {
    using T = FrameType;
    using message::Message, message::RunId;
    const auto get = [&]<class Table>(const Table* t, auto&& make) -> std::optional<Message> {
        if (!t) return std::nullopt;
        return Message(make(*t));
    };
    switch (type) {
        case T::heartbeat:
            return get(table<fb::Heartbeat>(body), [&](auto& t) { return in.read(t); });
        case T::leave:
            return get(table<fb::Leave>(body), [&](auto& t) {
                return message::Leave{t.incarnation(), in.text(t.reason())};
            });
        case T::join: return get(table<fb::Join>(body), [&](auto& t) { return in.read(t); });
        case T::join_reply:
            return get(table<fb::JoinReply>(body), [&](auto& t) {
                return message::JoinReply{
                    {t.run()}, t.accepted(), in.code(t.code()), in.text(t.what(), kJoinTextMax)};
            });
        case T::progress:
            return get(table<fb::ProgressReport>(body),
                       [&](auto& t) { return in.progress(t.progress()); });
        case T::model_request:
            return get(table<fb::ModelRequest>(body), [&](auto& t) {
                return message::ModelRequest{{t.run()}, t.round()};
            });
        case T::round_start:
            return get(table<fb::RoundStart>(body), [&](auto& t) { return in.read(t); });
        case T::update_received:
            return get(table<fb::UpdateReceived>(body), [&](auto& t) {
                return message::UpdateReceived{{t.run()}, t.round()};
            });
        case T::commit:
            return get(table<fb::Commit>(body), [&](auto& t) {
                return message::Commit{{t.run()}, t.round()};
            });
        case T::round_closed:
            return get(table<fb::RoundClosed>(body), [&](auto& t) {
                return message::RoundClosed{
                    {t.run()}, t.round(), in.code(t.code()), in.text(t.what())};
            });
        case T::evaluation_report:
            return get(table<fb::EvaluationReport>(body), [&](auto& t) {
                return message::EvaluationReport{
                    {t.run()}, t.round(), t.loss(), t.accuracy(), t.sample_count()};
            });
        case T::run_finished:
            return get(table<fb::RunFinished>(body), [&](auto& t) {
                return message::RunFinished{
                    {t.run()}, t.round(), {in.id(t.model())}, in.text(t.reason()), t.reached()};
            });
        default: return std::nullopt;
    }
}

}  // namespace

Result<Frame> decode(const FrameHeader& header, ByteView body) {
    GOSSAMER_TRY(auto kind, kind_of(header));
    if (kind != BodyKind::table || header.length != body.size())
        return fail(ErrorCode::kFrameMalformed, "not a table frame");
    // FlatBuffers reads fields where they lie, so the start must be aligned as when it was written.
    std::unique_ptr<std::byte[]> aligned;
    if (reinterpret_cast<std::uintptr_t>(body.data()) % 16 != 0) {
        aligned = std::make_unique<std::byte[]>(body.size());
        std::memcpy(aligned.get(), body.data(), body.size());
        body = {aligned.get(), body.size()};
    }
    const auto type = static_cast<FrameType>(header.type);
    Reader in;
    std::optional<Body> out;
    if (type >= FrameType::heartbeat) {
        if (auto m = read_message(in, type, body)) out = std::move(*m);
    } else {
        out = read_link_frame(in, type, header.stream, body);
    }
    if (!out || !in.ok)
        return fail(ErrorCode::kFrameMalformed,
                    fmt::format("frame type {} of {} bytes", header.type, header.length));
    return Frame{header.lane, std::move(*out)};
}

}  // namespace gossamer::wire
