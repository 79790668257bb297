#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "connection/wire/frame_generated.h"
#include "connection/wire/frame_types.hpp"

namespace gossamer::wire {

namespace {

using Builder = flatbuffers::FlatBufferBuilder;

const std::uint8_t* raw(const std::byte* p) { return reinterpret_cast<const std::uint8_t*>(p); }

fb::Id id_of(const std::array<std::byte, 32>& bytes) {
    return fb::Id(flatbuffers::span<const std::uint8_t, 32>(raw(bytes.data()), 32));
}
fb::Checksum checksum_of(const Digest128& d) { return fb::Checksum(d.low, d.high); }
fb::Progress progress_of(const message::Progress& p) {
    return fb::Progress(p.run.value, p.round, static_cast<std::uint8_t>(p.phase), p.stop, p.roster);
}
// Texts for people are cut where they exceed their bound.
auto text(Builder& b, std::string_view s, std::size_t most = kTextMax) {
    const auto kept = cut_text(s, most);
    return b.CreateString(kept.data(), kept.size());
}
// Codes travel as their stable ids: the numbers of the enumeration move when codes are added.
auto code(Builder& b, ErrorCode c) {
    auto id = describe(c).id;
    return b.CreateString(id.data(), id.size());
}
auto blob(Builder& b, ByteView bytes) { return b.CreateVector(raw(bytes.data()), bytes.size()); }

auto news_of(Builder& b, const std::vector<message::MemberRecord>& news) {
    std::vector<flatbuffers::Offset<fb::MemberRecord>> records;
    records.reserve(news.size());
    for (const auto& r : news) {
        auto id = id_of(r.id.bytes);
        std::vector<flatbuffers::Offset<flatbuffers::String>> addresses;
        for (const auto address : r.addresses)
            addresses.push_back(b.CreateString(address.data(), address.size()));
        records.push_back(fb::CreateMemberRecord(b, &id, static_cast<std::uint8_t>(r.role),
                                                 static_cast<std::uint8_t>(r.state), r.incarnation,
                                                 b.CreateVector(addresses)));
    }
    return b.CreateVector(records);
}

auto tensors_of(Builder& b, const std::vector<tensor::TensorSpec>& specs) {
    std::vector<flatbuffers::Offset<fb::Tensor>> tensors;
    tensors.reserve(specs.size());
    for (const auto& spec : specs) {
        auto name = b.CreateString(spec.name);
        tensors.push_back(fb::CreateTensor(b, name, b.CreateVector(spec.shape)));
    }
    return b.CreateVector(tensors);
}

// Writes one body into the builder; the overload is chosen by the type of the frame.
struct BodyWriter {
    Builder& b;
    StreamId stream = 0;
    std::uint16_t run = 0;

    template <class Table>
    void root(flatbuffers::Offset<Table> table) {
        b.Finish(table);
    }

    void operator()(const Hello& f) {
        auto codecs = b.CreateVector(f.codecs);
        auto federation = b.CreateString(f.federation);
        auto software = text(b, f.software, kNameMax);
        root(fb::CreateHello(b, f.major, f.minor, f.features, static_cast<std::uint8_t>(f.role),
                             codecs, federation, software));
    }
    void operator()(const Welcome& f) {
        auto codecs = b.CreateVector(f.codecs);
        auto software = text(b, f.software, kNameMax);
        root(fb::CreateWelcome(b, f.minor, f.features, static_cast<std::uint8_t>(f.role), codecs,
                               software));
    }
    void operator()(const Reject& f) {
        auto what = text(b, f.what);
        root(fb::CreateReject(b, static_cast<std::uint8_t>(f.reason), what));
    }
    void operator()(const Goodbye& f) {
        auto c = code(b, f.code);
        root(fb::CreateGoodbye(b, c, text(b, f.what)));
    }
    void operator()(const Offer& f) {
        stream = f.stream;
        const auto& m = f.manifest;
        auto layout = checksum_of(m.layout);
        auto identity = id_of(m.identity.bytes);
        auto payload = blob(b, m.payload);
        auto manifest =
            fb::CreateManifest(b, m.run.value, static_cast<std::uint8_t>(m.kind), m.round, m.epoch,
                               m.byte_count, m.codec, static_cast<std::uint8_t>(m.base),
                               m.base_version, &layout, &identity, m.sample_count, m.loss, payload);
        root(fb::CreateOffer(b, f.id.value, manifest));
    }
    void operator()(const Grant& f) { stream = f.stream, root(fb::CreateGrant(b, f.credit)); }
    void operator()(const Refuse& f) {
        stream = f.stream;
        root(fb::CreateRefuse(b, static_cast<std::uint8_t>(f.reason)));
    }
    void operator()(const Withdraw& f) { stream = f.stream, root(fb::CreateWithdraw(b)); }
    void operator()(const Credit& f) { stream = f.stream, root(fb::CreateCredit(b, f.limit)); }
    void operator()(const Chunk&) {}  // has no table
    void operator()(const TransferEnd& f) {
        stream = f.stream;
        auto checksum = checksum_of(f.checksum);
        root(fb::CreateTransferEnd(b, &checksum));
    }
    void operator()(const Delivered& f) { stream = f.stream, root(fb::CreateDelivered(b)); }
    void operator()(const TransferFailed& f) {
        stream = f.stream;
        auto c = code(b, f.code);
        root(fb::CreateTransferFailed(b, c, text(b, f.what)));
    }
    void operator()(const message::Message& m) {
        run = 1;
        std::visit(*this, m);
    }

