// Random frames that keep the bounds of the wire, for round trips and as seeds of hostile bytes.
#pragma once

#include <random>

#include "connection/wire/wire.hpp"

namespace gossamer::wire::testing {

class RandomFrames {
public:
    // Sparse: many of the numbers are zero, many of the lists empty.
    explicit RandomFrames(std::uint64_t seed, bool sparse = false)
        : engine_(seed), sparse_(sparse) {}

    std::uint64_t number() { return sparse_ && coin() ? 0 : engine_(); }
    std::size_t below(std::size_t n) {
        if (sparse_ && coin()) return 0;
        return n == 0 ? 0 : engine_() % n;
    }
    bool coin() { return engine_() & 1; }
    double real() { return std::ldexp(static_cast<double>(engine_() % 100000) - 50000, -7); }
    std::string text(std::size_t most) {
        std::string s(below(most + 1), ' ');
        for (char& c : s) c = static_cast<char>('!' + below(90));
        return s;
    }
    Bytes blob(std::size_t most) {
        Bytes b(below(most + 1));
        for (auto& x : b) x = static_cast<std::byte>(engine_());
        return b;
    }
    Digest128 digest() { return {number(), number()}; }
    Digest256 identity() {
        Digest256 d;
        for (auto& x : d.bytes) x = static_cast<std::byte>(engine_());
        return d;
    }
    ErrorCode code() { return error_table()[below(error_table().size())].code; }
    message::Progress progress() {
        return {{number()}, number(), static_cast<message::Phase>(below(4)), number(), number()};
    }
    std::vector<message::MemberRecord> news() {
        std::vector<message::MemberRecord> out(below(5));
        for (auto& r : out) {
            r.id = PeerId::of_number(number());
            r.role = static_cast<Role>(below(3));
            r.state = static_cast<message::MemberState>(below(4));
            r.incarnation = number();
            std::vector<std::string> addresses(below(message::kAddressesMax + 1));
            for (auto& a : addresses) a = text(message::kAddressBytesMax);
            r.addresses = addresses;
        }
        return out;
    }
    std::vector<tensor::TensorSpec> tensors() {
        tensor::Layout layout;
        for (std::size_t i = below(20); i > 0; --i) {
            std::vector<std::uint32_t> shape(below(4));
            for (auto& d : shape) d = static_cast<std::uint32_t>(below(100));
            layout.add("t" + std::to_string(i) + text(30), shape);
        }
        return layout.tensors();
    }
    message::Manifest manifest() {
        return {{number()},
                static_cast<message::TransferKind>(below(4)),
                number(),
                number(),
                number(),
                static_cast<std::uint8_t>(below(256)),
                static_cast<message::Base>(below(4)),
                number(),
                digest(),
                identity(),
                number(),
                real(),
                blob(300)};
    }
    message::Message message(std::size_t index) {
        using namespace message;
        switch (index) {
            case 0:
                return Heartbeat{number(), number(),   coin(), number(),
                                 number(), progress(), news()};
            case 1: return Leave{number(), text(kTextMax)};
            case 2:
                return Join{
                    {number()}, text(kNameMax), static_cast<Mode>(below(2)), tensors(), digest(),
                    number(),   number(),       static_cast<Phase>(below(4))};
            case 3: return JoinReply{{number()}, coin(), code(), text(kJoinTextMax)};
            case 4: return progress();
            case 5: return ModelRequest{{number()}, number()};
            case 6:
                return RoundStart{{number()},
                                  number(),
                                  identity(),
                                  coin(),
                                  coin(),
                                  static_cast<std::uint32_t>(number()),
                                  static_cast<std::uint32_t>(number()),
                                  real(),
                                  static_cast<std::uint8_t>(below(256)),
                                  static_cast<std::int64_t>(number())};
            case 7: return UpdateReceived{{number()}, number()};
            case 8: return Commit{{number()}, number()};
            case 9: return RoundClosed{{number()}, number(), code(), text(kTextMax)};
            case 10: return EvaluationReport{{number()}, number(), real(), real(), number()};
            default: return RunFinished{{number()}, number(), identity(), text(kTextMax), coin()};
        }
    }
    static constexpr std::size_t kMessageKinds = std::variant_size_v<message::Message>;
    static constexpr std::size_t kLinkKinds = 12;  // all but chunks

    Body link_body(std::size_t index) {
        const auto stream = static_cast<StreamId>(number());
        auto codecs = [&] {
            std::vector<std::uint8_t> c(below(kCodecsMax + 1));
            for (auto& x : c) x = static_cast<std::uint8_t>(number());
            return c;
        };
        const auto small = [&] { return static_cast<std::uint16_t>(number()); };
        switch (index) {
            case 0:
                return Hello{small(),  small(),        number(),      static_cast<Role>(below(3)),
                             codecs(), text(kNameMax), text(kNameMax)};
            case 1:
                return Welcome{small(), number(), static_cast<Role>(below(3)), codecs(),
                               text(kNameMax)};
            case 2: return Reject{static_cast<RejectReason>(below(7)), text(kTextMax)};
            case 3: return Goodbye{code(), text(kTextMax)};
            case 4: return Offer{stream, {number()}, manifest()};
            case 5: return Grant{stream, number()};
            case 6: return Refuse{stream, static_cast<message::RefuseReason>(below(9))};
            case 7: return Withdraw{stream};
            case 8: return Credit{stream, number()};
            case 9: return TransferEnd{stream, digest(), {}};
            case 10: return Delivered{stream};
            default: return TransferFailed{stream, code(), text(kTextMax)};
        }
    }
    Frame frame(std::size_t kind) {
        Body body = kind < kLinkKinds ? link_body(kind) : Body(message(kind - kLinkKinds));
        const auto lane = lane_of(body);
        return {lane, std::move(body)};
    }
    static constexpr std::size_t kKinds = kLinkKinds + kMessageKinds;

private:
    std::mt19937_64 engine_;
    bool sparse_;
};

}  // namespace gossamer::wire::testing
