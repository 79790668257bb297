// What int8, sign and top promise: sizes, what they lose, what feedback brings back, and that
// hostile bytes are refused or harmless.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "gossamer/codec/accumulate.hpp"
#include "gossamer/codec/update.hpp"
#include "gossamer/tensor/kernels.hpp"

using namespace gossamer;
using namespace gossamer::codec;

namespace {

const char* const kLossy[] = {"int8", "sign", "top1", "top10"};
constexpr std::size_t kCounts[] = {0, 1, 2, 31, 32, 33, 99, 100, 101, 1023, 1024, 1025, 5000};

std::vector<float> random_values(std::uint64_t seed, std::size_t count) {
    auto draw = stream(RunSeed{seed}, Purpose::user);
    std::vector<float> x(count);
    for (auto& v : x) v = static_cast<float>(draw.normal() * std::exp(2 * draw.normal()));
    return x;
}

double squares(std::span<const float> x) {
    double sum = 0;
    for (float v : x) sum += double(v) * v;
    return sum;
}

double lost(std::span<const float> x, std::span<const float> back) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double apart = double(x[i]) - back[i];
        sum += apart * apart;
    }
    return sum;
}

// Vectors at the edges of what a codec may meet.
std::vector<std::vector<float>> hard_vectors() {
    std::vector<std::vector<float>> all;
    for (auto count : kCounts) all.push_back(random_values(count + 7, count));
    all.emplace_back(3000, 0.0f);
    all.emplace_back(3000, -0.25f);
    std::vector<float> one(2048, 0.0f), steps(2048);
    one[777] = -3;
    for (std::size_t i = 0; i < steps.size(); ++i) steps[i] = i % 1024 == 5 ? 127.0f : 0.5f;
    all.push_back(one), all.push_back(steps);
    std::vector<float> extreme(1500, 1e-30f);
    extreme[3] = 0x1.fp126f, extreme[1400] = -0.0f;
    all.push_back(extreme);
    return all;
}

}  // namespace

TEST_CASE("lossy codecs keep to their sizes and lose no more than they say") {
    for (auto name : kLossy) {
        CAPTURE(name);
        const auto codec = *find_codec(name);
        const auto traits = codec->traits();
        CHECK(traits.needs_base);
        CHECK(traits.contraction > 0);
        for (const auto& x : hard_vectors()) {
            CAPTURE(x.size());
            const auto bytes = encode_all(*codec, x);
            REQUIRE(bytes);
            CHECK(bytes->size() <= codec->bytes_max(x.size()));
            if (traits.block_bytes > 0) {
                CHECK(bytes->size() == codec->bytes_max(x.size()));
                CHECK(codec->bytes_max(2048) == 2 * traits.block_bytes);
            }
            const auto back = decode_all(*codec, *bytes, x.size());
            REQUIRE(back);
            CHECK(lost(x, *back) <= (1 - traits.contraction) * squares(x) * (1 + 1e-6));
        }
    }
    CHECK((*find_codec("int8"))->bytes_max(10'000'000) == 10'000'000 + 4 * 9766);
    CHECK((*find_codec("sign"))->bytes_max(10'000'000) == 1'250'000 + 4 * 9766);
    CHECK((*find_codec("top1"))->bytes_max(10'000'000) == 4 + 8 * 100'000);
    CHECK((*find_codec("top10"))->bytes_max(11) == 4 + 8 * 2);
}

TEST_CASE(
    "ranges of blocks decode, and where blocks are alike encode, like that part of the whole") {
    for (auto name : kLossy) {
        CAPTURE(name);
        const auto codec = *find_codec(name);
        const auto x = random_values(5, 5000);
        const EncodeState state{.seed = RunSeed{3}, .round = 4, .who = PeerId::of_number(5)};
        const auto bytes = *encode_all(*codec, x, state);
        const auto whole = *decode_all(*codec, bytes, x.size());
        for (auto [first, count] :
             {std::pair{0ul, 10ul}, {1024ul, 2048ul}, {2048ul, 1500ul}, {4096ul, 904ul}}) {
            std::vector<float> part(count, 7.0f);
            codec->decode(part, bytes, x.size(), first);
            CHECK(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(first)));
        }
        const auto block_bytes = codec->traits().block_bytes;
        if (block_bytes == 0) continue;
        auto inside = state;
        inside.first = 2048;
        const auto part = *encode_all(*codec, std::span(x).subspan(2048, 1024), inside);
        CHECK(part.size() == block_bytes);
        CHECK(std::equal(part.begin(), part.end(),
                         bytes.begin() + static_cast<long>(2 * block_bytes)));
    }
}

