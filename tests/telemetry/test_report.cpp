#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "records/storage/memory_disk.hpp"
#include "records/telemetry/run_report.hpp"
#include "tests/telemetry/example_report.hpp"

using namespace gossamer;
using namespace gossamer::telemetry;

namespace {

// The block of data of a page, as the page's script reads it.
nlohmann::json data_of(const std::string& page) {
    const std::string begin = R"(<script type="application/json" id="report-data">)";
    const auto from = page.find(begin);
    REQUIRE(from != page.npos);
    const auto to = page.find("</script>", from);
    return nlohmann::json::parse(page.substr(from + begin.size(), to - from - begin.size()));
}

std::size_t count_of(const std::string& text, const std::string& what) {
    std::size_t count = 0;
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
    return count;
}

void write_text(storage::Disk& disk, const std::string& path, const std::string& text) {
    const ByteView parts[] = {as_bytes(text)};
    REQUIRE(disk.replace_file(path, parts));
}

}  // namespace

TEST_CASE("a spread has mean, quartiles and extremes, without what is unknown") {
    const double values[] = {4, 1, kUnknownValue, 3, 2, 5};
    const auto spread = Spread::of(values);
    CHECK(spread.mean == 3);
    CHECK(spread.lower_quartile == 2);
    CHECK(spread.upper_quartile == 4);
    CHECK(spread.least == 1);
    CHECK(spread.greatest == 5);
    CHECK(std::isnan(Spread::of({}).mean));
    CHECK(std::isnan(Spread::of(std::span(values).subspan(2, 1)).least));
    CHECK(Spread::of(std::span(values).first(1)).upper_quartile == 4);
}