    void operator()(const message::Heartbeat& m) {
        auto progress = progress_of(m.progress);
        auto news = news_of(b, m.news);
        root(fb::CreateHeartbeat(b, m.sequence, m.incarnation, m.busy, &progress, news, m.echo,
                                 m.echo_age_ns));
    }
    void operator()(const message::Leave& m) {
        auto reason = text(b, m.reason);
        root(fb::CreateLeave(b, m.incarnation, reason));
    }
    void operator()(const message::Join& m) {
        auto name = b.CreateString(m.run_name);
        auto tensors = tensors_of(b, m.tensors);
        auto settings = checksum_of(m.settings);
        root(fb::CreateJoin(b, m.run.value, name, static_cast<std::uint8_t>(m.mode), tensors,
                            &settings, m.sample_count, m.round,
                            static_cast<std::uint8_t>(m.phase)));
    }
    void operator()(const message::JoinReply& m) {
        auto c = code(b, m.code);
        auto what = text(b, m.what, kJoinTextMax);
        root(fb::CreateJoinReply(b, m.run.value, m.accepted, c, what));
    }
    void operator()(const message::Progress& m) {
        auto progress = progress_of(m);
        root(fb::CreateProgressReport(b, &progress));
    }
    void operator()(const message::ModelRequest& m) {
        root(fb::CreateModelRequest(b, m.run.value, m.round));
    }
    void operator()(const message::RoundStart& m) {
        auto base = id_of(m.base.bytes);
        root(fb::CreateRoundStart(b, m.run.value, m.round, &base, m.train, m.evaluate,
                                  m.local_epochs, m.local_steps, m.proximal_mu, m.codec,
                                  m.patience_ns));
    }
    void operator()(const message::UpdateReceived& m) {
        root(fb::CreateUpdateReceived(b, m.run.value, m.round));
    }
    void operator()(const message::Commit& m) { root(fb::CreateCommit(b, m.run.value, m.round)); }
    void operator()(const message::RoundClosed& m) {
        auto c = code(b, m.code);
        auto what = text(b, m.what);
        root(fb::CreateRoundClosed(b, m.run.value, m.round, c, what));
    }
    void operator()(const message::EvaluationReport& m) {
        root(fb::CreateEvaluationReport(b, m.run.value, m.round, m.loss, m.accuracy,
                                        m.sample_count));
    }
    void operator()(const message::RunFinished& m) {
        auto model = id_of(m.model.bytes);
        auto reason = text(b, m.reason);
        root(fb::CreateRunFinished(b, m.run.value, m.round, &model, reason, m.reached));
    }
};

// What a table weighs depends on which of its fields are there, that is not zero, and on what it
// holds of variable length. Frames that hold nothing of the kind come by the million, and few sorts
// of them: a bit for each field tells the sort.
struct Sort {
    using Bits = std::optional<std::uint32_t>;  // empty: another length each time
    template <class... Field>
    static Bits of(const Field&... field) {
        std::uint32_t bits = 0, bit = 1;
        ((bits |= field != Field{} ? bit : 0, bit <<= 1), ...);
        return bits;
    }
    template <class Other>
    Bits operator()(const Other&) const {
        return {};
    }
    Bits operator()(const Offer& f) const {
        const auto& m = f.manifest;
        if (!m.payload.empty()) return {};
        return of(f.id.value, m.run.value, m.kind, m.round, m.epoch, m.byte_count, m.codec, m.base,
                  m.base_version, m.sample_count, m.loss);
    }
    Bits operator()(const Grant& f) const { return of(f.credit); }
    Bits operator()(const Refuse& f) const { return of(f.reason); }
    Bits operator()(const Withdraw&) const { return 0; }
    Bits operator()(const Credit& f) const { return of(f.limit); }
    Bits operator()(const TransferEnd&) const { return 0; }
    Bits operator()(const Delivered&) const { return 0; }
    Bits operator()(const message::Message& m) const { return std::visit(*this, m); }
    Bits operator()(const message::Heartbeat& m) const {
        if (!m.news.empty()) return {};
        return of(m.sequence, m.incarnation, m.busy, m.echo, m.echo_age_ns);
    }
    Bits operator()(const message::Progress&) const { return 0; }
    Bits operator()(const message::ModelRequest& m) const { return of(m.run.value, m.round); }
    Bits operator()(const message::RoundStart& m) const {
        return of(m.run.value, m.round, m.train, m.evaluate, m.local_epochs, m.local_steps,
                  m.proximal_mu, m.codec, m.patience_ns);
    }
    Bits operator()(const message::UpdateReceived& m) const { return of(m.run.value, m.round); }
    Bits operator()(const message::Commit& m) const { return of(m.run.value, m.round); }
    Bits operator()(const message::EvaluationReport& m) const {
        return of(m.run.value, m.round, m.loss, m.accuracy, m.sample_count);
    }
};
constexpr unsigned kSortBits = 11, kTypes = 64;  // of the largest; and above all numbers

void put_header(Bytes& out, const FrameHeader& h) {
    std::array<std::byte, kHeaderBytes> bytes{};
    const auto put = [&](std::size_t at, auto value) {
        std::memcpy(bytes.data() + at, &value, sizeof value);
    };
    put(0, h.length);
    put(4, static_cast<std::uint8_t>(h.lane));
    put(5, h.type);
    put(6, h.flags);
    put(8, h.run);
    put(12, h.stream);
    out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

void encode(const Frame& frame, Bytes& out) {
    FrameHeader header{.lane = frame.lane, .type = static_cast<std::uint8_t>(type_of(frame.body))};
    if (const auto* chunk = std::get_if<Chunk>(&frame.body)) {
        header.length = chunk->length;
        header.stream = chunk->stream;
        put_header(out, header);
        return;
    }
    Builder builder(256);
    BodyWriter writer{builder};
    std::visit(writer, frame.body);
    header.length = builder.GetSize();
    header.stream = writer.stream;
    header.run = writer.run;
    put_header(out, header);
    const auto* body = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
    out.insert(out.end(), body, body + builder.GetSize());
}

std::size_t encoded_bytes(const Frame& frame) {
    if (const auto* chunk = std::get_if<Chunk>(&frame.body)) return kHeaderBytes + chunk->length;
    Builder builder(256);
    std::visit(BodyWriter{builder}, frame.body);
    return kHeaderBytes + builder.GetSize();
}

struct Scale::State {
    Builder builder{256};
    // By frame type and sort; 0: not weighed yet.
    std::vector<std::uint16_t> known = std::vector<std::uint16_t>(std::size_t{kTypes} << kSortBits);
};
Scale::Scale() : state_(std::make_unique<State>()) {}
Scale::~Scale() = default;

std::size_t Scale::weigh(const Frame& frame) {
    if (const auto* chunk = std::get_if<Chunk>(&frame.body)) return kHeaderBytes + chunk->length;
    const auto sort = std::visit(Sort{}, frame.body);
    std::uint16_t none = 0;
    auto& known = sort ? state_->known[std::size_t{static_cast<std::uint8_t>(type_of(frame.body))}
                                           << kSortBits |
                                       *sort]
                       : none;
    if (known) return known;
    state_->builder.Clear();
    std::visit(BodyWriter{state_->builder}, frame.body);
    const auto bytes = kHeaderBytes + state_->builder.GetSize();
    if (sort) known = static_cast<std::uint16_t>(bytes);
    return bytes;
}

}  // namespace gossamer::wire