TEST_CASE(
    "int8 rounds by chance: right in the mean, by its stream's name alone, exact at the ends") {
    const auto codec = *find_codec("int8");
    CHECK(codec->traits().unbiased);
    CHECK_FALSE(codec->traits().error_feedback);
    const auto x = random_values(11, 1100);
    std::vector<double> mean(x.size()), square(x.size());
    constexpr int kRounds = 4000;
    for (int round = 0; round < kRounds; ++round) {
        EncodeState state{.seed = RunSeed{1}, .round = static_cast<std::uint64_t>(round)};
        const auto back = *decode_all(*codec, *encode_all(*codec, x, state), x.size());
        for (std::size_t i = 0; i < x.size(); ++i) {
            mean[i] += back[i] / kRounds;
            square[i] += (double(back[i]) - x[i]) * (double(back[i]) - x[i]) / kRounds;
        }
    }
    double largest = 0, beyond = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const auto block = std::span(x).subspan(
            i / 1024 * 1024, std::min<std::size_t>(1024, x.size() - i / 1024 * 1024));
        double most = 0;
        for (float v : block) most = std::max(most, std::abs(double(v)));
        const double step = most / 127, share = std::abs(double(x[i])) / step;
        const double chance = share - std::floor(share);
        // Variance of a choice between two neighbours, and the deviation of so many such choices.
        const double variance = step * step * chance * (1 - chance);
        const double deviation = std::sqrt(variance / kRounds) + step * 2e-6;
        largest = std::max(largest, std::abs(mean[i] - x[i]) / deviation);
        beyond += std::abs(mean[i] - x[i]) > 2 * deviation;
        CHECK(square[i] <= step * step * 0.26);
    }
    CHECK(largest < 5);           // of 1,100 normal draws 3.5 is usual
    CHECK(beyond < 0.07 * 1100);  // 5% are expected
    // The same name, the same bytes; another round or peer, others.
    const EncodeState one{.seed = RunSeed{1}, .round = 1, .who = PeerId::of_number(1)};
    auto other = one;
    CHECK(*encode_all(*codec, x, one) == *encode_all(*codec, x, other));
    other.round = 2;
    CHECK(*encode_all(*codec, x, one) != *encode_all(*codec, x, other));
    other = one, other.who = PeerId::of_number(2);
    CHECK(*encode_all(*codec, x, one) != *encode_all(*codec, x, other));
    // Whole steps are left alone, zero and the largest among them.
    std::vector<float> whole(600);
    for (std::size_t i = 0; i < whole.size(); ++i)
        whole[i] = static_cast<float>(static_cast<int>(i % 255) - 127) * 0.5f;
    for (std::uint64_t round = 0; round < 20; ++round) {
        EncodeState state{.round = round};
        CHECK(*decode_all(*codec, *encode_all(*codec, whole, state), whole.size()) == whole);
    }
}

TEST_CASE("sign sends each block's mean magnitude, with each value's sign") {
    const auto codec = *find_codec("sign");
    const auto x = random_values(3, 1500);
    const auto back = *decode_all(*codec, *encode_all(*codec, x), x.size());
    for (std::size_t first : {0ul, 1024ul}) {
        const auto size = std::min<std::size_t>(1024, x.size() - first);
        double sum = 0;
        for (std::size_t i = first; i < first + size; ++i) sum += std::abs(double(x[i]));
        for (std::size_t i = first; i < first + size; ++i) {
            CHECK(std::abs(back[i]) == doctest::Approx(sum / double(size)).epsilon(1e-6));
            CHECK(std::signbit(back[i]) == std::signbit(x[i]));
        }
    }
}

