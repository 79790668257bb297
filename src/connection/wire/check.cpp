#include <fmt/core.h>

#include "connection/wire/wire.hpp"

namespace gossamer::wire {

namespace {

Status within(std::size_t size, std::size_t most, const char* what) {
    if (size <= most) return {};
    return fail(ErrorCode::kFrameTooLarge, fmt::format("{}: {}, limit {}", what, size, most));
}

// A full load of news leaves room for the rest of a heartbeat: none is ever refused for its size.
static_assert(message::kNewsBytesMax + 1024 <= kControlBytesMax);

Status check_news(const std::vector<message::MemberRecord>& news) {
    GOSSAMER_CHECK(within(news.size(), kMemberRecordsMax, "member records"));
    for (const auto& record : news) {
        GOSSAMER_CHECK(
            within(record.addresses.size(), message::kAddressesMax, "addresses of a member"));
        for (const auto address : record.addresses)
            GOSSAMER_CHECK(within(address.size(), message::kAddressBytesMax, "address"));
    }
    return {};
}

Status check_join(const message::Join& join) {
    GOSSAMER_CHECK(within(join.run_name.size(), kNameMax, "run name"));
    GOSSAMER_CHECK(within(join.tensors.size(), kTensorsMax, "tensors"));
    for (const auto& tensor : join.tensors) {
        GOSSAMER_CHECK(within(tensor.name.size(), kNameMax, "tensor name"));
        GOSSAMER_CHECK(within(tensor.shape.size(), kRankMax, "tensor dimensions"));
    }
    return within(encoded_bytes({Lane::round, message::Message(join)}), kRoundBytesMax, "join");
}

}  // namespace

Status check(const message::Message& message) {
    using namespace message;
    if (const auto* m = std::get_if<Heartbeat>(&message)) {
        if (m->news.empty()) return {};
        GOSSAMER_CHECK(check_news(m->news));
        return within(encoded_bytes({Lane::control, message}), kControlBytesMax, "heartbeat");
    }
    if (const auto* m = std::get_if<Join>(&message)) return check_join(*m);
    return {};
}

Status check(const message::Manifest& manifest) {
    return within(manifest.payload.size(), message::kPayloadBytesMax, "payload of an offer");
}

}  // namespace gossamer::wire