TEST_CASE("thinning keeps order, ends and every extreme, and alters no point") {
    std::vector<SeriesPoint> points;
    for (int i = 0; i < 100'000; ++i)
        points.push_back(
            {{.round = double(i)}, {.mean = std::sin(i * 0.01), .least = -2, .greatest = 2}});
    points[31'415].value.mean = 9;
    points[27'182].value.mean = -9;
    points[16'180].value.greatest = 50;
    points[14'142].value.least = -50;
    points[17'320].value.mean = kUnknownValue;
    const auto kept = thinned(points, 2'000);
    CHECK(kept.size() <= 2'000);
    CHECK(kept.size() > 900);
    CHECK(kept.front().at.round == 0);
    CHECK(kept.back().at.round == 99'999);
    for (std::size_t i = 1; i < kept.size(); ++i) REQUIRE(kept[i - 1].at.round < kept[i].at.round);
    for (const auto round : {31'415, 27'182, 16'180, 14'142})
        CHECK(std::ranges::any_of(kept, [&](const auto& p) { return p.at.round == round; }));
    for (const auto& point : kept) {
        const auto& same = points[static_cast<std::size_t>(point.at.round)];
        REQUIRE((point.value.mean == same.value.mean || std::isnan(same.value.mean)));
    }
    CHECK(thinned(std::span(points).first(2'000), 2'000).size() == 2'000);
}

TEST_CASE("a series of any length stays within its bound and keeps its extremes") {
    Series series("loss");
    for (int i = 0; i < 1'000'000; ++i)
        series.add({.round = double(i)}, i == 123'456 ? 7.0 : std::cos(i * 0.001));
    CHECK(series.points().size() <= Series::kPointsKept);
    CHECK(std::ranges::max(series.points(), {}, [](const auto& p) {
              return p.value.mean;
          }).at.round == 123'456);
}

TEST_CASE("pure averaging is predicted to shrink by the spectral gap each round") {
    Series measured;
    for (int round = 2; round <= 12; ++round) measured.add({.round = double(round)}, 3.0);
    const auto pure = predicted_consensus(measured, 0.25);
    REQUIRE(pure.points().size() == 11);
    CHECK(pure.points()[0].value.mean == doctest::Approx(3));
    CHECK(pure.points()[4].value.mean == doctest::Approx(3 * std::pow(0.75, 4)));
    // With drift it follows the recursion and tends to its fixed point.
    const auto drifting = predicted_consensus(measured, 0.25, 0.5);
    double distance = 3;
    for (const auto& point : drifting.points()) {
        CHECK(point.value.mean == doctest::Approx(distance));
        distance = 0.75 * std::sqrt(distance * distance + 0.25);
    }
    CHECK(predicted_consensus(measured, 0, 0.5).points()[4].value.mean ==
          doctest::Approx(std::sqrt(9 + 4 * 0.25)));
    CHECK(predicted_consensus(measured, kUnknownValue).points().empty());
    CHECK(predicted_consensus(Series(), 0.5).points().empty());
}

TEST_CASE("a timeline joins adjacent spans, keeps the first rows and says where it was cut") {
    Timeline timeline;
    timeline.add(3, Activity::train, 0, 1);
    timeline.add(3, Activity::train, 1, 2);
    timeline.add(3, Activity::send, 2, 2);
    timeline.add(3, Activity::send, 2, 3);
    timeline.add(3, Activity::train, kUnknownValue, 4);
    timeline.add(Timeline::kRowsMax, Activity::train, 0, 1);
    REQUIRE(timeline.rows().size() == 4);
    REQUIRE(timeline.rows()[3].size() == 2);
    CHECK(timeline.rows()[3][0].end == 2);
    CHECK(std::isnan(timeline.cut_at()));
    for (std::size_t i = 0; i < 2 * Timeline::kSpansKept; ++i)
        timeline.add(0, i % 2 ? Activity::send : Activity::train, double(i), double(i + 1));
    CHECK(timeline.rows()[0].size() == Timeline::kSpansKept);
    CHECK(timeline.cut_at() == double(Timeline::kSpansKept));
}

TEST_CASE("a page of a large run stays small") {
    auto report = example_report({.peer_count = 400, .round_count = 50});
    auto& long_one = report.accuracy.emplace_back("long");
    for (int i = 0; i < 60'000; ++i)
        long_one.add({.round = double(i), .bytes = i * 1e9, .seconds = i * 0.7},
                     Spread{0.123456789 * i, 0.1 * i, 0.2 * i, 0.05 * i, 0.3 * i});
    for (std::size_t i = 0; i < 50'000; ++i) report.events.push_back({double(i), i % 400, "dead"});
    for (std::size_t i = 0; i < 16'000; ++i)
        report.timeline.add(7, i % 2 ? Activity::wait : Activity::away, 1e4 + double(i),
                            1e4 + double(i) + 1);
    report.peers.resize(100'000);
    report.topology.node_count = 100'000;
    const auto page = report_page(report);
    CHECK(page.size() < 3'000'000);
    const auto data = data_of(page);
    CHECK(data["accuracy"][1]["mean"].size() <= kPagePointMax);
    CHECK(data["events"]["rows"].size() == kPageEventMax);
    CHECK(data["events"]["total"] == report.events.size());
    CHECK(data["timeline"]["rows"].size() == Timeline::kRowsMax);
    CHECK(data["timeline"]["rows"][7].size() <= 3 * kPageSpanSum / Timeline::kRowsMax);
    CHECK(data["labels"]["rows"].size() == kPageLabelPeerMax);
    CHECK_FALSE(data["topology"].contains("edges"));
    CHECK(data["topology"]["degree_counts"][0] == 99'600);
}

TEST_CASE("what a peer calls itself never becomes markup, script or control codes") {
    Report report = example_report({.peer_count = 8, .round_count = 3});
    const std::string evil = kHostileName + "<!--\u2028\u202e \x1b]0;x\x07 \xff ]]> & '\"` @data@";
    report.title = report.scenario = report.run = report.seed = report.trace_hash = evil;
    report.started = report.topology.name = evil;
    report.notes = {evil};
    report.summary.push_back({evil, evil});
    report.label_names[0] = evil;
    report.peers[2].name = evil;
    report.events.push_back({1, 2, evil, evil});
    report.accuracy.emplace_back(evil).add({.round = 1}, 0.5);
    const auto page = report_page(report), plain = report_page(Report{});
    for (const char* what : {"<script", "</script", "<img", "<!--", "<b>", "<i>", "onerror=\""})
        CHECK_MESSAGE(count_of(page, what) == count_of(plain, what), what);
    for (const char* what : {"\x1b", "\x07", "\u2028", "\u202e", "\xff"})
        CHECK(count_of(page, what) == 0);
    const auto data = data_of(page);
    CHECK(data["names"][1].get<std::string>().substr(0, 9) == "</script>");
    CHECK(data["names"][2].get<std::string>().find("\\x1b") != std::string::npos);
}

TEST_CASE("the page allows no network and no script but its own") {
    const auto page = report_page(Report{});
    CHECK(count_of(page, "default-src 'none'") == 1);
    CHECK(count_of(page, "unsafe-inline") == 0);
    CHECK(count_of(page, "script-src 'sha256-") == 1);
    for (const char* what : {" src=\"", "@import", "url(", "href=\"http"})
        CHECK_MESSAGE(count_of(page, what) == 0, what);
}

TEST_CASE("what is absent is left out") {
    const auto data = data_of(report_page(Report{.title = "empty"}));
    for (const char* what : {"topology", "accuracies", "timeline", "labels"})
        CHECK_MESSAGE(data[what].is_null(), what);
    CHECK(data["accuracy"].empty());
    CHECK(data["consensus"].empty());
    CHECK(data["events"]["total"] == 0);
    Report some{.title = "some"};
    some.accuracy.emplace_back("never measured").add({.round = 1}, kUnknownValue);
    some.consensus.add({.round = 1}, 0.25);
    some.peers.push_back({.name = "a", .accuracy = 0.5});
    const auto part = data_of(report_page(some));
    CHECK(part["accuracy"].empty());
    CHECK(part["consensus"].size() == 1);
    CHECK_FALSE(part["consensus"][0].contains("bytes"));
    CHECK(part["accuracies"]["counts"] == nlohmann::json{1});
}

TEST_CASE("the histogram of accuracies counts each peer once, in round steps") {
    Report report;
    for (int i = 0; i <= 100; ++i) report.peers.push_back({.accuracy = 0.7 + 0.001 * i});
    report.peers.push_back({.accuracy = 1e300});  // no accuracy
    const auto bins = data_of(report_page(report))["accuracies"];
    CHECK(bins["step"] == 0.01);
    CHECK(bins["from"] == 0.7);
    std::uint64_t sum = 0;
    for (const auto& count : bins["counts"]) sum += count.get<std::uint64_t>();
    CHECK(sum == 101);
    CHECK(bins["counts"].size() == 11);
    CHECK(bins["counts"][3] == 10);
    CHECK(bins["lowest"][0][0] == "peer 0");
    CHECK(bins["lowest"].size() == 5);
}

TEST_CASE("a folder that a daemon left becomes a report, damaged lines and all") {
    storage::MemoryDisk disk;
    const auto folder = storage::RunFolder::create(disk, "runs", "demo").value();
    write_text(disk, folder.summary(),
               R"({"schema_version":1,"run":"demo","started":"2026-03-01T12:00:00Z","rounds":2,)"
               R"("seed":18446744073709551615,"accuracy":0.75,"reached":true,"loss":null})");
    write_text(
        disk, folder.metrics(),
        R"({"ts":"2026-03-01T12:00:00.500000Z","event":"run_started"})"
        "\n"
        R"({"ts":"2026-03-01T12:00:02.500000Z","event":"trained","round":1,"loss":1.5,)"
        R"("seconds":1.5})"
        "\n"
        R"({"ts":"2026-03-01T12:00:03.000000Z","event":"traffic","sent_bytes":1000})"
        "\nnot json\n{\"ts\":5}\n[]\n"
        R"({"ts":"2026-03-01T12:00:04.500000Z","event":"mixed","round":1,"distance":0.25})"
        "\n"
        R"({"ts":"2026-03-01T12:00:05.500000Z","event":"evaluated","round":1,"where":"local",)"
        R"("accuracy":0.75,"loss":"x"})"
        "\n"
        R"({"ts":"2026-03-01T12:00:06.500000Z","event":"member_changed","peer":"abcdef0123",)"
        R"("to":"dead","reason":"gone"})"
        "\n"
        R"({"ts":"2026-03-01T12:00:07)");
    const auto report = report_of_folder(disk, folder);
    CHECK(report.title == "demo-1");
    CHECK(report.seed == "18446744073709551615");
    CHECK_FALSE(report.virtual_time);
    REQUIRE(report.accuracy.size() == 1);
    const auto& point = report.accuracy[0].points().at(0);
    CHECK(point.value.mean == 0.75);
    CHECK(point.at.round == 1);
    CHECK(point.at.bytes == 1000);
    CHECK(point.at.seconds == doctest::Approx(5));
    CHECK(report.consensus.points().size() == 1);
    REQUIRE(report.events.size() == 1);
    CHECK(report.events[0].kind == "dead");
    CHECK(report.peers.at(*report.events[0].peer).name == "abcdef01");
    REQUIRE(report.timeline.rows().size() == 1);
    CHECK(report.timeline.rows()[0][0].begin == doctest::Approx(0.5));
    REQUIRE(report.notes.size() == 1);
    CHECK(report.notes[0] == "3 lines of metrics.jsonl could not be read.");
    REQUIRE(write_report(disk, folder.report(), report));
    CHECK(*disk.size_of(folder.report()) > 100'000);
}

TEST_CASE("a run of several lives has one axis of bytes, and tiny numbers are numbers") {
    storage::MemoryDisk disk;
    const auto folder = storage::RunFolder::create(disk, "runs", "demo").value();
    std::string lines;
    int second = 0;
    for (const int sent : {1000, 3000, 500, 700}) {
        ++second;
        lines += fmt::format(
            R"({{"ts":"2026-03-01T12:00:0{}.000000Z","event":"traffic","sent_bytes":{}}})"
            "\n"
            R"({{"ts":"2026-03-01T12:00:0{}.500000Z","event":"mixed","round":{},"distance":{}}})"
            "\n",
            second, sent, second, second, second == 4 ? "1.2e-310" : "0.25");
    }
    write_text(disk, folder.metrics(), lines);
    const auto report = report_of_folder(disk, folder);
    std::vector<double> bytes;
    for (const auto& point : report.consensus.points()) bytes.push_back(point.at.bytes);
    CHECK(bytes == std::vector<double>{1000, 3000, 3500, 3700});
    CHECK(write_report(disk, folder.report(), report));
}

TEST_CASE("a folder without records gives a page that says so") {
    storage::MemoryDisk disk;
    const auto folder = storage::RunFolder::create(disk, "runs", "demo").value();
    const auto report = report_of_folder(disk, folder);
    CHECK(report.notes.size() == 2);
    CHECK(report_page(report).find("summary.json is missing") != std::string::npos);
}