TEST_CASE("top keeps exactly the largest, the first of equal ones, and nothing else") {
    for (auto [name, one_in] : {std::pair{"top1", 100u}, {"top10", 10u}}) {
        CAPTURE(name);
        const auto codec = *find_codec(name);
        auto vectors = hard_vectors();
        vectors.push_back(random_values(1, 100'000));
        std::vector<float> few(50'000), steps(50'000), tail(50'000, 0.0f), heavy(50'000, 1e-3f);
        for (std::size_t i = 0; i < few.size(); ++i) {
            few[i] = static_cast<float>(i % 7) - 3;  // ties by the thousand
            steps[i] = static_cast<float>(i);        // no sample of it misleads
            if (i >= 49'000) tail[i] = 1;            // more than are wanted, in one place
            if (i % 1000 == 3) heavy[i] = -5;        // fewer than are wanted stand out
        }
        for (auto* v : {&few, &steps, &tail, &heavy}) vectors.push_back(*v);
        for (const auto& x : vectors) {
            CAPTURE(x.size());
            std::vector<std::size_t> order(x.size());
            std::iota(order.begin(), order.end(), 0u);
            std::ranges::stable_sort(
                order, [&](auto a, auto b) { return std::abs(x[a]) > std::abs(x[b]); });
            const auto wanted = (x.size() + one_in - 1) / one_in;
            std::vector<float> expected(x.size(), 0.0f);
            for (std::size_t i = 0; i < wanted; ++i) expected[order[i]] = x[order[i]];
            const auto bytes = *encode_all(*codec, x);
            CHECK(bytes.size() == 4 + 8 * wanted);
            CHECK(*decode_all(*codec, bytes, x.size()) == expected);
        }
    }
}

TEST_CASE("what a codec with feedback leaves unsent is what it says, and is sent in the end") {
    const auto pool = tensor::BufferPool::create(1 << 24);
    for (auto name : {"sign", "top1", "top10"}) {
        CAPTURE(name);
        const auto codec = *find_codec(name);
        CHECK(codec->traits().error_feedback);
        // The same update each time: what arrives in all goes on after what was sent.
        const auto x = random_values(21, 3000);
        std::vector<double> sent(x.size());
        tensor::State left;
        double largest_left = 0;
        constexpr int kRounds = 1000;
        for (int round = 0; round < kRounds; ++round) {
            std::vector<float> room;
            const auto before = *residual_values(left, x.size(), room);
            std::vector<float> sum(x);
            for (std::size_t i = 0; i < before.size(); ++i) sum[i] += before[i];
            auto encoded = encode_update(*codec, x, left, {RunSeed{1}, 1, {}}, *pool);
            REQUIRE(encoded);
            const auto back = *decode_all(*codec, std::as_const(encoded->bytes).bytes(), x.size());
            REQUIRE(encoded->residual);
            const auto after = *residual_values(encoded->residual, x.size(), room);
            for (std::size_t i = 0; i < x.size(); ++i) {
                CHECK(after[i] == sum[i] - back[i]);
                sent[i] += back[i];
            }
            left = encoded->residual;
            largest_left = std::max(largest_left, std::sqrt(squares(after)));
        }
        double apart = 0;
        for (std::size_t i = 0; i < x.size(); ++i)
            apart += (sent[i] / kRounds - x[i]) * (sent[i] / kRounds - x[i]);
        // Bounded by what is left at the end, which does not grow with the rounds.
        const double length = std::sqrt(squares(x));
        CHECK(std::sqrt(apart) <= largest_left / kRounds * 1.01);
        CHECK(largest_left < 2 / codec->traits().contraction * length);
        CHECK(std::sqrt(apart) < 0.25 * length);
        // Through a checkpoint it is the same; of another model it is refused.
        struct Saved final : tensor::StateValue {
            Bytes bytes;
            Bytes save() const override { return bytes; }
        };
        auto saved = std::make_shared<Saved>();
        saved->bytes = left->save();
        const auto direct = *encode_update(*codec, x, left, {RunSeed{1}, 1, {}}, *pool);
        const auto loaded = *encode_update(*codec, x, saved, {RunSeed{1}, 1, {}}, *pool);
        CHECK(std::ranges::equal(direct.bytes.bytes(), loaded.bytes.bytes()));
        CHECK(direct.residual->digest() == loaded.residual->digest());
        const auto refused =
            encode_update(*codec, std::span(x).first(2000), left, {RunSeed{1}, 1, {}}, *pool);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ErrorCode::kUpdateSize);
    }
    const auto plain =
        *encode_update(**find_codec("int8"), random_values(1, 10), nullptr, {}, *pool);
    CHECK_FALSE(plain.residual);
}

TEST_CASE("values that are not finite are refused by name, wherever they are") {
    for (auto name : kLossy)
        for (std::size_t at : {0u, 1023u, 1024u, 2999u})
            for (auto bad : {std::numeric_limits<float>::quiet_NaN(),
                             -std::numeric_limits<float>::infinity()}) {
                CAPTURE(name);
                auto x = random_values(3, 3000);
                x[at] = bad;
                const auto refused = encode_all(**find_codec(name), x);
                REQUIRE_FALSE(refused);
                CHECK(refused.error().code == ErrorCode::kUpdateNotFinite);
                CHECK(refused.error().what.find("element " + std::to_string(at) + " ") == 0);
            }
    std::vector<float> large(10, 1.0f);
    large[3] = std::numeric_limits<float>::max();
    CHECK(encode_all(**find_codec("int8"), large).error().code == ErrorCode::kUpdateTooLarge);
    for (auto name : {"sign", "top1"}) CHECK(encode_all(**find_codec(name), large));
}

TEST_CASE("encodings of a wrong size or order are refused, and what passes is checked by value") {
    for (auto name : kLossy) {
        CAPTURE(name);
        const auto codec = *find_codec(name);
        auto bytes = *encode_all(*codec, random_values(7, 2500));
        CHECK(codec->check(bytes, 2500));
        for (std::size_t count : {0ul, 2ul, 1000ul, 3700ul})
            if (codec->traits().block_bytes > 0) CHECK_FALSE(codec->check(bytes, count));
        auto shorter = bytes;
        shorter.pop_back();
        CHECK(codec->check(shorter, 2500).error().code == ErrorCode::kUpdateSize);
        CHECK_FALSE(codec->check({}, 2500));
        // A scale, or the first value kept, that is no number.
        const float nan = std::numeric_limits<float>::quiet_NaN();
        const bool top = codec->traits().block_bytes == 0;
        std::memcpy(bytes.data() + (top ? 4 + 4 * ((2500 + (name[3] == '1' && name[4] ? 9 : 99)) /
                                                   (name[3] == '1' && name[4] ? 10 : 100))
                                        : 0),
                    &nan, 4);
        CHECK(codec->check(bytes, 2500));
        CHECK(check_values(*codec, bytes, 2500, 1e30).error().code == ErrorCode::kUpdateNotFinite);
        std::vector<std::int64_t> sum(2500, 5);
        CHECK_FALSE(add_encoded(sum, *codec, bytes, 1.0f, tensor::ExactScale::choose(1, 1, 1e4)));
        CHECK(sum == std::vector<std::int64_t>(2500, 5));
    }
    const auto top = *find_codec("top1");
    const auto with = [](std::vector<std::uint32_t> words) {
        Bytes bytes(4 * words.size());
        std::memcpy(bytes.data(), words.data(), bytes.size());
        return bytes;
    };
    CHECK(top->check(with({0}), 250));  // fewer than are wanted
    CHECK(top->check(with({2, 7, 249, 0, 0}), 250));
    CHECK_FALSE(top->check(with({2, 7, 7, 0, 0}), 250));  // twice
    CHECK_FALSE(top->check(with({2, 9, 7, 0, 0}), 250));  // not ascending
    CHECK_FALSE(top->check(with({2, 7, 250, 0, 0}), 250));
    CHECK_FALSE(top->check(with({4, 1, 2, 3, 4, 0, 0, 0, 0}), 250));  // more than are wanted
    CHECK_FALSE(top->check(with({0xffffffff, 1}), 250));
}

TEST_CASE("sums and mixtures of what lossy codecs sent are those of the decoded values") {
    const auto base = random_values(31, 4000), own = random_values(32, 4000);
    const auto scale = tensor::ExactScale::choose(3, 30, 1e6);
    for (auto name : kLossy) {
        CAPTURE(name);
        const auto codec = *find_codec(name);
        const auto bytes = *encode_all(*codec, random_values(33, 4000));
        const auto decoded = *decode_all(*codec, bytes, 4000);
        std::vector<std::int64_t> sum(4000), expected(4000);
        REQUIRE(add_encoded(sum, *codec, bytes, 3, scale));
        tensor::exact_add(expected, decoded, 3, scale);
        CHECK(sum == expected);
        std::vector<float> model(4000), mixed(4000), wanted(4000);
        for (std::size_t i = 0; i < model.size(); ++i) model[i] = decoded[i] + base[i];
        const tensor::Weighted rows[] = {{own.data(), 0.25}, {model.data(), 0.75}};
        tensor::weighted_mean(wanted, rows);
        const auto plain = *find_codec("f32");
        const MixInput inputs[] = {{plain.get(), ByteView(std::as_bytes(std::span(own))), 0.25, {}},
                                   {codec.get(), bytes, 0.75, base}};
        REQUIRE(mix_encoded(mixed, inputs));
        CHECK(mixed == wanted);
    }
}
